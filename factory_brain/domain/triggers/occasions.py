"""From what happened to firings: alarms' transitions, incidents, events, the clock. Pure.

Called with one event and one trigger that the index found; decides whether the trigger's own words
fit, never whether a run starts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from factory_brain.domain.rows import Occurrence
from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition, LinkedEvent, StateChange, SystemEvent
from shared.playbook.triggers import Trigger

LATE_MS = 30_000
"""What is over and older than this when it arrives is history: nothing answers it any more."""
_KINDS = {"acknowledged": "acknowledged", "cleared": "returned", "shelved": "shelved"}
Standing = Literal["stands", "hidden", "gone", "dipped"]


def fits(trigger: Trigger, body: AlarmTransition) -> bool:
    """Whether a transition is the one that an alarm trigger waits for.

    `raised` is any change after which the alarm stands and is not hidden: one that was suppressed
    when it was raised is answered when it is not any more (its firing's id is the same).
    `escalated` is a renewed annunciation of one that stands unanswered.
    """
    if trigger.transition == "raised":
        return visible(AlarmState.from_dict(body.state))
    if trigger.transition == "escalated":
        return body.kind == "re_alarmed"
    return body.kind == _KINDS[trigger.transition]


def visible(state: AlarmState) -> bool:
    """Whether it stands and is not hidden."""
    return state.active and state.enabled and not state.hidden


def source_of(trigger: Trigger, body: AlarmTransition, event: str) -> str:
    """What makes the firing's id: a raise is answered once, another change each time it happens."""
    return body.occurrence if trigger.transition == "raised" else f"{body.occurrence}:{event}"


def now_at(body: AlarmTransition, at: int) -> int:
    """A time of the edge's clock by the brain's."""
    return at + round(body.clock_offset_ms or 0)


def standing(trigger: Trigger, found: Occurrence | None) -> Standing:
    """What the alarm is now, as the trigger's transition wants it."""
    if found is None:
        return "stands"
    state = found.view.state
    if trigger.transition in ("cleared", "shelved"):
        wanted = not state.active if trigger.transition == "cleared" else state.shelf != "U"
        return "stands" if wanted else "gone"
    if state.active:
        return "stands" if trigger.transition == "acknowledged" or visible(state) else "hidden"
    stood = (found.returned_at or 0) - found.raised_at
    return "dipped" if trigger.hold and stood < trigger.hold else "gone"


def of_alarm(body: AlarmTransition, raised_at: int) -> dict[str, Any]:
    """What expressions see of an alarm."""
    return {
        "id": body.alarm, "occurrence": body.occurrence, "asset": body.asset, "tag": body.tag,
        # Six digits: people read this in questions and messages.
        "value": None if body.value is None else float(f"{body.value:.6g}"),
        "limit": body.limit, "unit": body.unit, "quality": body.quality,
        "priority": body.priority, "raised_at": raised_at, "transition": body.kind,
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Happened:
    """An event that is no alarm's."""

    id: str
    names: tuple[str, ...]
    """What a trigger may call it."""
    at: int
    seen: Mapping[str, Any]
    """What expressions see as `alarm`."""
    chain: int = 0


def of_event(body: Any, event: str, at: int) -> Happened | None:
    """A linked system's or device's event, a state of equipment, a condition of Andon itself."""
    match body:
        case LinkedEvent() if body.note != "older":
            names = (body.kind, f"{body.link}.{body.kind}")
            data: dict[str, Any] = {
                "link": body.link, "asset": body.asset, "value": body.value, "unit": body.unit,
                "priority": body.priority, "alarm": body.alarm, "zh": body.names.get("zh", ""),
                "en": body.names.get("en", ""),
            }  # fmt: skip
        case StateChange():
            names = ("state_changed", f"{body.chart}.{body.after}")
            data = {"chart": body.chart, "asset": body.asset, "before": body.before,
                    "after": body.after}  # fmt: skip
        case SystemEvent() if body.active:
            names, data = (f"system.{body.code}",), dict(body.params)
        case _:
            return None
    return Happened(event, names, at, event_view(names[0], event, at, data))


def event_view(name: str, event: str, at: int, data: Mapping[str, Any]) -> dict[str, Any]:
    """What expressions see of an event: the roots of an alarm, and `data`."""
    return {
        "id": name, "event": event, "asset": str(data.get("asset") or ""),
        "value": data.get("value"), "unit": data.get("unit", ""),
        "priority": data.get("priority"), "raised_at": at, "data": dict(data),
    }  # fmt: skip


def incident_moved(before: tuple[str, int] | None, status: str, priority: int) -> str | None:
    """What has become of an incident: opened, escalated or closed; None for all else."""
    if status == "merged":
        return None
    if status == "closed":
        return "closed" if before is not None and before[0] != "closed" else None
    if before is None or before[0] == "closed":
        return "opened"
    return "escalated" if priority < before[1] else None
