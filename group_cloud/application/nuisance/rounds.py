"""Learns from people's verdicts which alarms are likely nuisance, factory by factory, and ranks.

Woken by ingest; its queue is the table of outcomes, so nothing is lost by a crash and nothing is
learnt twice. It ranks and proposes to people; it hides, delays and shelves nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from itertools import count

from group_cloud.application.kept_state import UnreadableStateError, each_alone
from group_cloud.application.nuisance.features import DAY_MS, WEEK_MS, Week
from group_cloud.application.nuisance.ports import (
    Learnt,
    Model,
    NuisanceRows,
    PointRank,
    Raised,
    Ranker,
    Seen,
    Spot,
    Verdict,
)
from group_cloud.application.nuisance.shelving import GROUP, ShelvingDesk
from group_cloud.application.ports import Audit, Records
from shared.clock import Clock
from shared.telemetry import logger

log = logger("nuisance")
BATCH = 500
"""Verdicts of one transaction."""
HELD = 5_000
"""Newest verdicts from which a ranker is made anew when people have changed their minds."""
WINDOW = 20_000
"""Alarms of a factory that are looked at together."""
POINTS = 5_000
RECENT = 20
"""Newest alarms of a point that its rank is made of."""
EVERY_S, AT_LEAST_S = 3600.0, 30.0
LOOKED_MS, RANKED_MS = 300_000, 3_600_000
"""Between two looks whether people have changed their minds, and two ranks without new verdicts."""


class NuisanceRounds:
    """Learns and ranks, for all factories."""

    def __init__(
        self, rows: NuisanceRows, records: Records, ranker: Ranker, shelving: ShelvingDesk,
        clock: Clock, audit: Audit,
    ) -> None:  # fmt: skip
        self._audit = audit
        self._rows, self._records, self._ranker = rows, records, ranker
        self._shelving, self._clock = shelving, clock
        self._wake = asyncio.Event()
        self._looked_at: dict[str, int] = {}
        self._ranked_at: dict[str, int] = {}
        self.on_change: Callable[[], None] = lambda: None

    def wake(self) -> None:
        """People have judged something."""
        self._wake.set()

    async def run(self) -> None:
        """Learn and rank for ever."""
        while True:
            self._wake.clear()
            await each_alone(await self._rows.sites(), self.round, log, "nuisance_round_failed")
            await asyncio.sleep(AT_LEAST_S)
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def round(self, site: str) -> bool:
        """Bring one factory up to date; returns whether anything was learnt."""
        try:
            return await self._round(site)
        except UnreadableStateError as error:
            log.error("nuisance_state_unreadable", site=site, error=str(error))
            await self._anew(site, str(error))
            self._ranked_at.pop(site, None)
            await self._round(site)
            return True

    async def _round(self, site: str) -> bool:
        learnt, now = False, self._clock.now_ms()
        if now - self._looked_at.get(site, -LOOKED_MS) >= LOOKED_MS:
            learnt = await self._rows.changed(site) and await self._anew(site)
            self._looked_at[site] = now
        while verdicts := await self._rows.new(site, BATCH):
            if not await self._learn(site, verdicts):
                break
            learnt = True
        if learnt or now - self._ranked_at.get(site, -RANKED_MS) >= RANKED_MS:
            await self._rank(site)
            self._ranked_at[site] = now
            self.on_change()
        return learnt

    async def _learn(self, site: str, verdicts: Sequence[Verdict]) -> bool:
        """The next verdicts, however late they come."""
        model = await self._rows.model(site)
        seen = await self._seen(site, [(each, None) for each in verdicts])
        return await self._take(site, model, model, verdicts, seen, anew=False)

    async def _anew(self, site: str, because: str = "") -> bool:
        """What was learnt cannot be unlearnt: the newest verdicts as they stand make a new ranker,
        and what is older stays unlearnt."""
        known, floor = await self._rows.standing(site, HELD)
        seen = await self._seen(site, known)
        verdicts = [verdict for verdict, _ in known]
        before = await self._rows.model(site)
        start = Model(floor=floor)
        return await self._take(site, before, start, verdicts, seen, anew=True, because=because)

    async def _take(
        self, site: str, before: Model, start: Model, verdicts: Sequence[Verdict],
        seen: Sequence[Seen], *, anew: bool, because: str = "",
    ) -> bool:  # fmt: skip
        said = [each.nuisance for each in verdicts]
        pairs = list(zip(seen, said, strict=True))
        scored, champion, data = await asyncio.to_thread(self._ranker.learn, start.data, pairs)
        learnt = [
            Learnt(verdict, what, before.learnt + place, told)
            for place, verdict, what, told in zip(count(1), verdicts, seen, scored, strict=False)
        ]
        now = Model(before.learnt + len(learnt) + int(anew), champion, data, start.floor)
        at = self._clock.now_ms()
        async with self._records.transaction() as tx:
            kept = await self._rows.keep(tx, site, before, now, learnt, at, anew=anew)
            if kept and because:
                await self._audit(tx, at, GROUP, "nuisance_begun_anew", site, {"error": because})
            return kept

    async def _seen(self, site: str, verdicts: Sequence[tuple[Verdict, Seen | None]]) -> list[Seen]:
        """What was known when each came up, in windows of one day and the week before it."""
        days: dict[int, list[Verdict]] = {}
        found = {known.occurrence: known for _, known in verdicts if known is not None}
        for verdict, known in verdicts:
            if known is None:
                days.setdefault(verdict.raised_at // DAY_MS, []).append(verdict)
        for day, mine in sorted(days.items()):
            raised = await self._rows.raised(
                site, day * DAY_MS - WEEK_MS, (day + 1) * DAY_MS, WINDOW
            )
            found |= await asyncio.to_thread(_looked_up, raised, mine)
        return [found[verdict.occurrence] for verdict, _ in verdicts]

    async def _rank(self, site: str) -> None:
        now = self._clock.now_ms()
        model, spots = await self._rows.model(site), await self._rows.spots(site, POINTS)
        raised = await self._rows.raised(site, now - 2 * WEEK_MS, now, WINDOW)

        def ranked() -> list[PointRank]:
            week = Week(raised)
            since = now - WEEK_MS
            recent = {
                spot.alarm: week.newest(spot.alarm, RECENT, now)
                for spot in spots if week.count(spot.alarm, since)
            }  # fmt: skip
            counts = {spot.alarm: week.count(spot.alarm, since) for spot in spots}
            worth = [spot for spot in spots if spot.labels or counts[spot.alarm]]
            return [
                _counted(each, counts[each.alarm])
                for each in self._ranker.rank(model.data, worth, recent)
            ]

        ranks = await asyncio.to_thread(ranked)
        async with self._records.transaction() as tx:
            await self._rows.keep_ranks(tx, site, ranks, now)
            by_alarm: dict[str, Spot] = {spot.alarm: spot for spot in spots}
            await self._shelving.propose(tx, site, ranks, by_alarm)


def _looked_up(raised: Sequence[Raised], verdicts: Sequence[Verdict]) -> dict[str, Seen]:
    week = Week(raised)
    return {
        each.occurrence: week.seen(each.occurrence, each.alarm, each.raised_at) for each in verdicts
    }


def _counted(rank: PointRank, raised: int) -> PointRank:
    return PointRank(
        rank.alarm, rank.edge, rank.probability, rank.low, rank.high, rank.labels, rank.nuisance,
        raised, rank.last_true_at, rank.because,
    )  # fmt: skip
