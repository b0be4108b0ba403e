"""Verdicts: how late each candidate of the nominated points would have told of a fault.

Called at the end of the shadow job's round. A fault may be recorded days late; where its samples
are gone the group is told that nothing is known, once.
"""

from __future__ import annotations

from dataclasses import dataclass

from factory_brain.application.shadow.ports import Counters, Days, Faults, Group, Judged, Point
from factory_brain.application.shadow.questions import Questions
from factory_brain.application.shadow.tasks import FaultCount
from factory_brain.domain.faults import Fault
from factory_brain.domain.shadow import DAY_MS, Signal, line_of
from shared.clock import Clock
from shared.messages.bodies import ShadowVerdicts
from shared.site.assets import AssetTree

RECORDED_MS = 30 * DAY_MS
"""Faults recorded longer ago are not looked at again."""
MOST_FAULTS = 500
LONGEST_MS = 2 * DAY_MS
"""So much of a fault is looked at: what tells later than this has not told of it."""
AFTER_MS = 5 * 60_000
"""An alarm has told of a fault when it stands for this long: it may begin at the very end."""
WHOLE = 0.98


@dataclass(frozen=True, slots=True)
class Reach:
    """For how long samples are stored and late ones come."""

    site: str
    days: int
    lateness_days: int


class Judging:
    """Says what the candidates would have said."""

    def __init__(
        self, reach: Reach, clock: Clock, tree: AssetTree, faults: Faults, days: Days,
        questions: Questions, counters: Counters, group: Group,
    ) -> None:  # fmt: skip
        self._reach, self._clock, self._tree = reach, clock, tree
        self._faults, self._days, self._questions = faults, days, questions
        self._counters, self._group = counters, group
        self.judged = 0

    async def round(self, points: list[Point]) -> None:
        """Judge every recorded fault that some nominated point has not been held against."""
        now = self._clock.now_ms()
        faults = await self._faults.recent(now - RECORDED_MS, MOST_FAULTS)
        known = await self._days.judged([fault.id for fault in faults])
        for fault in faults:
            near = [p for p in points if self._line(p) == fault.line]
            by_tag: dict[str, list[Point]] = {}
            for point in near:
                was = known.get((fault.id, point.alarm))
                if self._due(fault, was, now):
                    by_tag.setdefault(self._questions.tag(point), []).append(point)
            for tag, due in sorted(by_tag.items()):
                await self._judge(fault, tag, due, known)

    def _line(self, point: Point) -> str:
        definition = self._questions.definition(point)
        return line_of(self._tree, definition.asset) if definition else ""

    def _due(self, fault: Fault, was: Judged | None, now: int) -> bool:
        if now < fault.end + AFTER_MS:
            return False
        if was is None or was.fault_revision != fault.revision:
            return True
        late = now - fault.end < self._reach.lateness_days * DAY_MS
        return late and was.coverage < WHOLE

    async def _judge(
        self, fault: Fault, tag: str, due: list[Point], known: dict[tuple[str, str], Judged]
    ) -> None:
        end = min(fault.end, fault.start + LONGEST_MS)
        lead = max(self._questions.lead(point) for point in due)
        signal = await self._days.signal(tag, fault.start, end + AFTER_MS, lead)
        fresh = [p for p in due if self._news(fault, known.get((fault.id, p.alarm)), signal)]
        if not fresh:
            return
        live = await self._questions.live()
        asked = [self._questions.of(point, live) for point in fresh]
        if signal.rows:
            found = await self._counters.judge(signal, fault.start, end, asked)
        else:
            found = [FaultCount(each.alarm, each.grid, b"", {}) for each in asked]
        for point, answer in zip(fresh, found, strict=True):
            was = known.get((fault.id, point.alarm))
            revision = max(was.revision + 1 if was else 1, self._clock.now_ms())
            said = Judged(fault.revision, revision, signal.rows, signal.coverage)
            await self._commit(fault, point, was, said, answer)

    def _news(self, fault: Fault, was: Judged | None, signal: Signal) -> bool:
        if was is None or was.fault_revision != fault.revision:
            return True
        return signal.rows > was.rows

    async def _commit(
        self, fault: Fault, point: Point, was: Judged | None, said: Judged, answer: FaultCount
    ) -> None:
        body = ShadowVerdicts(
            site=self._reach.site, edge=point.edge, alarm=point.alarm, fault=fault.id,
            grid=answer.grid, delays=answer.delays, fault_revision=fault.revision,
            revision=said.revision, named=answer.named, coverage=round(said.coverage, 6),
        )  # fmt: skip
        async with self._faults.transaction() as tx:
            await self._group.fence(tx)
            if await self._days.put_verdict(
                tx, fault.id, point.alarm, was, said, self._clock.now_ms()
            ):
                await self._group.say(tx, "shadow_verdicts", body)
                self.judged += 1
