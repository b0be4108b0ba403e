"""The driver `iec104` (IEC 60870-5-104): what a site may write; `iec104_client` does the work.

Loaded by the registry for every check of a site, so it imports no protocol library.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator

from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from shared.clock import Clock
from shared.site.fields import Duration

FAMILIES = ("single", "double", "step", "bits", "normalized", "scaled", "float", "counter")
COMMANDS = {
    "single": "C_SC_NA_1", "double": "C_DC_NA_1", "normalized": "C_SE_NA_1",
    "scaled": "C_SE_NB_1",
    "float": "C_SE_NC_1",
}  # fmt: skip
_ADDRESS = re.compile(r"(\d{1,5})/(\d{1,8})(?::([a-z]+))?(:select)?")
MAX_STATION, MAX_PLACE = 65_534, 0xFFFFFF


class Iec104Options(Options):
    """`options:` of an IEC 60870-5-104 source."""

    interrogation: Duration = Field(default=300_000, ge=1000)
    """How often all values are asked for; at the start they always are."""
    keepalive: Duration = Field(default=5000, ge=1000, le=60_000)
    """Silence after which the link is tested; after twice that it is lost."""
    command_timeout: Duration = Field(default=1000, ge=100, le=60_000)
    """How long a select waits for its confirmation, and one object for its next command."""
    select: bool = False
    """Select before operate for every command."""
    originator: int = Field(default=0, ge=0, le=255)
    time_zone: str = "UTC"
    """What the stations' clocks show, for example Asia/Shanghai."""

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is not a time zone, for example Asia/Shanghai") from error
        return name


@dataclass(frozen=True, slots=True)
class Place:
    """One information object."""

    station: int
    place: int
    family: str = ""
    select: bool = False


def parse_address(text: str) -> Place:
    """Read `1/100`, `1/100:float` or `1/200:single:select`; ValueError with the rule."""
    match = _ADDRESS.fullmatch(text.strip())
    family = match[3] if match else ""
    if match is None or (family and family not in FAMILIES):
        raise ValueError(
            f"{text!r} is not an IEC 104 address: write common address/object address, for example "
            f"1/100 or 1/100:float; types: {', '.join(FAMILIES)}; a command may end in :select"
        )
    station, place = int(match[1]), int(match[2])
    if not 1 <= station <= MAX_STATION or place > MAX_PLACE:
        raise ValueError(
            f"{text!r}: common addresses are 1 to {MAX_STATION}, object addresses 0 to {MAX_PLACE}"
        )
    return Place(station, place, family or "", match[4] is not None)


def check_address(address: str, tag_type: str) -> str:
    """What is wrong with a tag's address, with the mend; "" when nothing is."""
    try:
        place = parse_address(address)
    except ValueError as error:
        return str(error)
    if place.select:
        return f"{address!r}: :select belongs to a command, not to a tag"
    if tag_type == "string":
        return f"{address!r}: IEC 104 has no texts; give the tag `type: number` or boolean"
    return ""


def check_write(address: str) -> str:
    """What is wrong with the address of an operation; "" when it can be written."""
    try:
        place = parse_address(address)
    except ValueError as error:
        return str(error)
    if place.family in COMMANDS:
        return ""
    return f"{address!r}: a command names its type, one of {', '.join(COMMANDS)}: 1/200:single"


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.iec104_client import Iec104Driver

    return Iec104Driver(source, sink, clock)


DRIVER = DriverInfo(
    name="iec104",
    options=Iec104Options,
    build=_build,
    check_address=check_address,
    schemes=("iec104",),
    check_write=check_write,
    extra="iec104",
)
