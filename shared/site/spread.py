"""`spread` of `site.yaml`: a z-score alarm for every number tag that has none of its own.

Called by `loader`; the generated alarms are definitions like all others, at the edge and above it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from shared.alarm.condition import ConditionSpec
from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.machine import Policy
from shared.alarm.point import Setting
from shared.site.conditions import Positive
from shared.site.fields import Duration, Model, TagId
from shared.site.tags import SourceSpec, TagSpec


class SpreadSpec(Model):
    """How unusual a value must be, against the tag's own recent past."""

    limit: float = Field(default=8.0, gt=0)
    """Standard deviations."""
    deadband: float = Field(default=3.0, ge=0)
    half_life: Positive = 1_800_000
    min_samples: int = Field(default=300, ge=30)
    on_delay: Duration = 0
    priority: int = Field(default=4, ge=1, le=4)
    tag_classes: list[str] = Field(default_factory=list)
    """Only tags of these classes; empty: all."""
    except_tags: list[TagId] = Field(default_factory=list)


def spread_alarms(
    spec: SpreadSpec | None,
    tags: Mapping[str, TagSpec],
    sources: Mapping[str, SourceSpec],
    alarms: Mapping[str, AlarmDefinition],
) -> dict[str, AlarmDefinition]:
    """The generated alarms by id; none without `spread`."""
    if spec is None:
        return {}
    own = {alarm.tag for alarm in alarms.values() if alarm.kind == "zscore"} | {*spec.except_tags}
    out: dict[str, AlarmDefinition] = {}
    for tag in tags.values():
        source = sources.get(tag.source)
        if source is None or tag.type != "number" or tag.id in own:
            continue
        if spec.tag_classes and tag.tag_class not in spec.tag_classes:
            continue
        alarm = _alarm(spec, tag, source)
        if alarm.id not in alarms:
            out[alarm.id] = alarm
    return out


def _alarm(spec: SpreadSpec, tag: TagSpec, source: SourceSpec) -> AlarmDefinition:
    return AlarmDefinition(
        id=f"SPREAD.{tag.id}",
        edge=source.edge,
        asset=tag.asset,
        tag=tag.id,
        kind="zscore",
        name=Words(f"{tag.name.zh}:异于往常", f"{tag.name.en}: unlike before"),
        priority=spec.priority,
        setting=Setting(spec.limit, spec.deadband, spec.on_delay),
        unit=tag.unit,
        tag_class=tag.tag_class,
        # It points something out; nobody has agreed on what to do about it.
        policy=Policy(ack_required=False),
        condition=ConditionSpec(half_life_ms=spec.half_life, min_samples=spec.min_samples),
    )
