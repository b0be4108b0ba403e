"""The site's YAML as pydantic models, in one place for those who read a site.

`fields`, `tags`, `alarms` and `bindings` define them; `site.yaml` itself is defined here.
"""

from __future__ import annotations

from typing import Annotated, Literal

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
    "PlaybooksSpec",
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


class PlaybooksSpec(Model):
    """What makes a playbook run here."""

    releases: Literal["folder", "signed"] = "folder"
    """`folder`: what lies in the brain's folder was reviewed where it comes from. `signed`: a file
    needs the site's own signature beside it (`NAME.yaml.sig`), or a release from the console."""


class ProposalsSpec(Model):
    """What the site asks of decisions that move its settings."""

    four_eyes: bool = False
    """Whether two people at the group have to agree before a setting of this site is changed."""


class DirectivesSpec(Model):
    """What the site asks of its own people before the group's directives pass."""

    four_eyes: bool = False
    """Whether two people of this site have to agree where one has to (see
    `auto_approve_directives`)."""


class SiteFile(Model):
    """`site.yaml`."""

    site: Token
    name: Names
    timezone: str = "Asia/Shanghai"
    edges: list[EdgeSpec]
    roster: dict[str, list[str]] = Field(default_factory=dict)
    """role -> user names."""
    auto_approve_directives: bool = False
    playbooks_from_group: Literal["refuse", "ask", "accept"] = "ask"
    """`ask`: a person of this site reviews them; `accept`: what does no more than what runs here is
    taken at once; `refuse`: none. What the group sent is taken back on its word under each."""
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
    playbooks: PlaybooksSpec = PlaybooksSpec()
    proposals: ProposalsSpec = ProposalsSpec()
    directives: DirectivesSpec = DirectivesSpec()
    simulated: bool = False
    """All its devices are simulators: a drill of a playbook may move them."""
