"""Why an alarm is suppressed: other alarms, a state of its equipment, a condition, a person.

Used by the alarm book, which turns "any cause" into the machine's one suppressed region. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from edge_node.domain.alarm_unit import AlarmUnit
from shared.alarm.definition import NO_WORDS, AlarmDefinition
from shared.alarm.point import PointState

OPERATOR, STATE, WHEN = "operator", "state", "when"
_GATE = "?when"


def gate_id(alarm: str) -> str:
    """The book's own name for the condition that suppresses `alarm`; no YAML id has a `?`."""
    return alarm + _GATE


def gate_of(definition: AlarmDefinition) -> AlarmDefinition | None:
    """`suppressed_when` as a condition that the pipeline evaluates like any other."""
    if not definition.suppressed_when:
        return None
    return AlarmDefinition(
        id=gate_id(definition.id), edge=definition.edge, asset=definition.asset,
        tag=definition.tag, kind="expression", name=NO_WORDS, priority=4,
        when=definition.suppressed_when,
    )  # fmt: skip


class Suppression:
    """The causes of every alarm's suppression."""

    def __init__(self, units: Mapping[str, AlarmUnit]) -> None:
        self._units = units
        self._states: frozenset[str] | None = None
        """Present states as `chart:state`; None until they are known: what was, then stays."""
        self._dependents: dict[str, list[AlarmUnit]] = {}
        self._by_state = [u for u in units.values() if u.definition.suppressed_in]
        for unit in units.values():
            for above in _above(unit):
                self._dependents.setdefault(above, []).append(unit)

    def dependents(self, unit: AlarmUnit) -> list[AlarmUnit]:
        """The alarms that `unit` may suppress."""
        return self._dependents.get(unit.id, [])

    def enter(self, states: frozenset[str]) -> list[AlarmUnit]:
        """Take the present states; the alarms to look at."""
        self._states = states
        return self._by_state

    def restore(self, unit: AlarmUnit, causes: tuple[str, ...]) -> None:
        """Take up what was known before a restart; what is not known yet does not end by that."""
        unit.causes = causes
        gate = self._units.get(gate_id(unit.id))
        if gate is not None and WHEN in causes:
            gate.state = replace(gate.state, raw=True, active=True)
            gate.point = PointState(beyond=True, since=0, raw=True)

    def causes(self, unit: AlarmUnit) -> tuple[str, ...]:
        """Names of the alarms that suppress it now, `state`, `when` and `operator`."""
        definition = unit.definition
        found = [name for name in definition.suppressed_by if self._stands(name)]
        if definition.suppressed_in and self._in_state(unit):
            found.append(STATE)
        if definition.suppressed_when and self._stands(gate_id(unit.id)):
            found.append(WHEN)
        if unit.by_operator:
            found.append(OPERATOR)
        return tuple(found)

    def _stands(self, name: str) -> bool:
        other = self._units.get(name)
        return other is not None and other.suppresses()

    def _in_state(self, unit: AlarmUnit) -> bool:
        if self._states is None:
            return STATE in unit.causes
        return not self._states.isdisjoint(unit.definition.suppressed_in)


def _above(unit: AlarmUnit) -> list[str]:
    above = list(unit.definition.suppressed_by)
    if unit.definition.suppressed_when:
        above.append(gate_id(unit.id))
    return above
