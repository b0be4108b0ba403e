"""All alarms of the edge: their conditions over time, timers, suppression by design, settings.

Driven by the pipeline (conditions, time) and by the alarm service (people). Collects transitions
until `take`; no IO and no clock of its own.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import replace

from edge_node.domain.alarm_unit import (
    NOBODY,
    AlarmUnit,
    Cause,
    Moment,
    Transition,
    apply,
)
from shared.alarm.definition import AlarmDefinition
from shared.alarm.machine import AlarmEvent, Step, Trigger
from shared.alarm.point import Setting, due, tick

POINT, SHELF, RE_ALARM = "point", "shelf", "re_alarm"


class AlarmBook:
    """Alarm units by id."""

    def __init__(
        self, definitions: Iterable[AlarmDefinition], new_occurrence: Callable[[], str]
    ) -> None:
        ordered = _suppressors_first(list(definitions))
        self.units = {d.id: AlarmUnit(d, order) for order, d in enumerate(ordered)}
        self._dependents: dict[str, list[AlarmUnit]] = {}
        for unit in self.units.values():
            for suppressor in unit.definition.suppressed_by:
                self._dependents.setdefault(suppressor, []).append(unit)
        self._new_occurrence = new_occurrence
        self._timers: list[tuple[int, int, str, str]] = []
        self._out: list[Transition] = []
        self.offset_of: Callable[[AlarmUnit], int] = lambda unit: 0
        """Offset of the clock of the unit's source; set by the pipeline."""
        self.on_setting: Callable[[AlarmUnit], None] = lambda unit: None
        """Called after a unit's setting has changed."""
        self.now = 0

    def take(self) -> list[Transition]:
        """The transitions since the last call, in order."""
        out, self._out = self._out, []
        return out

    # time

    def arm(self, at: int, kind: str, unit: AlarmUnit) -> None:
        """Ask for a look at `unit` at steady time `at`; one that no longer applies is harmless.

        At one instant what ends comes first, and the suppressed before its suppressor: an alarm
        that has ended too must not be announced because another stops hiding it.
        """
        heapq.heappush(self._timers, (at, _rank(unit), kind, unit.id))

    @property
    def next_due(self) -> int | None:
        """When the next timer is due, None if none is armed."""
        return self._timers[0][0] if self._timers else None

    def due_timers(self, now: int) -> Iterable[tuple[int, str, AlarmUnit]]:
        """Pop (due, kind, unit) of all timers up to `now`, in order."""
        while self._timers and self._timers[0][0] <= now:
            at, _, kind, alarm = heapq.heappop(self._timers)
            yield at, kind, self.units[alarm]

    def on_timer(self, at: int, kind: str, unit: AlarmUnit) -> None:
        """Handle one of the book's own timers."""
        if kind == POINT:
            self.elapse(unit, at)
        elif kind == SHELF:
            until = unit.state.shelved_until
            if until is not None and until <= at:
                self.trigger(unit, AlarmEvent(Trigger.SHELF_EXPIRED), at)
        elif kind == RE_ALARM:
            self._re_alarm(unit, at)

    def _re_alarm(self, unit: AlarmUnit, at: int) -> None:
        every = unit.definition.re_alarm_ms
        if every and unit.state.active and unit.annunciated_at + every <= at:
            self.trigger(unit, AlarmEvent(Trigger.RE_ALARM), at)

    # conditions

    def follow(
        self, unit: AlarmUnit, holds: bool, at: int, value: float | None, quality: str = "good"
    ) -> None:
        """The condition is `holds` from `at` on; delays that ended before come first."""
        self.elapse(unit, at)
        if holds == unit.point.beyond:
            return
        unit.point = replace(unit.point, beyond=holds, since=at)
        unit.value, unit.quality = value, quality
        deadline = due(unit.definition.setting, unit.point)
        if deadline is None:
            return
        if deadline <= at:
            self.elapse(unit, at)
        else:
            self.arm(deadline, POINT, unit)

    def elapse_all(self, units: Iterable[AlarmUnit], now: int) -> None:
        """Let the pending delays of `units` end in the order of the clock."""
        pending = [
            (deadline, _rank(unit), unit)
            for unit in units
            if (deadline := due(unit.definition.setting, unit.point)) is not None
            and deadline <= now
        ]
        for deadline, _, unit in sorted(pending, key=lambda p: p[:2]):
            self.elapse(unit, deadline)

    def elapse(self, unit: AlarmUnit, now: int) -> None:
        """Let a pending delay of `unit` end, if it ends by `now`."""
        setting = unit.definition.setting
        deadline = due(setting, unit.point)
        if deadline is None or deadline > now:
            return
        unit.point, change = tick(setting, unit.point, deadline)
        if change is not None:
            kind = Trigger.RAISE if change == "raise" else Trigger.CLEAR
            self.trigger(unit, AlarmEvent(kind), deadline)

    # transitions

    def moment(self, unit: AlarmUnit, at: int) -> Moment:
        """`at` in all the times that a record carries."""
        return Moment(at, at - self.offset_of(unit), max(self.now, at))

    def trigger(self, unit: AlarmUnit, event: AlarmEvent, at: int, cause: Cause = NOBODY) -> Step:
        """Apply an event and all that follows from it by design."""
        result, transition = apply(unit, event, self.moment(unit, at), self._new_occurrence, cause)
        if transition is None:
            return result
        self._out.append(transition)
        if result.annunciate and unit.definition.re_alarm_ms:
            self.arm(at + unit.definition.re_alarm_ms, RE_ALARM, unit)
        if unit.state.shelved_until is not None:
            self.arm(unit.state.shelved_until, SHELF, unit)
        if unit.pending is not None and not unit.state.active:
            setting, version = unit.pending
            unit.pending = None
            self._swap(unit, setting, version)
        self._suppress_dependents(unit, at)
        return result

    def _suppress_dependents(self, unit: AlarmUnit, at: int) -> None:
        for dependent in self._dependents.get(unit.id, ()):
            self.settle_suppression(dependent, at)

    def settle_suppression(self, unit: AlarmUnit, at: int) -> None:
        """Make suppression by design of `unit` agree with the alarms that cause it."""
        above = (self.units.get(name) for name in unit.definition.suppressed_by)
        wanted = any(other is not None and other.suppresses() for other in above)
        if wanted != unit.state.suppressed:
            kind = Trigger.SUPPRESS if wanted else Trigger.UNSUPPRESS
            self.trigger(unit, AlarmEvent(kind), at)

    # settings

    def set_setting(self, unit: AlarmUnit, setting: Setting, version: int) -> bool:
        """New settings: at once, or (False) at the return to normal of an alarm that stands."""
        if unit.state.active:
            unit.pending = (setting, version)
            return False
        self._swap(unit, setting, version)
        return True

    def _swap(self, unit: AlarmUnit, setting: Setting, version: int) -> None:
        unit.definition = unit.definition.with_setting(setting, version)
        self.on_setting(unit)


def _rank(unit: AlarmUnit) -> int:
    return unit.order if unit.point.beyond else -unit.order - 1


def _suppressors_first(definitions: list[AlarmDefinition]) -> list[AlarmDefinition]:
    """Order in which alarms of one sample are evaluated: HIHI before the HI that it suppresses."""
    by_id = {d.id: d for d in definitions}
    done: dict[str, AlarmDefinition] = {}

    def visit(definition: AlarmDefinition, path: tuple[str, ...]) -> None:
        if definition.id in done or definition.id in path:
            return
        for name in definition.suppressed_by:
            if name in by_id:
                visit(by_id[name], (*path, definition.id))
        done[definition.id] = definition

    for definition in definitions:
        visit(definition, ())
    return list(done.values())
