"""From an alarm as written in YAML to the definition that runs.

Called by `loader`; pure.
"""

from __future__ import annotations

from shared.alarm.definition import NO_WORDS, AlarmDefinition, Bounds, Response, Words
from shared.alarm.machine import Policy
from shared.alarm.point import Setting
from shared.site.model import AlarmSpec, Names, TagSpec


def _words(names: Names | None) -> Words:
    return Words(names.zh, names.en) if names else NO_WORDS


def definition(spec: AlarmSpec, tags: dict[str, TagSpec]) -> AlarmDefinition:
    """The definition of one alarm; `tags` gives its unit and class."""
    tag = tags.get(spec.tag)
    sheet = spec.response
    bounds = spec.bounds
    return AlarmDefinition(
        id=spec.id,
        edge=spec.edge,
        asset=spec.asset,
        tag=spec.tag,
        kind=spec.kind,
        name=_words(spec.name),
        priority=spec.priority,
        side=spec.side,
        setting=Setting(spec.limit or 0.0, spec.deadband, spec.on_delay, spec.off_delay),
        equals=spec.equals,
        when=spec.when,
        stale_after_ms=spec.stale_after,
        unit=tag.unit if tag else "",
        tag_class=tag.tag_class if tag else "",
        policy=Policy(
            ack_required=spec.ack_required,
            confirm_used=spec.confirm,
            latching=spec.latching,
            max_shelve_ms=spec.max_shelve,
        ),
        bounds=Bounds(
            bounds.limit_min,
            bounds.limit_max,
            bounds.on_delay_max,
            bounds.off_delay_max,
            bounds.deadband_max,
            bounds.locked or spec.safety,
        ),
        response=Response(
            _words(sheet.cause),
            _words(sheet.consequence),
            _words(sheet.action),
            _words(sheet.contact) if sheet.contact else None,
            sheet.time_to_respond // 1000 if sheet.time_to_respond is not None else None,
        )
        if sheet
        else Response(),
        suppressed_by=tuple(spec.suppressed_by),
        re_alarm_ms=spec.re_alarm,
        safety=spec.safety,
    )
