"""`alarms/*.yaml`: alarm definitions with their response sheets, as an engineer writes them.

Only shapes and single-value checks; `definitions` turns them into what runs.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from shared.alarm.filters import Filter
from shared.site.conditions import ConditionFields
from shared.site.fields import AlarmId, AssetId, Duration, Model, Names, TagId, Token
from shared.site.life_cycle import (
    FirstOutGroupSpec,
    LifeCycleFields,
    StateGateSpec,
    SuppressionGroupSpec,
)
from shared.site.reporting import SnippetSpec


class ResponseSpec(Model):
    """The response sheet."""

    cause: Names
    consequence: Names
    action: Names
    time_to_respond: Duration | None = None
    contact: Names | None = None


class BoundsSpec(Model):
    """The engineer's hard bounds for tuning."""

    limit_min: float | None = None
    limit_max: float | None = None
    on_delay_max: Duration = 300_000
    off_delay_max: Duration = 900_000
    deadband_max: float | None = None
    locked: bool = False
    filters: list[Filter] = Field(default_factory=list, max_length=3)
    """What the group may come to hold the limit against, beside the samples: `mean5min`, `day`."""
    centre: float | None = None
    """The tag's normal value: under `day` the limit is held against value - day's mean + this."""


class AlarmSpec(ConditionFields, LifeCycleFields):
    """One alarm definition."""

    id: AlarmId
    edge: Token
    asset: AssetId
    tag: TagId
    name: Names
    side: Literal["HIHI", "HI", "LO", "LOLO"] | None = None
    on_delay: Duration = 0
    off_delay: Duration = 0
    filter: Filter = "raw"
    """What a limit is held against: the samples, their mean of 5 min, the deviation from a day."""
    stale_after: Duration = 10_000
    priority: Annotated[int, Field(ge=1, le=4)] | None = None
    consequence: str = ""
    """With `time_to_respond` it gives the priority, where none is written."""
    suppressed_by: list[AlarmId] = Field(default_factory=list)
    suppressed_in: list[StateGateSpec] = Field(default_factory=list)
    suppressed_when: str = ""
    safety: bool = False
    snippet: SnippetSpec | None = None
    """What a raise takes along at full rate, where it is not the site's default."""
    bounds: BoundsSpec = BoundsSpec()
    response: ResponseSpec | None = None

    @model_validator(mode="after")
    def _kind_has_its_parts(self) -> AlarmSpec:
        if self.kind == "limit" and (self.limit is None or self.side is None):
            raise ValueError("a limit alarm needs `side` (HIHI, HI, LO or LOLO) and `limit`")
        return self

    @model_validator(mode="after")
    def _filter_fits(self) -> AlarmSpec:
        wanted = {self.filter, *self.bounds.filters} - {"raw"}
        if not wanted:
            return self
        if self.kind != "limit" or self.repeats is not None or self.schedule:
            raise ValueError("a `filter` is for limit alarms without `repeats` and `schedule`")
        if self.safety or (self.bounds.locked and self.bounds.filters):
            raise ValueError("a safety alarm or a locked one stays on raw samples")
        if "day" in wanted and self.bounds.centre is None:
            raise ValueError("`day` needs `bounds.centre`: the tag's normal value")
        return self

    @model_validator(mode="after")
    def _priority_is_known(self) -> AlarmSpec:
        if self.priority is None and not self.consequence:
            raise ValueError("an alarm needs `priority` (1 to 4), or `consequence`")
        timed = self.response is not None and self.response.time_to_respond is not None
        if self.priority is None and not timed:
            raise ValueError("`consequence` needs `response.time_to_respond` to give a priority")
        return self


class AlarmsFile(Model):
    """`alarms/*.yaml`."""

    alarms: list[AlarmSpec] = Field(default_factory=list)
    suppression_groups: list[SuppressionGroupSpec] = Field(default_factory=list)
    first_out_groups: list[FirstOutGroupSpec] = Field(default_factory=list)
