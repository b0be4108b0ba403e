"""The life of an incident: open, acknowledged, contained, closed; reopened. Pure.

What people do moves it; that its alarms have returned only proposes to close it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from transitions import Machine

from factory_brain.domain.incidents.seen import Seen

Status = Literal["open", "acknowledged", "contained", "closed"]
STATUSES: tuple[Status, ...] = get_args(Status)
Trigger = Literal["acknowledge", "contain", "close", "reopen"]
_TRANSITIONS = [
    {"trigger": "acknowledge", "source": "open", "dest": "acknowledged"},
    # Whoever contains it has seen it.
    {"trigger": "contain", "source": ["open", "acknowledged"], "dest": "contained"},
    {"trigger": "close", "source": ["acknowledged", "contained"], "dest": "closed"},
    {"trigger": "reopen", "source": "closed", "dest": "open"},
]
_MACHINE = Machine(
    model=None, states=list(STATUSES), transitions=_TRANSITIONS, initial="open",
    auto_transitions=False,
)  # fmt: skip


class _Life:
    """The light model that the machine moves."""

    state: str = "open"


def advance(status: Status, trigger: Trigger) -> Status | None:
    """The status after `trigger`, None where it has no meaning in `status`."""
    life = _Life()
    _MACHINE.add_model(life, initial=status)
    try:
        if trigger not in _MACHINE.get_triggers(status):
            return None
        life.trigger(trigger)  # type: ignore[attr-defined]
        return cast("Status", life.state)
    finally:
        _MACHINE.remove_model(life)


def united(statuses: Iterable[Status]) -> Status:
    """The status of several incidents that become one: no further than the least of them.

    Nobody has acknowledged what another one acknowledged.
    """
    return STATUSES[min((STATUSES.index(each) for each in statuses), default=0)]


@dataclass(frozen=True, slots=True)
class Summary:
    """What the members of an incident say together."""

    first_at: int
    last_at: int
    first_out: tuple[str, ...]
    """Occurrences; more than one is a tie."""
    asset: str
    """The deepest asset that holds all of them."""
    priority: int
    alarms: int
    standing: int
    unacked: int
    returned_at: int | None
    """When the last of them returned; None while one stands."""
    settled: bool
    """All have returned and are acknowledged: people may close it."""


def summarise(members: Sequence[Seen], first: Iterable[str], asset: str) -> Summary:
    """The figures of an incident, from its members in the order of their raises."""
    standing = sum(each.active for each in members)
    ends = [each.returned_at for each in members if each.returned_at is not None]
    ordered = sorted(members, key=lambda each: each.order)
    return Summary(
        first_at=ordered[0].at,
        last_at=ordered[-1].at,
        first_out=tuple(first) or (ordered[0].occurrence,),
        asset=asset,
        priority=min(each.priority for each in members),
        alarms=len(members),
        standing=standing,
        unacked=sum(not each.acked for each in members),
        returned_at=max(ends, default=None) if not standing else None,
        settled=not any(each.open for each in members),
    )
