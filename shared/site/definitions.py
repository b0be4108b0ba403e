"""From an alarm as written in YAML to the definition that runs.

Called by `loader`; pure.
"""

from __future__ import annotations

from shared.alarm.definition import (
    NO_WORDS,
    AlarmDefinition,
    Bounds,
    Response,
    Words,
    inclusive_limit,
)
from shared.alarm.point import Setting
from shared.alarm.priority import DEFAULT_MATRIX, HIGHEST, PriorityMatrix
from shared.site.conditions import condition_spec
from shared.site.life_cycle import LifeCycleFields, policy_of
from shared.site.model import AlarmSpec, Names, TagSpec

OWN_CHOICES = LifeCycleFields()


def _priority(spec: AlarmSpec, matrix: PriorityMatrix) -> int:
    """By consequence; one that the matrix does not know is a fault, and meanwhile the highest."""
    if spec.consequence not in matrix.rows or spec.response is None:
        return HIGHEST
    return matrix.priority(spec.consequence, spec.response.time_to_respond or 0)


def _words(names: Names | None) -> Words:
    return Words(names.zh, names.en) if names else NO_WORDS


def _limit(spec: AlarmSpec) -> float:
    limit = spec.limit or 0.0
    return inclusive_limit(limit, spec.side) if spec.inclusive and spec.side else limit


def definition(
    spec: AlarmSpec,
    tags: dict[str, TagSpec],
    timezone: str = "Asia/Shanghai",
    site: LifeCycleFields = OWN_CHOICES,
    matrix: PriorityMatrix = DEFAULT_MATRIX,
) -> AlarmDefinition:
    """The definition of one alarm; `tags` gives its unit and class, `timezone` its schedule's.

    `site` says what the alarm leaves open, `matrix` the priority of its consequence.
    """
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
        priority=spec.priority or _priority(spec, matrix),
        side=spec.side,
        setting=Setting(_limit(spec), spec.deadband, spec.on_delay, spec.off_delay, spec.filter),
        equals=spec.equals,
        when=spec.when,
        condition=condition_spec(spec, timezone),
        inclusive=spec.inclusive,
        factors=tuple(spec.factors),
        stale_after_ms=spec.stale_after,
        unit=tag.unit if tag else "",
        tag_class=tag.tag_class if tag else "",
        policy=policy_of(spec, site),
        bounds=Bounds(
            bounds.limit_min,
            bounds.limit_max,
            bounds.on_delay_max,
            bounds.off_delay_max,
            bounds.deadband_max,
            bounds.locked or spec.safety,
            tuple(dict.fromkeys(bounds.filters)),
            bounds.centre,
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
        suppressed_in=tuple(f"{g.chart}:{state}" for g in spec.suppressed_in for state in g.states),
        suppressed_when=spec.suppressed_when,
        consequence=spec.consequence,
        re_alarm_ms=spec.re_alarm if spec.re_alarm is not None else site.re_alarm,
        safety=spec.safety,
        snippet=(spec.snippet.before, spec.snippet.after) if spec.snippet else None,
    )
