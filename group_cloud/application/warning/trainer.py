"""Learns early warning from the factories' labelled windows, and proposes frozen models.

Run by the cloud on a period. A learner takes whole days that are over, oldest first; whatever comes
for a day that it has learnt makes it begin anew, so its state follows from the table alone and not
from the order of arrival. It sends nothing: people approve.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from group_cloud.application.ports import Audit, Records, Transaction
from group_cloud.application.warning.ports import (
    Family,
    Held,
    Learns,
    Learnt,
    Proposed,
    Task,
    WarningRows,
)
from shared.clock import Clock
from shared.errors import StoreError
from shared.ids import uuid7
from shared.telemetry import logger

log = logger("warning")
DAY_MS = 86_400_000
EVERY_S, SOON_S, AFTER_FAILURE_S = 6 * 3600.0, 300.0, 60.0
MOST_WINDOWS = 20_000
"""The newest of a family that are learnt."""
KEPT_MS = 400 * DAY_MS
GROWN = 1.2
"""So many times the windows of the newest model, and another one is proposed ..."""
RENEWED_MS = 60 * DAY_MS
"""A model holds for 90 days: one as old as this is proposed anew."""
BETTER = 0.01
"""... or where its AUC is higher by so much."""


@dataclass(frozen=True, slots=True)
class Enough:
    """What a proposal must rest on."""

    windows: int = 300
    normal: int = 150
    faults: int = 5
    """Distinct recorded faults or true verdicts."""
    auc: float = 0.75
    """On windows scored before any window of their day was learnt."""

    def lacks(self, figures: dict[str, float]) -> list[str]:
        """What is missing."""
        return [
            name
            for name in ("windows", "normal", "faults", "auc")
            if figures.get(name, 0.0) < getattr(self, name)
        ]


class WarningTrainer:
    """The loop of early warning over all families of plants."""

    def __init__(
        self, rows: WarningRows, records: Records, learns: Learns, clock: Clock, audit: Audit,
        enough: Enough | None = None,
    ) -> None:  # fmt: skip
        self._rows, self._records, self._learns = rows, records, learns
        self._clock, self._audit, self.enough = clock, audit, enough or Enough()
        self._wake = asyncio.Event()
        self.on_models: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """Windows have come: learn a while later, with what comes meanwhile."""
        self._wake.set()

    async def run(self) -> None:
        """Train for ever."""
        wait = SOON_S
        while True:
            try:
                async with asyncio.timeout(wait):
                    await self._wake.wait()
                await asyncio.sleep(SOON_S)
            except TimeoutError:
                pass
            self._wake.clear()
            wait = EVERY_S if await self.round() else AFTER_FAILURE_S

    async def round(self) -> bool:
        """Bring every learner up to date; whether all could be."""
        well = True
        try:
            for family in await self._rows.families():
                try:
                    await self.train(family)
                except Exception as error:  # of one family, whatever it is: the others go on
                    log.error("warning_not_learnt", plant=family.plant, error=repr(error))
                    well = False
            await self._rows.prune(self._clock.now_ms() - KEPT_MS)
        except StoreError as error:
            log.error("warning_not_learnt", error=str(error))
            return False
        finally:
            await self._learns.rest()
        return well

    async def train(self, family: Family) -> bool:
        """One learner; whether there was anything new.

        What ended today waits: a day of which half was learnt would begin anew with each window.
        """
        until = self._clock.now_ms() // DAY_MS * DAY_MS
        new = await self._rows.first_new(family, until)
        held = await self._rows.learner(family)
        if held is not None and held.sites != family.sites:
            held = None  # nothing is kept of what a factory of another owner taught
        if held is not None and new is None:
            return False
        if held is not None and new is not None and (new - 1) // DAY_MS <= held.day:
            held = None  # something of a learnt day was said later, otherwise or no more
        return await self._learn(family, held, until)

    async def _learn(self, family: Family, held: Held | None, until: int) -> bool:
        after, began = (held.day + 1) * DAY_MS if held is not None else 0, self._clock.now_ms()
        windows = await self._rows.windows(family, after, until, MOST_WINDOWS)
        if not windows:
            return False
        labelled = tuple(each for each in windows if each.label >= 0)
        state = held.state if held is not None else b""
        try:
            learnt = await self._learns.learn(Task(family.tags, labelled, state))
        except StoreError:
            raise
        except Exception as error:
            if held is None:
                raise
            # What was kept cannot be gone on with; the table has everything that made it.
            log.error("warning_learner_dropped", plant=family.plant, error=repr(error))
            return await self._learn(family, None, until)
        now = self._clock.now_ms()
        too_old = began if len(windows) == MOST_WINDOWS else None
        last = (windows[-1].at - 1) // DAY_MS
        async with self._records.transaction() as tx:
            await self._rows.keep_learner(
                tx, family, Held(last, learnt.state, learnt.figures, family.sites), now
            )
            await self._rows.mark_learnt(tx, family, windows, too_old)
            proposed = await self._propose(tx, family, learnt, now)
        log.info(
            "warning_learnt", plant=family.plant, new=len(labelled), anew=held is None,
            proposed=proposed, figures=learnt.figures,
        )  # fmt: skip
        self.on_models()
        return True

    async def _propose(self, tx: Transaction, family: Family, learnt: Learnt, now: int) -> bool:
        if self.enough.lacks(learnt.figures):
            return False
        newest = await self._rows.newest(
            tx, family.tenant, family.plant, ("proposed", "first_approved", "approved", "rejected")
        )
        if newest is not None and not _worth(newest, learnt.figures, now):
            return False
        if newest is not None and newest.status in ("proposed", "first_approved"):
            await self._rows.save_model(
                tx, replace(newest, status="replaced", decided_at=now, decided_by="group")
            )
        made = Proposed(
            uuid7(self._clock), family.tenant, family.plant, family.tags, "proposed",
            learnt.model, learnt.figures, now,
        )  # fmt: skip
        await self._audit(
            tx, now, "group", "warning_model_proposed", made.id,
            {"plant": family.plant, "sites": list(family.sites), "figures": learnt.figures},
        )  # fmt: skip
        await self._rows.save_model(tx, made)
        return True


def _worth(newest: Proposed, figures: dict[str, float], now: int) -> bool:
    """Whether another proposal is worth people's time: one that grew, is better, or comes before
    the end of the last."""
    grown = figures["windows"] >= GROWN * newest.figures.get("windows", 0.0)
    better = figures["auc"] >= newest.figures.get("auc", 0.0) + BETTER
    return grown or better or now - newest.created_at >= RENEWED_MS
