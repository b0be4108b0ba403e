"""The life cycle of one directive on its way to an edge, as a state machine people can look at.

One shared machine over light models; callers persist every change. It never sends anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from transitions import Machine

Status = Literal[
    "signed", "sent", "waiting", "relayed", "applied", "refused", "rolled_back"
]  # fmt: skip
STATUSES: tuple[Status, ...] = get_args(Status)
Kind = Literal["settings", "rollback", "dry_run"]
"""What a directive is: new settings, the old ones again, or a look that changes nothing."""
IN_FLIGHT: tuple[Status, ...] = ("signed", "sent", "waiting", "relayed")
"""States in which something is still expected from below."""
UNHEARD: tuple[Status, ...] = ("signed", "sent")
"""States in which the factory has not answered: the directive is sent again."""
UNDECIDED: tuple[Status, ...] = (*UNHEARD, "waiting")
"""States in which the factory has not decided: what has expired by then is given up."""

_TRANSITIONS = [
    {"trigger": "send", "source": ["signed", "sent"], "dest": "sent"},
    # What was never sent nobody can have received: the mark is written before the first put.
    {"trigger": "relay", "source": ["sent", "waiting"], "dest": "relayed"},
    # A person of the factory is to decide.
    {"trigger": "wait", "source": "sent", "dest": "waiting"},
    # An edge's report may overtake the factory's own: both come from below, in any order.
    {"trigger": "apply", "source": ["sent", "waiting", "relayed"], "dest": "applied"},
    {"trigger": "refuse", "source": list(IN_FLIGHT), "dest": "refused"},
    {"trigger": "roll_back", "source": ["relayed", "applied"], "dest": "rolled_back"},
    {"trigger": "supersede", "source": list(IN_FLIGHT), "dest": "rolled_back"},
]
REPORTED: dict[str, str] = {
    "waiting": "wait",
    "relayed": "relay",
    "received": "relay",
    "applied": "apply",
    "dry_run": "apply",
    "refused": "refuse",
    "rolled_back": "roll_back",
}
"""Status of a report from below -> trigger."""


@dataclass(eq=False)
class RolloutModel:
    """The light model that the shared machine moves."""

    state: Status = "signed"


_MACHINE = Machine(
    model=None,
    states=list(STATUSES),
    transitions=_TRANSITIONS,
    initial="signed",
    auto_transitions=False,
    send_event=False,
)


def advance(status: Status, trigger: str) -> Status | None:
    """The state after `trigger`, None where it has no meaning in `status`."""
    if trigger not in _MACHINE.get_triggers(status):
        return None
    model = RolloutModel()
    _MACHINE.add_model(model, initial=status)
    try:
        model.trigger(trigger)  # type: ignore[attr-defined]
        return model.state
    finally:
        _MACHINE.remove_model(model)
