"""`tags/*.yaml`: sources of samples and the tags that they bring, as an engineer writes them.

Only shapes and single-value checks; references are checked by `references`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from shared.site.fields import AssetId, Duration, Model, Names, TagId, Token


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
