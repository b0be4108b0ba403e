"""The site's YAML as pydantic models: what an engineer writes.

Only shapes and single-value checks live here; references between files are checked by `loader`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from shared.errors import ContractError
from shared.messages.subjects import check_token

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration(text: Any) -> int:
    """Milliseconds of `1h30m`, `10s`, `250ms`; raises ValueError."""
    if isinstance(text, int) and not isinstance(text, bool) and text == 0:
        return 0
    if not isinstance(text, str):
        raise ValueError("a duration is written with its unit, for example 10s or 1h30m")
    total, end = 0.0, 0
    for match in _DURATION.finditer(text):
        if match.start() != end:
            break
        total += float(match[1]) * _MS[match[2]]
        end = match.end()
    if not text or end != len(text):
        raise ValueError(f"{text!r} is not a duration; write for example 10s, 250ms or 1h30m")
    return int(total)


Duration = Annotated[int, BeforeValidator(parse_duration)]
"""Milliseconds, written `10s`."""


def _token(name: str) -> str:
    """A subject token; pydantic wraps only ValueError, so a wire fault becomes one here."""
    try:
        return check_token(name)
    except ContractError as fault:
        raise ValueError(str(fault)) from fault


Token = Annotated[str, AfterValidator(_token)]
AssetId = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")]
TagId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
AlarmId = Annotated[str, Field(pattern=r"^[A-Z0-9][A-Za-z0-9_.-]{0,95}$")]


class Model(BaseModel):
    """A strict, frozen model."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Names(Model):
    """A text in both languages."""

    zh: str
    en: str


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


class SourceSpec(Model):
    """One connection to devices."""

    id: Token
    edge: Token
    driver: Literal["opcua", "modbus", "mqtt"]
    url: str
    """opc.tcp://…, tcp://host:port, or the MQTT device id as `device:line1`."""
    interval: Duration = 500
    unit_id: int = 1


class TagSpec(Model):
    """One signal. `deadband` is against the last reported value."""

    id: TagId
    source: Token
    address: str
    asset: AssetId
    name: Names
    unit: str = ""
    type: Literal["number", "boolean", "string"] = "number"
    scale: float = 1.0
    bias: float = 0.0
    deadband: float = 0.0
    stale_after: Duration = 10_000
    tag_class: str = ""
    report: bool = True
    """Whether samples go up to the factory's history."""


class TagsFile(Model):
    """`tags/*.yaml`."""

    sources: list[SourceSpec] = Field(default_factory=list)
    tags: list[TagSpec] = Field(default_factory=list)


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


class ReflexSpec(Model):
    """A local action: an alarm's raise -> an operation, without asking anybody."""

    id: Token
    alarm: AlarmId
    device: str
    operation: str
    args: dict[str, Any] = Field(default_factory=dict)
    require: list[str] = Field(default_factory=list)
    verify: str = ""
    verify_within: Duration = 5_000
    safe_direction: bool = False
    """Idempotent and towards safety: acts even when the journal's disk fails."""


class ReflexesFile(Model):
    """`reflexes/*.yaml`."""

    reflexes: list[ReflexSpec] = Field(default_factory=list)


class OperationSpec(Model):
    """One operation of a device: a write with its limits."""

    write: str
    """Address at the device's source."""
    arg: str | None = None
    value: bool | float | str | None = None
    """Fixed value when there is no argument."""
    min: float | None = None
    max: float | None = None
    max_step: float | None = None
    max_per_min: int | None = None
    capture_before: TagId | None = None
    scale: float = 1.0
    idempotent: Literal["natural", "keyed", "no"] = "natural"


class DeviceSpec(Model):
    """One device as playbooks and reflexes see it; interlocks outrank them all."""

    type: str
    edge: Token
    source: Token
    tags: dict[str, TagId] = Field(default_factory=dict)
    """Logical name -> tag."""
    operations: dict[str, OperationSpec]
    interlocks: list[str] = Field(default_factory=list)
    """Expressions that must be true for any operation."""


class EndpointSpec(Model):
    """A linked system that webhooks go to; `secret` names a file in the secrets folder."""

    url: str
    secret: str
    private: bool = False
    """Whether a loopback or private address is meant."""


class BindingsFile(Model):
    """`bindings.yaml`: the plant's own side of playbooks; never pushed from above."""

    devices: dict[str, DeviceSpec] = Field(default_factory=dict)
    endpoints: dict[str, EndpointSpec] = Field(default_factory=dict)
