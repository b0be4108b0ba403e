"""Which code evaluates an alarm's condition, for every kind that the kernel does not run itself.

Called by the pipeline, once per alarm at load and again when its settings change.
"""

from __future__ import annotations

from collections.abc import Collection

from edge_node.domain.conditions.deviation import DeviationCondition
from edge_node.domain.conditions.discrepancy import DiscrepancyCondition
from edge_node.domain.conditions.expression import ExpressionCondition
from edge_node.domain.conditions.filtered import FilteredLimit
from edge_node.domain.conditions.model import ModelCondition
from edge_node.domain.conditions.plain import PlainCondition
from edge_node.domain.conditions.port import Condition, Names
from edge_node.domain.conditions.rate import RateCondition
from edge_node.domain.conditions.repeats import RepeatsCondition
from edge_node.domain.conditions.schedule import ScheduledCondition
from edge_node.domain.conditions.zscore import ZScoreCondition
from shared.alarm.condition import ConditionSpec
from shared.alarm.definition import AlarmDefinition
from shared.errors import ConfigError

NOTHING_MORE = ConditionSpec()


def condition_of(
    definition: AlarmDefinition, names: Names, alarms: Collection[str] = ()
) -> Condition:
    """The condition of `definition`; `names` are the edge's tags; raises ConfigError."""
    spec = definition.condition or NOTHING_MORE
    condition = _bare(definition, spec, names, alarms)
    if spec.repeats is not None:
        condition = RepeatsCondition(condition, spec.repeats)
    return condition if spec.schedule is None else ScheduledCondition(condition, spec.schedule)


def _bare(
    definition: AlarmDefinition, spec: ConditionSpec, names: Names, alarms: Collection[str]
) -> Condition:
    match definition.kind:
        case "expression":
            return ExpressionCondition(definition, names, alarms)
        case "deviation":
            return DeviationCondition(definition, spec)
        case "rate":
            return RateCondition(definition, spec)
        case "discrepancy":
            return DiscrepancyCondition(definition, spec)
        case "zscore":
            return ZScoreCondition(definition, spec)
        case "model":
            return ModelCondition(definition, spec, names)
        case "limit" if definition.condition is None:
            return FilteredLimit(definition, lambda: names.time_of(definition.tag))
        case "limit" | "discrete" | "stale" | "bad_quality":
            return PlainCondition(definition)
    raise ConfigError(
        f"alarm {definition.id}: this edge knows no condition of kind {definition.kind!r}",
        mend="use a kind that the edge's version knows",
    )
