"""All alarms of the edge: conditions over time, timers, suppression, first-out, settings.

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
    describe,
)
from edge_node.domain.first_out import FirstOut
from edge_node.domain.suppression import Suppression, gate_of
from shared.alarm.condition import ModelParameters
from shared.alarm.definition import AlarmDefinition
from shared.alarm.machine import AlarmEvent, Step, Trigger, re_alarms
from shared.alarm.point import PointState, Setting, due, tick
from shared.alarm.states import AlarmState

POINT, SHELF, RE_ALARM = "point", "shelf", "re_alarm"


class AlarmBook:
    """Alarm units by id."""

    def __init__(
        self, definitions: Iterable[AlarmDefinition], new_occurrence: Callable[[], str]
    ) -> None:
        plain = list(definitions)
        gates = [gate for d in plain if (gate := gate_of(d)) is not None]
        ordered = gates + _suppressors_first(plain)
        self.units = {d.id: AlarmUnit(d, order) for order, d in enumerate(ordered)}
        for gate in gates:
            self.units[gate.id].internal = True
        self.suppression = Suppression(self.units)
        self._first_out = FirstOut(self.units.values())
        self._new_occurrence = new_occurrence
        self._timers: list[tuple[int, int, str, str]] = []
        self._out: list[Transition] = []
        self.offset_of: Callable[[AlarmUnit], int] = lambda unit: 0
        """Offset of the clock of the unit's source; set by the pipeline."""
        self.on_setting: Callable[[AlarmUnit], None] = lambda unit: None
        """Called after a unit's setting has changed, or has begun to wait."""
        self.now = 0

    def take(self) -> list[Transition]:
        """The transitions since the last call, in order."""
        out, self._out = self._out, []
        return self._first_out.settle(out) if self._first_out.groups else out

    # time

    def arm(self, at: int, kind: str, unit: AlarmUnit) -> None:
        """Ask for a look at `unit` at steady time `at`; one that no longer applies is harmless.

        At one instant what ends comes first, and the suppressed before its suppressor: an alarm
        that has ended too must not be announced because another stops hiding it.
        """
        heapq.heappush(self._timers, (at, _rank(unit), kind, unit.id))

    def arm_all(self, unit: AlarmUnit, now: int) -> None:
        """Ask for all looks that its past wants, at the start or after another site's book."""
        if unit.state.shelved_until is not None:
            self.arm(max(now, unit.state.shelved_until), SHELF, unit)
        if unit.definition.re_alarm_ms and unit.state.active:
            latest = now + unit.definition.re_alarm_ms
            begun = unit.re_alarm_at or latest
            unit.re_alarm_at = min(latest, max(now, begun))
            self.arm(unit.re_alarm_at, RE_ALARM, unit)
        deadline = due(unit.waits, unit.point)
        if deadline is not None:
            self.arm(max(now, deadline), POINT, unit)

    @property
    def next_due(self) -> int | None:
        """When the next timer is due, None if none is armed."""
        return self._timers[0][0] if self._timers else None

    def due_timers(self, now: int) -> Iterable[tuple[int, str, AlarmUnit]]:
        """Pop (due, kind, unit) of all timers up to `now`, in order."""
        while self._timers and self._timers[0][0] <= now:
            at, _, kind, alarm = heapq.heappop(self._timers)
            yield at, kind, self.units[alarm]

    def due_before(self, at: int, rank: int) -> Iterable[tuple[int, str, AlarmUnit]]:
        """The same for those that come before a change of `rank` at `at` (see `arm`)."""
        while self._timers and self._timers[0][:2] < (at, rank):
            due_at, _, kind, alarm = heapq.heappop(self._timers)
            yield due_at, kind, self.units[alarm]

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
        if at >= unit.re_alarm_at and re_alarms(unit.definition.policy, unit.state):
            self.trigger(unit, AlarmEvent(Trigger.RE_ALARM), at)

    # conditions

    def follow(
        self, unit: AlarmUnit, holds: bool, at: int, value: float | None, quality: str = "good",
        under: Setting | None = None,
    ) -> None:  # fmt: skip
        """The condition is `holds` from `at` on; delays that ended before come first.

        `under`: the setting whose delay a change begins, where it is not the definition's.
        """
        self.elapse(unit, at)
        if holds == unit.point.beyond:
            if under is not None and unit.under is None:  # a new setting came while it waited
                unit.under = under
                deadline = due(under, unit.point)
                if deadline is not None:
                    self.arm(max(at, deadline), POINT, unit)
            return
        unit.under = under
        unit.point = replace(unit.point, beyond=holds, since=at)
        unit.value, unit.quality = value, quality
        deadline = due(unit.waits, unit.point)
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
            if (deadline := due(unit.waits, unit.point)) is not None and deadline <= now
        ]
        for deadline, _, unit in sorted(pending, key=lambda p: p[:2]):
            self.elapse(unit, deadline)

    def elapse(self, unit: AlarmUnit, now: int) -> None:
        """Let a pending delay of `unit` end, if it ends by `now`."""
        setting = unit.waits
        deadline = due(setting, unit.point)
        if deadline is None or deadline > now:
            return
        unit.point, change = tick(setting, unit.point, deadline)
        if change is not None:
            kind = Trigger.RAISE if change == "raise" else Trigger.CLEAR
            self.trigger(unit, AlarmEvent(kind), deadline)

    def changed(
        self, unit: AlarmUnit, present: bool, at: int, value: float | None, quality: str = "good"
    ) -> None:
        """The kernel has decided, delays included, that the condition is `present` from `at` on."""
        unit.point = PointState(present, at, present)
        unit.value, unit.quality = value, quality
        self.trigger(unit, AlarmEvent(Trigger.RAISE if present else Trigger.CLEAR), at)

    # transitions

    def moment(self, unit: AlarmUnit, at: int) -> Moment:
        """`at` in all the times that a record carries."""
        return Moment(at, at - self.offset_of(unit), max(self.now, at))

    def trigger(self, unit: AlarmUnit, event: AlarmEvent, at: int, cause: Cause = NOBODY) -> Step:
        """Apply an event and all that follows from it by design."""
        before = unit.state
        result, transition = apply(unit, event, self.moment(unit, at), self._new_occurrence, cause)
        if transition is None:
            return result
        if unit.notes:
            unit.forget_notes()
        if not unit.internal:
            self._out.append(transition)
        self._wait_to_re_alarm(unit, before, result.annunciate, at)
        until = unit.state.shelved_until
        if until is not None and until != before.shelved_until:
            self.arm(until, SHELF, unit)
        if unit.pending is not None and not unit.state.active:
            setting, version = unit.pending
            unit.pending = None
            self._swap(unit, setting, version)
        if unit.pending_model is not None and not unit.state.active:
            model, version = unit.pending_model
            self._swap_model(unit, model, version)
        self._suppress_dependents(unit, at)
        return result

    def _wait_to_re_alarm(
        self, unit: AlarmUnit, before: AlarmState, annunciated: bool, at: int
    ) -> None:
        """The timer runs from the last annunciation, and anew from the end of a hiding."""
        every, policy = unit.definition.re_alarm_ms, unit.definition.policy
        if not every or not re_alarms(policy, unit.state):
            return
        if annunciated or not re_alarms(policy, before):
            unit.re_alarm_at = at + every
            self.arm(unit.re_alarm_at, RE_ALARM, unit)

    # suppression

    def _suppress_dependents(self, unit: AlarmUnit, at: int) -> None:
        for dependent in self.suppression.dependents(unit):
            self.settle_suppression(dependent, at)

    def settle_suppression(self, unit: AlarmUnit, at: int, cause: Cause = NOBODY) -> Step:
        """Make the suppressed region of `unit` agree with what causes it."""
        unit.causes = self.suppression.causes(unit)
        if bool(unit.causes) == unit.state.suppressed:
            return Step(unit.state, "noop")
        kind = Trigger.SUPPRESS if unit.causes else Trigger.UNSUPPRESS
        return self.trigger(unit, AlarmEvent(kind), at, cause)

    def settle_all(self, at: int, *, more: bool = False) -> None:
        """Settle every unit; with `more` only those that are to be suppressed from now on."""
        for unit in self.units.values():
            if not more or (self.suppression.causes(unit) and not unit.state.suppressed):
                self.settle_suppression(unit, at)

    def enter_states(self, states: frozenset[str], at: int) -> None:
        """Equipment is in these states (`chart:state`) from `at` on."""
        for unit in self.suppression.enter(states):
            self.settle_suppression(unit, at)

    def hold(self, unit: AlarmUnit, held: bool, at: int, cause: Cause) -> Step:
        """A person suppresses the alarm, or no longer does."""
        if not unit.state.enabled:
            return Step(unit.state, "Bad_ConditionDisabled")
        unit.by_operator = held
        return self.settle_suppression(unit, at, cause)

    def note(self, unit: AlarmUnit, at: int) -> None:
        """Have what people noted about `unit` stored and shown here; the state is what it was."""
        body = describe(unit, "noted", False, self.moment(unit, at))
        self._out.append(Transition(unit, body, raised=False, told=False))

    # another site

    def end(self, unit: AlarmUnit, kind: str, at: int) -> None:
        """End the present occurrence for all to see, because its alarm has become another."""
        if unit.state.active:
            unit.returned_at = at - self.offset_of(unit)
        unit.state = replace(
            unit.state, raw=False, active=False, acked=True, confirmed=True, latched=False
        )
        unit.point, unit.pending = PointState(), None
        unit.version += 1
        body = describe(unit, kind, False, self.moment(unit, at))
        self._out.append(Transition(unit, body, raised=False))

    # settings

    def set_setting(self, unit: AlarmUnit, setting: Setting, version: int) -> bool:
        """New settings: at once, or (False) at the return to normal of an alarm that stands."""
        if unit.state.active:
            unit.pending = (setting, version)
            self.on_setting(unit)
            return False
        self._swap(unit, setting, version)
        return True

    def set_model(self, unit: AlarmUnit, model: ModelParameters, version: int) -> bool:
        """New model parameters: at once, or (False) at the return to normal."""
        if unit.state.active:
            unit.pending_model = (model, version)
            return False
        self._swap_model(unit, model, version)
        return True

    def _swap_model(self, unit: AlarmUnit, model: ModelParameters, version: int) -> None:
        unit.pending_model = None
        unit.definition = unit.definition.with_model(model, version)
        self.on_setting(unit)

    def _swap(self, unit: AlarmUnit, setting: Setting, version: int) -> None:
        unit.definition = unit.definition.with_setting(setting, version)
        unit.under = None
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
