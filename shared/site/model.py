"""The site's YAML as pydantic models, in one place for those who read a site.

`fields`, `tags`, `alarms` and `bindings` define them; `site.yaml` itself is defined here.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from shared.site.alarms import AlarmsFile, AlarmSpec, BoundsSpec, ResponseSpec
from shared.site.bindings import (
    BindingsFile,
    DeviceSpec,
    EndpointSpec,
    OperationSpec,
    ReflexesFile,
    ReflexSpec,
)
from shared.site.fields import (
    AlarmId,
    AssetId,
    Duration,
    Model,
    Names,
    TagId,
    Token,
    parse_duration,
)
from shared.site.life_cycle import LifeCycleFields, PriorityMatrixSpec
from shared.site.reporting import SnippetSpec
from shared.site.shifts import ShiftSpec, check_shifts
from shared.site.spread import SpreadSpec
from shared.site.tags import SourceSpec, TagsFile, TagSpec

__all__ = [
    "AlarmId",
    "AlarmSpec",
    "AlarmsFile",
    "AssetId",
    "BindingsFile",
    "BoundsSpec",
    "DeviceSpec",
    "Duration",
    "EdgeSpec",
    "EndpointSpec",
    "Model",
    "Names",
    "OperationSpec",
    "ReflexSpec",
    "ReflexesFile",
    "ResponseSpec",
    "SiteFile",
    "SourceSpec",
    "TagId",
    "TagSpec",
    "TagsFile",
    "Token",
    "parse_duration",
]


class EdgeSpec(Model):
    """One edge of the site."""

    id: Token
    name: Names


class SiteFile(Model):
    """`site.yaml`."""

    site: Token
    name: Names
    timezone: str = "Asia/Shanghai"
    edges: list[EdgeSpec]
    roster: dict[str, list[str]] = Field(default_factory=dict)
    """role -> user names."""
    auto_approve_directives: bool = False
    spread: SpreadSpec | None = None
    """A z-score alarm for every number tag."""
    alarm_policy: LifeCycleFields = LifeCycleFields()
    """What alarms choose that say nothing themselves."""
    priority_matrix: PriorityMatrixSpec = PriorityMatrixSpec()
    shifts: Annotated[list[ShiftSpec], AfterValidator(check_shifts)] = Field(
        default_factory=list, max_length=12
    )
    """When one crew hands over to the next; none: the whole day is one."""
    snippet: SnippetSpec = SnippetSpec()
    """What every raise takes along at full rate."""
