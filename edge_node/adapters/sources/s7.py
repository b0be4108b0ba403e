"""The driver `s7` (Siemens S7-300 to 1500): what a site may write for it; `s7_client` does it.

Loaded by the registry for every check of a site, so it imports no protocol library.
"""

from __future__ import annotations

from pydantic import Field

from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from edge_node.adapters.sources.s7_map import parse_address
from shared.clock import Clock
from shared.site.fields import Duration


class S7Options(Options):
    """`options:` of an S7 source."""

    rack: int = Field(default=0, ge=0, le=7)
    slot: int = Field(default=1, ge=0, le=31)
    """1 for S7-1200 and 1500, 2 for S7-300 and 400."""
    timeout: Duration = Field(default=2000, ge=50, le=10_000)
    """How long one request waits for its answer."""


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.s7_client import S7Driver

    return S7Driver(source, sink, clock)


def check_address(address: str, tag_type: str) -> str:
    """What is wrong with a tag's address, with the mend; "" when nothing is."""
    try:
        place = parse_address(address)
    except ValueError as error:
        return str(error)
    if (place.kind == "string") != (tag_type == "string"):
        return (
            f"{address!r} is no text: write DB1.DBB8:string[20]" if tag_type == "string"
            else f"{address!r} is a text: give the tag `type: string`"
        )  # fmt: skip
    return ""


def check_write(address: str) -> str:
    """What is wrong with the address of an operation; "" when it can be written."""
    try:
        place = parse_address(address)
    except ValueError as error:
        return str(error)
    return f"{address!r} is an input: it can only be read" if place.area == "I" else ""


DRIVER = DriverInfo(
    name="s7",
    options=S7Options,
    build=_build,
    check_address=check_address,
    schemes=("s7",),
    check_write=check_write,
    extra="s7",
)
