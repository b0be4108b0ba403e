"""The driver `replay`: a recorded file as if it were a plant; options and grammar.

Loaded by the registry for every check of a site; `replay_player` does the work.
"""

from __future__ import annotations

from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from edge_node.adapters.sources.json_values import TimeUnit
from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from shared.clock import Clock
from shared.site.fields import Duration


class ReplayOptions(Options):
    """`options:` of a replay source."""

    format: Literal["auto", "csv", "jsonl"] = "auto"
    """`auto`: by the file's ending."""
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    time: str = "time"
    """Column or member with the moment; empty: one row every `period`."""
    time_unit: TimeUnit = "auto"
    time_zone: str = "UTC"
    period: Duration = Field(default=0, ge=0)
    name: str = ""
    """Long files: the column with a tag's name. Empty: each column is a tag's address."""
    value: str = ""
    quality: str = ""
    """Column with 0 good, 1 uncertain, 2 bad."""
    speed: float = Field(default=1.0, gt=0, le=100_000)
    loop: bool = False
    clock: Literal["shifted", "original"] = "shifted"
    """`shifted`: as if it happened now; `original`: with the times that were recorded."""
    max_gap: Duration = Field(default=0, ge=0)
    """Longer silences of the recording are cut to this; 0: they are kept."""

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is not a time zone, for example Asia/Shanghai") from error
        return name

    @model_validator(mode="after")
    def _together(self) -> ReplayOptions:
        if bool(self.name) != bool(self.value):
            raise ValueError("`name` and `value` go together: the columns of name and value")
        if not self.time and not self.period:
            raise ValueError("say when rows happened: the column `time`, or a `period`")
        return self


def check_address(address: str, tag_type: str) -> str:
    """What is wrong with a tag's address, with the mend; "" when nothing is."""
    del tag_type
    if address.strip() and address == address.strip():
        return ""
    return f"{address!r}: write the name of the file's column, or the tag's name in the file"


def check_write(address: str) -> str:
    """A recording cannot be written to."""
    return f"{address!r}: a recording cannot be written to"


def verify(source: Source) -> None:
    """Where the recording can be looked at: whether it is there and has every tag's values."""
    from edge_node.adapters.sources.recordings import check_recording

    if "beside" in source.settings:
        check_recording(source)


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.replay_player import ReplayDriver

    return ReplayDriver(source, sink, clock)


DRIVER = DriverInfo(
    name="replay",
    options=ReplayOptions,
    build=_build,
    check_address=check_address,
    schemes=("file",),
    check_write=check_write,
    verify=verify,
)
