"""`bindings.yaml` and `reflexes/*.yaml`: devices, their operations and limits, local actions.

Only shapes and single-value checks; references are checked by `references`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.site.fields import AlarmId, Duration, Model, TagId, Token

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,95}$")]
InputValue = bool | int | float | str
"""What a site may give a playbook's input."""


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
    value: bool | float | str | list[Any] | None = None
    """Fixed value when there is no argument; a list: the arguments of a method, in which `$NAME`
    stands for the argument `arg: NAME`."""
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
    """A linked system of playbooks; `secret` names a file in the secrets folder."""

    url: str
    secret: str = ""
    """Signs webhooks; an endpoint that is only asked by `http` steps needs none."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Sent with `http` steps; `secret:NAME` stands for what that file in the folder says."""
    private: bool = False
    """Whether a loopback or private address is meant."""


class BindingsFile(Model):
    """`bindings.yaml`: the plant's own side of playbooks; never pushed from above."""

    devices: dict[str, DeviceSpec] = Field(default_factory=dict)
    endpoints: dict[str, EndpointSpec] = Field(default_factory=dict)
    alarms: dict[Name, list[AlarmId]] = Field(default_factory=dict)
    """Code -> alarms of this site: a playbook names the code, and answers all of them."""
    inputs: dict[Name, dict[Name, InputValue]] = Field(default_factory=dict)
    """Playbook -> input -> this site's value; checked against the playbook's own types."""
