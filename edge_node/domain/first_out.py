"""Which alarm of a group came first: decided once per scan, ties all marked (ISA-18.1 F, Part 9).

Used by the alarm book on the transitions of one batch, tick or action. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable

from edge_node.domain.alarm_unit import AlarmUnit, Transition
from shared.alarm.states import AlarmState


class FirstOut:
    """The first-out groups with their members."""

    def __init__(self, units: Iterable[AlarmUnit]) -> None:
        self.groups: dict[str, list[AlarmUnit]] = {}
        for unit in units:
            if unit.definition.first_out:
                self.groups.setdefault(unit.definition.first_out, []).append(unit)

    def settle(self, out: list[Transition]) -> list[Transition]:
        """Mark the first of every group that was at rest before this scan.

        Only what people can see counts: a shelved or suppressed alarm takes no mark. The marks go
        when the whole group has come to rest.
        """
        for name in dict.fromkeys(t.unit.definition.first_out for t in out):
            if name:
                out = self._decide(name, out)
        return out

    def _decide(self, name: str, out: list[Transition]) -> list[Transition]:
        members = self.groups[name]
        came = [t for t in out if t.unit.definition.first_out == name and _comes_into_view(t)]
        if came and not any(unit.first_out for unit in members):
            first = min(came, key=lambda t: t.body.source_time)
            latest = first.body.source_time + first.unit.definition.first_out_tie_ms
            for transition in came:
                transition.unit.first_out |= transition.body.source_time <= latest
        # The raise itself carries the mark, though the mark was decided after it.
        marked = [t.with_first_out() if t.unit.first_out and _stands(t) else t for t in out]
        if not any(unit.state.retained and not unit.state.hidden for unit in members):
            for unit in members:
                unit.first_out = False
        return marked


def _comes_into_view(transition: Transition) -> bool:
    state, unit = AlarmState.from_dict(transition.body.state), transition.unit
    was, unit.in_view = unit.in_view, state.enabled and state.active and not state.hidden
    return unit.in_view and not was


def _stands(transition: Transition) -> bool:
    return AlarmState.from_dict(transition.body.state).retained
