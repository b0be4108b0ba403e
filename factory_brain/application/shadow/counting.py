"""The shadow job: counts each nominated alarm point's candidates, day by day, exactly once.

Run by the brain that leads, one tag at a time in another process. A day's count and its message
to the group are one transaction; what is counted is noted, so a round that was cut short goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from factory_brain.application.shadow.full_rate import FullRate
from factory_brain.application.shadow.ports import Counters, Days, Done, Group, Point, Points
from factory_brain.application.shadow.questions import Questions
from factory_brain.application.shadow.tasks import DayCount
from factory_brain.domain.shadow import DAY_MS, Signal
from shared.alarm.point import Setting
from shared.alarm.shadow import setting_data
from shared.clock import Clock
from shared.messages.bodies import ShadowCounts
from shared.telemetry import logger

log = logger("shadow")
SETTLED_MS = 15 * 60_000
"""A day is counted when this long has passed since its end: edges bring what they held back."""
ASK_EVERY_S = 60.0
PACE_MS = 2
"""For each sample of the day that runs: 86,400 of them are counted again after three minutes."""
KEPT_DAYS = 60
"""Days for which it is noted what was counted."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How the job runs."""

    site: str
    every_s: float
    days: int
    """Days of samples that are stored."""
    lateness_days: int = 3
    """So long late samples have a finished day counted again."""
    running_day: bool = False
    """Count the day that runs as well, again and again: for demonstrations."""


@dataclass(frozen=True, slots=True)
class _Span:
    """A tag's part of a day."""

    day: int
    tag: str
    rows: int
    """As the summaries of the historian count them."""
    until: int


class ShadowJob:
    """Counts what is nominated."""

    def __init__(
        self, plan: Plan, clock: Clock, points: Points, days: Days, questions: Questions,
        counters: Counters, group: Group, full_rate: FullRate,
    ) -> None:  # fmt: skip
        self._plan, self._clock = plan, clock
        self._points, self._days, self._questions = points, days, questions
        self._counters, self._group, self._full_rate = counters, group, full_rate
        self.after: list[Callable[[list[Point]], Awaitable[None]]] = []
        """Told the nominated points at the end of each round."""
        self.on_rest: Callable[[], Awaitable[None]] | None = None
        """Called when there is nothing to count for a while."""
        self.counted = 0
        """Days of points that were counted since the start."""

    async def run(self) -> None:
        """Count for ever."""
        try:
            while True:
                await self.round()
                await asyncio.sleep(self._plan.every_s)
        finally:
            await self._rest()

    async def ask(self) -> None:
        """Keep every sample of the counted tags coming, for ever."""
        while True:
            points = await self._points.points()
            await self._full_rate.ask(self._questions.tag(p) for p in points if self._known(p))
            await asyncio.sleep(min(ASK_EVERY_S, self._plan.every_s))

    async def round(self) -> int:
        """Count all that is due; returns how many days of points."""
        before, now = self.counted, self._clock.now_ms()
        points = {p.alarm: p for p in await self._points.points() if self._known(p)}
        last = (now - SETTLED_MS) // DAY_MS - 1
        first = now // DAY_MS - self._plan.days + 1
        done = await self._days.done(first)
        for day in range(first, last + 1):
            await self._day(day, day * DAY_MS + DAY_MS, points, done)
        if self._plan.running_day:
            for day in range(last + 1, now // DAY_MS + 1):
                await self._day(day, min(day * DAY_MS + DAY_MS, now), points, done)
        for told in self.after:
            await told(list(points.values()))
        await self._days.forget(now // DAY_MS - KEPT_DAYS, now - KEPT_DAYS * DAY_MS)
        await self._rest()
        return self.counted - before

    async def _rest(self) -> None:
        if self.on_rest is not None:
            await self.on_rest()

    def _known(self, point: Point) -> bool:
        return self._questions.definition(point) is not None

    async def _day(
        self, day: int, until: int, points: dict[str, Point], done: dict[tuple[str, int], Done]
    ) -> None:
        tags = sorted({self._questions.tag(p) for p in points.values()})
        settled = self._clock.now_ms() - until > self._plan.lateness_days * DAY_MS
        if settled and all((alarm, day) in done for alarm in points):
            return
        stored = await self._days.stored(tags, day * DAY_MS, until)
        for tag in tags:
            rows = stored.get(tag, 0)
            due = [
                p for p in points.values()
                if self._questions.tag(p) == tag
                and _due(done.get((p.alarm, day)), rows, until, settled)
            ]  # fmt: skip
            if due:
                await self._tag(_Span(day, tag, rows, until), due, points, done)

    async def _tag(
        self, span: _Span, due: list[Point], points: dict[str, Point],
        done: dict[tuple[str, int], Done],
    ) -> None:  # fmt: skip
        lead = max(self._questions.lead(point) for point in due)
        signal = await self._days.signal(span.tag, span.day * DAY_MS, span.until, lead)
        if not signal.rows:
            return  # nothing was stored of that day: nothing can be said about it
        live = await self._questions.live()
        answers = await self._counters.count_day(
            signal, [self._questions.of(point, live) for point in due]
        )
        for point, answer in zip(due, answers, strict=True):
            was = done.get((point.alarm, span.day))
            # By the clock, so that it grows even if this database was restored to an earlier day.
            revision = max(was.revision + 1 if was else 1, self._clock.now_ms())
            counted = Done(revision, max(span.rows, signal.rows), span.until)
            settings = self._questions.named(point, live)
            body = self._body(point, span.day, signal, answer, settings, revision)
            kept = self._keeping(point, answer)
            if await self._commit(kept, span.day, was, counted, body):
                points[point.alarm] = kept
                done[point.alarm, span.day] = counted
                self.counted += 1

    def _keeping(self, point: Point, answer: DayCount) -> Point:
        """The point with the grid that it was counted with: its days are to add up."""
        if point.given:
            return point
        return replace(point, grid=answer.grid, base=self._questions.base(point))

    async def _commit(
        self, point: Point, day: int, was: Done | None, done: Done, body: ShadowCounts
    ) -> bool:
        async with self._points.transaction() as tx:
            await self._group.fence(tx)
            if not await self._days.put_day(tx, point.alarm, day, was, done, self._clock.now_ms()):
                return False
            if not point.given:
                await self._points.keep_grid(tx, point.alarm, point.grid, point.base)
            await self._group.say(tx, "shadow_counts", body)
        return True

    def _body(
        self, point: Point, day: int, signal: Signal, answer: DayCount,
        settings: dict[str, Setting], revision: int,
    ) -> ShadowCounts:  # fmt: skip
        definition = self._questions.definition(point)
        return ShadowCounts(
            site=self._plan.site, edge=point.edge, alarm=point.alarm,
            tag_class=definition.tag_class if definition else "",
            side=definition.side or "" if definition else "",
            unit=definition.unit if definition else "",
            day=day, since=signal.since, until=signal.until, grid=answer.grid,
            activations=answer.activations, standing=answer.standing, revision=revision,
            named=answer.named,
            settings={name: setting_data(each) for name, each in settings.items()},
            engineer_only=answer.engineer_only, engineer_only_more=answer.engineer_only_more,
            coverage=round(signal.coverage, 6), sigma=answer.sigma, mean=answer.mean,
        )  # fmt: skip


def _due(was: Done | None, rows: int, until: int, settled: bool) -> bool:
    """Never counted; or, while it is not settled, more has come or more of the day is over.

    The day that runs is counted the more seldom the more there is of it.
    """
    if was is None:
        return True
    if until % DAY_MS:
        return until - was.until >= rows * PACE_MS
    return not settled and (rows > was.rows or until > was.until)
