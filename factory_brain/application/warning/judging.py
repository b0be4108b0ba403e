"""Judges the newest window of each plant that has a model, and says when a warning stands.

Run by the brain that leads. A judgement and the warning that follows from it are one transaction
behind the leader's fence, and a window is judged once: whoever is killed raises nothing twice.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace

from factory_brain.application.ports import Transaction
from factory_brain.application.warning import off_loop
from factory_brain.application.warning.alarms import WarningAlarms
from factory_brain.application.warning.norms import Norms
from factory_brain.application.warning.ports import EarlyWarning, Judged, Model, Norm
from factory_brain.application.warning.windows import Ground
from factory_brain.domain.warning import (
    CLEAR_SHARE,
    IN_A_ROW,
    SILENT_CLEARS,
    Heard,
    Plant,
    moved,
)
from factory_brain.domain.warning_words import alarm_of
from shared.alarm.warning_schema import LEAD, WINDOW_MIN, WINDOW_MS
from shared.messages.warning import read
from shared.telemetry import logger

log = logger("warning")
EVERY_S = 60.0
SETTLED_MS = 120_000
"""After a window's end: its last minute has come and is summarised by then."""
KEPT_MS = 60 * 86_400_000


class Judging:
    """Early warnings of one factory."""

    def __init__(self, ground: Ground, norms: Norms, alarms: WarningAlarms) -> None:
        self._ground, self._norms, self._alarms = ground, norms, alarms
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A model has come or gone."""
        self._wake.set()

    async def run(self) -> None:
        """Judge for ever."""
        while True:
            self._wake.clear()
            await self.round()
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def round(self) -> int:
        """Judge what is new; returns how many windows were.

        A plant that cannot be judged stops no other: its fault is raised when all were tried.
        """
        try:
            return await self._round(self._ground.clock.now_ms())
        finally:
            # Whatever went wrong: what is stored by now is shown.
            await self._alarms.refresh()

    async def _round(self, now: int) -> int:
        ground, done, faults = self._ground, 0, list[Exception]()
        models = {model.plant: model for model in await ground.rows.models()}
        if not models and not await ground.rows.shown(now):
            return 0
        plants = {plant.key: plant for plant in ground.plants()}
        for key, model in sorted(models.items()):
            if key not in plants:
                continue
            try:
                done += await self._judge(plants[key], model, now)
            except Exception as error:  # of one plant, whatever it is: the others go on
                log.error("plant_not_judged", plant=key, error=repr(error))
                faults.append(error)
        await self._end_others({key for key in models if key in plants}, now)
        if done:
            await ground.rows.forget(now - KEPT_MS)
        if faults:
            raise faults[0]
        return done

    async def _judge(self, plant: Plant, model: Model, now: int) -> bool:
        rows = self._ground.rows
        end = (now - SETTLED_MS) // WINDOW_MS * WINDOW_MS
        before = await rows.judged(plant.key, end - (SILENT_CLEARS + 1) * WINDOW_MS)
        if before and before[-1].at >= end:
            return False
        said = await self._say(plant, model, end, now)
        async with rows.transaction() as tx:
            await self._ground.group.fence(tx)
            if not await rows.keep_judged(tx, said):
                return False
            await self._settle(tx, plant, [*before, said], now)
        return True

    async def _say(self, plant: Plant, model: Model, end: int, now: int) -> Judged:
        silent = Judged(plant.key, end, model.push)
        if now >= model.expires_at:
            return replace(silent, silent="expired")
        ground, begin = self._ground, end - WINDOW_MS
        if await ground.reads.drills(ground.assets(), plant.line, begin, end):
            return replace(silent, silent="drill")
        norm = await self._norms.of(plant)
        if isinstance(norm, str):
            return replace(silent, silent=norm)
        return await self._numbers(silent, norm, model)

    async def _numbers(self, silent: Judged, norm: Norm, model: Model) -> Judged:
        first = silent.at - (LEAD + 1) * WINDOW_MS
        minutes = await self._ground.samples.minutes(norm.tags, first, (LEAD + 1) * WINDOW_MIN)
        made = await off_loop.vectors(norm, minutes, [silent.at])
        if silent.at not in made:
            return replace(silent, silent="inputs")
        data = read(model.payload).model
        said = await off_loop.judge(data, made[silent.at])
        return replace(
            silent, confidence=said.confidence, threshold=said.threshold, hit=said.hit,
            tags=said.tags, outside=said.outside,
        )  # fmt: skip

    async def _settle(
        self, tx: Transaction, plant: Plant, said: Sequence[Judged], now: int
    ) -> None:  # fmt: skip
        """Raise, clear or leave the warning of this line."""
        rows, newest = self._ground.rows, said[-1]
        standing = await rows.standing(tx, alarm_of(plant.line))
        # Another model or another plant than that which raised it: its windows count alone.
        heard = [_heard(each) for each in said if each.push == newest.push]
        stands = moved(standing is not None, heard)
        if standing is not None and not stands:
            await rows.put(tx, replace(standing, returned_at=now, changed=now))
        elif standing is None and stands:
            await rows.put(tx, _warning(plant, newest, now))

    async def _end_others(self, judged: set[str], now: int) -> None:
        """A warning whose model was withdrawn, or whose plant is no more, stands no longer."""
        rows = self._ground.rows
        for each in await rows.shown(now):
            if each.returned_at is None and each.plant not in judged:
                async with rows.transaction() as tx:
                    await self._ground.group.fence(tx)
                    found = await rows.standing(tx, each.alarm)
                    if found is not None and found.plant not in judged:
                        await rows.put(tx, replace(found, returned_at=now, changed=now))


def _heard(said: Judged) -> Heard:
    low = not said.hit and said.confidence < CLEAR_SHARE * said.threshold
    return Heard(said.at, said.confidence, said.hit, low, bool(said.silent))


def _warning(plant: Plant, said: Judged, now: int) -> EarlyWarning:
    confidence = said.confidence if math.isfinite(said.confidence) else 0.0
    return EarlyWarning(
        f"{alarm_of(plant.line)}#{said.at}", alarm_of(plant.line), plant.line, plant.key,
        said.push, now, said.at - IN_A_ROW * WINDOW_MS, confidence, said.threshold, said.tags,
        said.outside, len(plant.tags), now,
    )  # fmt: skip
