"""What linked systems and devices are told of the journal: each event as plain data. Pure.

The names are those that `links.yaml` may use (shared/site/links.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from factory_brain.domain.rows import Occurrence
from shared.alarm.definition import AlarmDefinition
from shared.alarm.states import AlarmState
from shared.messages.bodies import (
    AlarmTransition,
    LinkedEvent,
    LocalAction,
    PlaybookOutcome,
    StateChange,
    SystemEvent,
)
from shared.site.links import ALARM, EVENT

Definitions = Mapping[str, AlarmDefinition]


class Told(Protocol):
    """One event of the journal (see `adapters/postgres/feed.py`)."""

    @property
    def source(self) -> str:
        """Whose event it is."""
        ...

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def time(self) -> int:
        """When it happened."""
        ...

    @property
    def late(self) -> bool:
        """Whether it came late."""
        ...

    @property
    def body(self) -> Any:
        """The wire struct."""
        ...


def event_view(told: Told, definitions: Definitions) -> dict[str, Any] | None:
    """The event as expressions and linked systems see it; None for what nobody is told."""
    body = told.body
    view: dict[str, Any] = dict.fromkeys(EVENT) | {
        "id": told.id, "time": told.time, "late": told.late,
        "edge": told.source.partition(".")[2],
    }  # fmt: skip
    match body:
        case AlarmTransition():
            return view | _transition(body, definitions)
        case LinkedEvent():
            kind = "reported"
            view |= {
                "type": "event.reported", "asset": body.asset, "priority": body.priority,
                "value": body.value, "unit": body.unit, "status": body.kind,
                "alarm": body.alarm or None,
            }  # fmt: skip
            names = body.names
        case StateChange():
            kind = "state_changed"
            view |= {"type": "equipment.state_changed", "asset": body.asset, "status": body.after}
            names = {"zh": body.after, "en": body.after}
        case LocalAction():
            kind = "acted"
            view |= {
                "type": "reflex.acted", "alarm": body.alarm, "occurrence": body.occurrence,
                "status": body.outcome, "asset": body.device.partition("/")[0],
            }  # fmt: skip
            names = {"zh": body.operation, "en": body.operation}
        case SystemEvent():
            kind = "raised" if body.active else "returned"
            view |= {"type": f"system.{kind}", "status": body.code, "active": body.active}
            names = {"zh": body.code, "en": body.code}
        case _:
            return None
    return view | {"kind": kind, "text_zh": names.get("zh", ""), "text_en": names.get("en", "")}


def run_view(outcome: PlaybookOutcome, now: int) -> dict[str, Any]:
    """The end of a playbook run."""
    return dict.fromkeys(EVENT) | {
        "type": "run.ended", "kind": "ended", "id": f"run-{outcome.run}", "late": False,
        "alarm": outcome.alarm or None, "occurrence": outcome.occurrence or None, "time": now,
        "status": outcome.status, "text_zh": outcome.playbook, "text_en": outcome.playbook,
    }  # fmt: skip


def alarm_view(occurrence: Occurrence, definitions: Definitions) -> dict[str, Any]:
    """A standing alarm as devices show it."""
    transition, view = occurrence.transition, occurrence.view
    zh, en = _names(transition, definitions)
    shown = dict.fromkeys(ALARM)
    return shown | {
        "id": occurrence.alarm, "occurrence": occurrence.occurrence, "asset": transition.asset,
        "version": view.annunciated_version,
        "tag": transition.tag, "edge": occurrence.edge, "priority": transition.priority,
        "value": transition.value, "limit": transition.limit, "unit": transition.unit,
        "state": view.state.name, "active": view.state.active, "acked": view.state.acked,
        "text_zh": zh, "text_en": en,
    }  # fmt: skip


def _transition(body: AlarmTransition, definitions: Definitions) -> dict[str, Any]:
    state = AlarmState.from_dict(body.state)
    zh, en = _names(body, definitions)
    return {
        "type": f"alarm.{body.kind}", "kind": body.kind, "alarm": body.alarm,
        "occurrence": body.occurrence, "version": body.annunciated_version, "asset": body.asset,
        "tag": body.tag, "priority": body.priority, "value": body.value, "limit": body.limit,
        "unit": body.unit,
        "state": state.name, "active": state.active, "acked": state.acked,
        "annunciate": body.annunciate, "actor": body.actor or None, "text_zh": zh, "text_en": en,
    }  # fmt: skip


def _names(body: AlarmTransition, definitions: Definitions) -> tuple[str, str]:
    definition = definitions.get(body.alarm)
    if definition is not None:
        return definition.name.zh, definition.name.en
    return body.names.get("zh", body.alarm), body.names.get("en", body.alarm)
