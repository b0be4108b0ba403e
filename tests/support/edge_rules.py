"""Alarms as an engineer writes them in YAML, played on the edge's own rules (see `edge_script`)."""

from __future__ import annotations

from typing import Any

from shared.alarm.definition import AlarmDefinition
from shared.site.definitions import definition
from shared.site.model import AlarmSpec
from tests.support.edge_script import Script


def alarm(alarm_id: str, tag: str, *, timezone: str = "UTC", **fields: Any) -> AlarmDefinition:
    """The definition of one alarm from its YAML fields."""
    spec = {"id": alarm_id, "edge": "e1", "asset": "X-1", "tag": tag, "priority": 2,
            "name": {"zh": alarm_id, "en": alarm_id}} | fields  # fmt: skip
    return definition(AlarmSpec.model_validate(spec), {}, timezone)


def sounded(script: Script) -> list[tuple[str, str]]:
    """(alarm, kind) of what was annunciated."""
    return [(t.body.alarm, t.body.kind) for t in script.log if t.body.annunciate]


def standing(script: Script) -> list[str]:
    """The alarms that people see as active now."""
    units = script.book.units.values()
    return [u.id for u in units if u.state.active and not u.state.suppressed]
