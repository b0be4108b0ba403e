"""The life of an assignment: an expert or a mobile resource is asked, goes, works, is done. Pure.

What people do moves it; a deadline that passes lapses it, and the next one is asked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

from transitions import Machine

State = Literal[
    "offered", "accepted", "en_route", "on_site", "done", "declined", "lapsed", "cancelled"
]
STATES: tuple[State, ...] = get_args(State)
LIVE: tuple[State, ...] = ("offered", "accepted", "en_route", "on_site")
"""Somebody is asked or on the way or at work."""
ARRIVING: tuple[State, ...] = ("offered", "accepted", "en_route")
"""The clock until somebody is on site runs."""
Move = Literal["accept", "decline", "depart", "arrive", "finish", "cancel", "lapse"]
MOVES: tuple[Move, ...] = get_args(Move)
_TRANSITIONS = [
    {"trigger": "accept", "source": "offered", "dest": "accepted"},
    {"trigger": "decline", "source": ["offered", "accepted", "en_route"], "dest": "declined"},
    {"trigger": "depart", "source": "accepted", "dest": "en_route"},
    # Whoever is there already has arrived without having travelled.
    {"trigger": "arrive", "source": ["accepted", "en_route"], "dest": "on_site"},
    {"trigger": "finish", "source": "on_site", "dest": "done"},
    {"trigger": "cancel", "source": list(LIVE), "dest": "cancelled"},
    {"trigger": "lapse", "source": "offered", "dest": "lapsed"},
]
_MACHINE = Machine(
    model=None, states=list(STATES), transitions=_TRANSITIONS, initial="offered",
    auto_transitions=False,
)  # fmt: skip
ASKS_NEXT: tuple[State, ...] = ("declined", "lapsed")
"""After these the next one is asked."""


class _Life:
    """The light model that the machine moves."""

    state: str = "offered"


def advance(state: State, move: Move) -> State | None:
    """The state after `move`, None where it has no meaning in `state`."""
    life = _Life()
    _MACHINE.add_model(life, initial=state)
    try:
        if move not in _MACHINE.get_triggers(state):
            return None
        life.trigger(move)  # type: ignore[attr-defined]
        return cast("State", life.state)
    finally:
        _MACHINE.remove_model(life)


@dataclass(frozen=True, slots=True)
class Resource:
    """An expert or a mobile resource (a crane, a spare pump, a team with a van)."""

    id: str
    tenant: str
    kind: str
    """expert or mobile."""
    names: dict[str, str]
    skills: tuple[str, ...]
    site: str
    """Where it is at home, or is now."""
    available: bool
    contact: str


def next_of(
    resources: Iterable[Resource], skills: Collection[str], site: str, asked: Collection[str],
    busy: Collection[str],
) -> Resource | None:  # fmt: skip
    """Whom to ask next: free and not asked before, with the skills; at the site first.

    Among equals the one with the fewest other skills: the broad ones are kept for what needs them.
    """
    able = [
        each for each in resources
        if each.available and each.id not in asked and each.id not in busy
        and set(skills) <= set(each.skills)
    ]  # fmt: skip
    return min(able, key=lambda r: (r.site != site, len(r.skills), r.id), default=None)


def overdue(state: State, accept_by: int, on_site_by: int, now: int) -> Sequence[str]:
    """Which clocks have run out: `accept`, `arrive`."""
    found = []
    if state == "offered" and now >= accept_by:
        found.append("accept")
    if state in ARRIVING and now >= on_site_by:
        found.append("arrive")
    return found
