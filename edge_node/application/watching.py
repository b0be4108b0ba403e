"""The alarms whose conditions the kernel does not run: shown samples, looked at, followed.

Part of the pipeline, which calls it for each sample of a watched tag, each timer and each change of
an alarm. Applies no delays itself: the alarm book does. No IO.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from math import nan

from edge_node.application.ipc import Samples
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit, Transition
from edge_node.domain.conditions.filtered import FilteredLimit
from edge_node.domain.conditions.port import Answer, Condition
from edge_node.domain.conditions.registry import condition_of
from edge_node.domain.conditions.zscore import watch as watch_spread
from edge_node.domain.tags import TagTable
from edge_node.kernel import Spread
from shared.alarm.point import PointState, due
from shared.alarm.states import AlarmState
from shared.telemetry import logger

log = logger("pipeline")
LOOK = "look"
"""Timer of looks by the clock."""
LATE_EVERY_MS = 60_000
"""How often it is told which windows' samples come late."""
ROUNDS = 8
"""How far changes of alarms that speak of alarms are followed at one instant."""


class Watching:
    """Conditions of their own, by alarm."""

    def __init__(self, tags: TagTable, book: AlarmBook, index: Callable[[str], int]) -> None:
        self._tags, self._book, self._index = tags, book, index
        self._conditions: dict[str, Condition] = {}
        self._readers: dict[int, list[AlarmUnit]] = {}
        """By the kernel's index of each of their tags."""
        self._speakers: dict[str, list[AlarmUnit]] = {}
        """The alarms that speak of an alarm."""
        self._due: dict[int, list[AlarmUnit]] = {}
        """Steady time -> alarms to look at then, together: see `_look_all`."""
        self._again: dict[str, int] = {}
        """Alarm -> when its answer changes by itself."""
        self._periodic: dict[str, int] = {}
        """Alarm -> its next look of every so often."""
        self._looked: dict[str, int] = {}
        self._rows: list[AlarmUnit] = []
        """The z-score alarms that the arrays run, by row."""
        self._row_of: dict[str, int] = {}
        self._scored: set[str] = set()
        """The tags of the rows."""
        self._spread: Spread | None = None
        self._tell_late_at = 0
        self._learnt: dict[str, tuple[float, float, int, int]] = {}
        """What the arrays of another version of the site knew; taken over at the start."""
        self._adopted: set[str] = set()
        """The alarms whose conditions go on from another version of the site."""
        tags.alarm = self._state

    def _state(self, alarm: str) -> AlarmState | None:
        unit = self._book.units.get(alarm)
        return unit.state if unit is not None else None

    def add(self, unit: AlarmUnit) -> list[int]:
        """Take an alarm in; the kernel's indexes of the tags whose samples it must be shown."""
        if self._in_arrays(unit):
            self._row_of[unit.id] = len(self._rows)
            self._rows.append(unit)
            self._scored.add(unit.definition.tag)
            return []
        condition = self._conditions[unit.id] = self._condition(unit)
        for alarm in condition.alarms:
            self._speakers.setdefault(alarm, []).append(unit)
        indexes = [self._index(tag) for tag in condition.tags]
        for index in indexes:
            self._readers.setdefault(index, []).append(unit)
        return indexes

    def _condition(self, unit: AlarmUnit) -> Condition:
        condition = condition_of(unit.definition, self._tags, self._book.units)
        if isinstance(condition, FilteredLimit):
            condition.was = lambda: unit.point.beyond
        return condition

    def filtered(self) -> Iterator[tuple[AlarmUnit, FilteredLimit]]:
        """The limit alarms that have a filter or may come to have one."""
        for alarm, condition in self._conditions.items():
            if isinstance(condition, FilteredLimit):
                yield self._book.units[alarm], condition

    def _in_arrays(self, unit: AlarmUnit) -> bool:
        """Plain z-scores, one for each tag, need no object of their own."""
        definition, spec = unit.definition, unit.definition.condition
        wrapped = spec is None or spec.repeats is not None or spec.schedule is not None
        if definition.kind != "zscore" or wrapped:
            return False
        return definition.tag not in self._scored

    def tags_of(self, alarm: str) -> tuple[str, ...]:
        """The tags that an alarm's own condition looks at."""
        condition = self._conditions.get(alarm)
        return condition.tags if condition is not None else ()

    def start(self, now: int) -> None:
        """After recovery: arm the looks by the clock, build the arrays."""
        if self._rows:
            self._spread = Spread(len(self._rows), len(list(self._tags)))
            for row, unit in enumerate(self._rows):
                watch_spread(self._spread, row, self._index(unit.definition.tag), unit.definition)
                self._spread.load(row, unit.point.beyond)
                if unit.id in self._learnt:
                    self._spread.learn(row, *self._learnt[unit.id])
        for alarm, condition in self._conditions.items():
            if condition.every_ms is not None:
                self._plan(self._periodic, now + condition.every_ms, self._book.units[alarm])

    def _plan(self, plan: dict[str, int], at: int, unit: AlarmUnit) -> None:
        plan[unit.id] = at
        if at not in self._due:
            self._due[at] = []
            self._book.arm(at, LOOK, unit)
        self._due[at].append(unit)

    # samples

    def readers(self, index: int) -> Sequence[AlarmUnit]:
        """The alarms that are shown the samples of a tag."""
        return self._readers.get(index, ())

    def show(
        self, readers: Sequence[AlarmUnit], tag: str, at: int, value: float | str, good: bool
    ) -> None:
        """Let the alarms that read a tag see its sample."""
        for unit in readers:
            self._conditions[unit.id].sample(tag, at, value, good)
        self._look_all(readers, at)

    def _look_all(self, units: Iterable[AlarmUnit], at: int) -> None:
        answers = [(unit, self._ask(unit, at)) for unit in units]
        # What ends comes first and in reverse, so that nothing comes out of hiding that has ended.
        for unit, answer in reversed(answers):
            if answer.holds is False:
                self._follow(unit, answer)
        for unit, answer in answers:
            if answer.holds is not False:
                self._follow(unit, answer)

    def scan(self, batch: Samples, base: int, offset: int, now: int) -> None:
        """Let the arrays score a batch that the kernel has found well-formed."""
        if self._spread is None:
            return
        columns = batch.tags, batch.times, batch.values, batch.qualities
        for row, present, at, score in self._spread.scan(*columns, base, offset, now):
            self._book.follow(self._rows[row], present, at, score)

    # time, other alarms, settings

    def on_timer(self, at: int, now: int) -> None:
        """Look at all that is to be looked at at `at`."""
        units = {unit.id: unit for unit in self._due.pop(at, ())}
        for unit in units.values():
            if self._again.get(unit.id) == at:
                del self._again[unit.id]
            condition = self._conditions.get(unit.id)
            if condition is None or condition.every_ms is None:
                continue
            if self._periodic.get(unit.id) == at:
                self._plan(self._periodic, max(at, now) + condition.every_ms, unit)
        self._look_all(sorted(units.values(), key=lambda unit: unit.order), at)
        if now >= self._tell_late_at:
            self._tell_late_at = now + LATE_EVERY_MS
            for tag, late in self._tags.news_of_late().items():
                log.info("late_samples", tag=tag, late=late.late, corrected=late.corrected,
                         too_late=late.too_late)  # fmt: skip

    def after(self, changes: list[Transition]) -> list[Transition]:
        """Look at what speaks of the alarms that have changed; all changes, in order."""
        told, fresh = list(changes), changes
        for _ in range(ROUNDS):
            units = {
                unit.id: unit
                for change in fresh
                for unit in self._speakers.get(change.body.alarm, ())
            }
            if not units:
                break
            self._look_all(units.values(), self._book.now)
            fresh = self._book.take()
            told += fresh
        return told

    def change(self, unit: AlarmUnit) -> None:
        """The alarm has other settings: go on by them from where it has got to."""
        row = self._row_of.get(unit.id)
        if row is not None and self._spread is not None:
            watch_spread(self._spread, row, self._index(unit.definition.tag), unit.definition)
            return
        old = self._conditions.get(unit.id)
        if old is None or unit.pending is not None:
            return
        new = self._condition(unit)
        new.adopt(old)
        self._conditions[unit.id] = new
        self._look_all([unit], self._book.now)

    def adopt(self, old: Watching, known: Container[str]) -> None:
        """Let conditions go on from where those of another version of the site have got to.

        Only where all their tags mean what they meant (`known`): what was learnt of another value
        would be held against this one.
        """
        rows = {unit.id: (row, unit.definition.tag) for row, unit in enumerate(old._rows)}
        for unit in self._rows if old._spread is not None else ():
            row, tag = rows.get(unit.id, (0, ""))
            if old._spread is not None and tag == unit.definition.tag and tag in known:
                self._learnt[unit.id] = old._spread.learnt(row)
        for alarm, condition in self._conditions.items():
            before = old._conditions.get(alarm)
            if before is None or type(before) is not type(condition):
                continue
            if before.tags == condition.tags and all(tag in known for tag in condition.tags):
                condition.adopt(before)
                self._adopted.add(alarm)

    def load_from(self, pending: Mapping[str, tuple[int, float, str] | None]) -> None:
        """Go on with the delays of limits that the kernel of another version of the site ran."""
        for unit, _ in self.filtered():
            if (found := pending.get(unit.id)) is None:
                continue
            raw = unit.point.raw
            setting = unit.definition.setting
            delay = setting.off_delay_ms if raw else setting.on_delay_ms
            unit.point = PointState(beyond=not raw, since=found[0] - delay, raw=raw)
            unit.value, unit.quality = found[1], found[2]

    def recall(self, index: int, tag: str, at: int, value: float | str, good: bool) -> None:
        """Show the last sample of a tag to the conditions that have not seen it."""
        for unit in self._readers.get(index, ()):
            if unit.id not in self._adopted:
                self._conditions[unit.id].sample(tag, at, value, good)

    def look_now(self, at_whom: Callable[[AlarmUnit], bool]) -> None:
        """Look at alarms once: values and definitions may have changed without a sample."""
        units = filter(at_whom, (self._book.units[alarm] for alarm in self._conditions))
        self._look_all(sorted(units, key=lambda unit: unit.order), self._book.now)

    def _ask(self, unit: AlarmUnit, at: int) -> Answer:
        # A sample of later than a timer may be seen before it: for an alarm time never goes back.
        at = self._looked[unit.id] = max(at, self._looked.get(unit.id, at))
        self._tags.now = at
        return self._conditions[unit.id].look(self._tags, at)

    def _follow(self, unit: AlarmUnit, answer: Answer) -> None:
        at = self._looked[unit.id]
        if answer.holds is not None:
            self._book.follow(unit, answer.holds, at, answer.value, under=answer.under)
        if answer.again_at is not None and answer.again_at > at:
            known = self._again.get(unit.id)
            if known is None or answer.again_at < known:
                self._plan(self._again, answer.again_at, unit)
        if answer.filling != unit.filling:  # said and shown: its limit is another one meanwhile
            unit.filling = answer.filling
            log.info("filter_filling" if answer.filling else "filter_filled", alarm=unit.id,
                     filter=unit.definition.setting.filter)  # fmt: skip
        reason = "" if answer.holds is not None else answer.reason or "unknown"
        if reason != unit.unknown:  # unknown keeps the state, and says so
            log.info("condition_unknown" if reason else "condition_known",
                     alarm=unit.id, reason=reason or None)  # fmt: skip
            unit.unknown = reason


def pending_of(unit: AlarmUnit) -> tuple[int, float, str] | None:
    """(end, value, quality) of the delay that an alarm waits for, as the kernel would tell it."""
    ends = due(unit.waits, unit.point)
    return None if ends is None else (ends, nan if unit.value is None else unit.value, unit.quality)
