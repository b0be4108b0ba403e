"""What people may do to an alarm: names, triggers, and what each action needs to be taken.

The edge decides by it, the tiers above look ahead with the same rules. Pure.
"""

from __future__ import annotations

from typing import Any

from shared.alarm.machine import AlarmEvent, Trigger
from shared.errors import Rejected

SPOKEN = frozenset({"comment", "assign", "outcome"})
"""Facts that change no state of the alarm."""
TRIGGERS = {
    "acknowledge": Trigger.ACKNOWLEDGE,
    "confirm": Trigger.CONFIRM,
    "reset": Trigger.RESET,
    "unshelve": Trigger.UNSHELVE,
    "out_of_service": Trigger.OUT_OF_SERVICE,
    "in_service": Trigger.IN_SERVICE,
    "disable": Trigger.DISABLE,
    "enable": Trigger.ENABLE,
    "suppress": Trigger.SUPPRESS,
    "unsuppress": Trigger.UNSUPPRESS,
}
REGIONS = {
    "shelve": "shelf", "suppress": "suppressed", "out_of_service": "out_of_service",
    "disable": "disabled",
}  # fmt: skip
"""What keeps an alarm from people, and the region that it enters: it wants a reason."""
LEAVES = {
    "unshelve": "shelf", "unsuppress": "suppressed", "in_service": "out_of_service",
    "enable": "disabled",
}  # fmt: skip
"""What gives it back to people, and the region that it leaves."""
ACTIONS = frozenset({*TRIGGERS, *SPOKEN, "shelve"})
MAX_REASON = 500
ANSWERS = (Trigger.ACKNOWLEDGE, Trigger.CONFIRM)
"""Answers to what was annunciated; they need to have seen it."""


def event_of(
    action: str, args: dict[str, Any], *, mine: bool, seen: bool = False
) -> AlarmEvent | Rejected:
    """What the alarm's machine is asked for by an action; `mine`: it names the occurrence."""
    if action in TRIGGERS:
        return AlarmEvent(TRIGGERS[action], occurrence_matches=mine, seen=seen)
    if action != "shelve":
        return Rejected("unknown_action", {"action": action})
    if args.get("one_shot"):
        return AlarmEvent(Trigger.SHELVE_ONE_SHOT)
    length = length_ms(args)
    if length is None:
        return Rejected("bad_argument", {"name": "ms"})
    return AlarmEvent(Trigger.SHELVE_TIMED, shelve_ms=length)


def text_of(args: dict[str, Any], name: str) -> str:
    """An argument's text, without the space around it; "" if it is none."""
    value = args.get(name)
    return value.strip()[:MAX_REASON] if isinstance(value, str) else ""


def length_ms(args: dict[str, Any]) -> int | None:
    """How long to shelve: `ms`, `seconds` or `minutes`."""
    for name, unit in (("ms", 1), ("seconds", 1000), ("minutes", 60_000)):
        value = args.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return int(value * unit)
    return None
