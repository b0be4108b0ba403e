"""`tags/*.yaml`: sources of samples and the tags that they bring, as an engineer writes them.

Only shapes and single-value checks; references are checked by `references`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from shared.site.fields import AssetId, Duration, Model, Names, TagId, Token
from shared.site.reporting import Report

Access = Literal["read", "write", "subscribe"]
SHORTEST_MS = 30


def _interval(ms: int) -> int:
    if ms < SHORTEST_MS:
        raise ValueError(
            f"an interval is {SHORTEST_MS}ms or longer (100ms is what most devices bear)"
        )
    return ms


Interval = Annotated[Duration, AfterValidator(_interval)]


class GroupSpec(Model):
    """Tags of one source that are read at an interval of their own."""

    id: Token
    interval: Interval


class SourceSpec(Model):
    """One connection to devices; `driver` names a plug-in, which checks `url` and `options`."""

    id: Token
    edge: Token
    driver: str
    url: str = ""
    """opc.tcp://…, tcp://host:port, or the MQTT device id as `device:line1`."""
    interval: Interval = 500
    unit_id: int = Field(default=1, ge=0, le=65_535)
    options: dict[str, Any] = Field(default_factory=dict)
    groups: list[GroupSpec] = Field(default_factory=list)
    inputs: list[TagId] = Field(default_factory=list)
    """Tags whose samples a computed source takes."""


class TagSpec(Model):
    """One signal: value = device's value x `scale` + `bias`, rounded to `precision` decimals.

    `deadband` is against the last reported value.
    """

    id: TagId
    source: Token
    address: str
    asset: AssetId
    name: Names
    unit: str = ""
    type: Literal["number", "boolean", "string"] = "number"
    scale: float = 1.0
    bias: float = 0.0
    precision: int | None = Field(default=None, ge=0, le=17)
    min: float | None = None
    """Outside of `min` and `max` the value is bad, or as `outside` says."""
    max: float | None = None
    outside: Literal["bad", "clamp"] = "bad"
    deadband: float = Field(default=0.0, ge=0)
    group: str = ""
    """One of the source's groups; empty: the source's own interval."""
    unit_id: int | None = Field(default=None, ge=0, le=65_535)
    access: list[Access] = Field(default=["read", "write"], min_length=1)
    """`read`: each reading counts; `subscribe` alone: only changes beyond the deadband do;
    without `write` no operation may write its address."""
    stale_after: Duration = 10_000
    tag_class: str = ""
    report: Report = "change"
    """How samples go up to the factory's history: change, raw, a window, or false."""


class TagsFile(Model):
    """`tags/*.yaml`."""

    sources: list[SourceSpec] = Field(default_factory=list)
    tags: list[TagSpec] = Field(default_factory=list)
