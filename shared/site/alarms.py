"""`alarms/*.yaml`: alarm definitions with their response sheets, as an engineer writes them.

Only shapes and single-value checks; `definitions` turns them into what runs.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from shared.site.fields import AlarmId, AssetId, Duration, Model, Names, TagId, Token


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


class AlarmSpec(Model):
    """One alarm definition."""

    id: AlarmId
    edge: Token
    asset: AssetId
    tag: TagId
    name: Names
    kind: Literal["limit", "discrete", "expression", "stale", "bad_quality"] = "limit"
    side: Literal["HIHI", "HI", "LO", "LOLO"] | None = None
    limit: float | None = None
    deadband: float = 0.0
    on_delay: Duration = 0
    off_delay: Duration = 0
    equals: bool | float | str | None = None
    when: str = ""
    stale_after: Duration = 10_000
    priority: int = Field(ge=1, le=4)
    latching: bool = False
    ack_required: bool = True
    confirm: bool = False
    max_shelve: Duration = 8 * 3_600_000
    re_alarm: Duration | None = None
    suppressed_by: list[AlarmId] = Field(default_factory=list)
    safety: bool = False
    bounds: BoundsSpec = BoundsSpec()
    response: ResponseSpec | None = None

    @model_validator(mode="after")
    def _kind_has_its_parts(self) -> AlarmSpec:
        if self.kind == "limit" and (self.limit is None or self.side is None):
            raise ValueError("a limit alarm needs `side` (HIHI, HI, LO or LOLO) and `limit`")
        if self.kind == "discrete" and self.equals is None:
            raise ValueError("a discrete alarm needs `equals`: the value that is abnormal")
        if self.kind == "expression" and not self.when:
            raise ValueError("an expression alarm needs `when`")
        return self


class AlarmsFile(Model):
    """`alarms/*.yaml`."""

    alarms: list[AlarmSpec] = Field(default_factory=list)
