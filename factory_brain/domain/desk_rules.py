"""Whether the desk takes an action: the merged state, the rendered version, the state table. Pure.

Looks ahead with the edge's own rules and codes, so that who is refused hears it at once; the edge,
which may know better, still decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from factory_brain.domain.holds import SaidOfAlarm
from factory_brain.domain.rows import Occurrence, is_open
from shared.alarm.actions import ACTIONS, REGIONS, SPOKEN, event_of, text_of
from shared.alarm.definition import AlarmDefinition
from shared.alarm.machine import AlarmEvent, Policy, Trigger, step
from shared.alarm.states import NORMAL
from shared.errors import Rejected

SEEN_FIRST = frozenset({"acknowledge", "confirm", *REGIONS})
"""What answers an annunciation or hides it: only for who has seen the newest one."""
RIGHTS = {
    "acknowledge": "acknowledge", "confirm": "acknowledge", "reset": "acknowledge",
    "shelve": "shelve", "unshelve": "shelve",
    "suppress": "suppress", "unsuppress": "suppress", "disable": "suppress", "enable": "suppress",
    "out_of_service": "out_of_service", "in_service": "out_of_service",
    "comment": "comment", "assign": "assign",
}  # fmt: skip
"""action -> the right that it needs."""
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Asked:
    """One action on one rendered row; `occurrence` "" for an alarm that never had one."""

    alarm: str
    occurrence: str
    version: int
    action: str
    args: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """What the desk knows of an alarm when it is asked."""

    definition: AlarmDefinition | None
    named: Occurrence | None
    """The occurrence that was named."""
    newest: Occurrence | None
    said: SaidOfAlarm


def refuse(asked: Asked, known: Known, now: int) -> Rejected | None:
    """Why the action cannot be taken; None if it can."""
    if asked.action not in ACTIONS or asked.action not in RIGHTS:
        return Rejected("unknown_action", {"action": asked.action})
    if known.definition is None and known.newest is None:
        return Rejected("unknown_alarm", {"alarm": asked.alarm})
    named = known.named
    if asked.occurrence and (named is None or named.alarm != asked.alarm):
        return Rejected("Bad_EventIdUnknown", {"alarm": asked.alarm})
    if asked.action in SPOKEN:
        return _spoken(asked)
    return _unseen(asked, known) or _forbidden(asked, known, now)


def _spoken(asked: Asked) -> Rejected | None:
    if asked.action == "comment" and not text_of(asked.args, "text"):
        return Rejected("bad_argument", {"name": "text"})
    to = asked.args.get("to")
    if asked.action == "assign" and not (isinstance(to, str) and len(to) <= MAX_NAME):
        return Rejected("bad_argument", {"name": "to"})
    return None


def _unseen(asked: Asked, known: Known) -> Rejected | None:
    """What was replaced or announced anew since it was rendered is not acted on unseen."""
    newest = known.newest
    if newest is None:
        return None
    if newest.occurrence != asked.occurrence and (asked.occurrence or is_open(newest)):
        return Rejected("not_seen", {"alarm": asked.alarm, "reason": "newer_occurrence"})
    rendered = asked.version >= newest.view.annunciated_version
    if asked.occurrence and asked.action in SEEN_FIRST and not rendered:
        return Rejected("not_seen", {"alarm": asked.alarm, "reason": "newer_version"})
    return None


def _forbidden(asked: Asked, known: Known, now: int) -> Rejected | None:
    definition, action = known.definition, asked.action
    if definition is not None and definition.safety and action in REGIONS:
        return Rejected("safety_alarm", {"alarm": asked.alarm})
    event = event_of(action, asked.args, mine=bool(asked.occurrence))
    if isinstance(event, Rejected):
        return event
    if event.trigger is Trigger.UNSUPPRESS and not _held_by_person(known):
        return Rejected("suppressed_by_design", {"alarm": asked.alarm})
    refused = _state_table(asked, known, event, now)
    if refused is not None:
        return refused
    if action in REGIONS and not text_of(asked.args, "reason"):
        return Rejected("reason_required", {"action": action})
    return _permit(asked.args, now) if action == "out_of_service" else None


def _state_table(asked: Asked, known: Known, event: AlarmEvent, now: int) -> Rejected | None:
    policy = known.definition.policy if known.definition else Policy()
    newest = known.newest
    done = step(policy, newest.view.state if newest else NORMAL, event, now)
    if done.accepted:
        return None
    params: dict[str, Any] = {"alarm": asked.alarm}
    if done.result == "Bad_ConditionBranchAlreadyAcked" and newest is not None:
        params["by"] = newest.view.acked_by.actor if newest.view.acked_by else ""
    return Rejected(done.result, params)


def _held_by_person(known: Known) -> bool:
    """A suppression by design does not end because somebody here would like it to."""
    if known.newest is None or not known.newest.view.state.suppressed:
        return True
    by_design: Mapping[str, Any] = dict.fromkeys(known.newest.transition.suppressed_by)
    return "suppressed" in known.said.holds or "operator" in by_design or not by_design


def _permit(args: dict[str, Any], now: int) -> Rejected | None:
    until = args.get("until")
    complete = text_of(args, "permit") and text_of(args, "approved_by")
    if not complete or not isinstance(until, int) or isinstance(until, bool):
        return Rejected("permit_required")
    return Rejected("permit_over") if until <= now else None
