"""The driver `modbus`: what a site may write for it. The client itself is `modbus_client`.

Loaded by the registry for every check of a site, so it imports no protocol library.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from edge_node.adapters.sources.modbus_map import MAX_GAP, MAX_REGISTERS, ORDERS, parse_address
from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from shared.clock import Clock
from shared.site.fields import Duration


class ModbusOptions(Options):
    """`options:` of a Modbus source."""

    baudrate: int = Field(default=9600, gt=0)
    parity: Literal["N", "E", "O"] = "N"
    stopbits: Literal[1, 2] = 1
    bytesize: Literal[7, 8] = 8
    timeout: Duration = Field(default=1000, ge=20, le=10_000)
    """How long one request waits for its answer."""
    gap: int = Field(default=MAX_GAP, ge=0, le=MAX_REGISTERS)
    """Unused registers that may be read along to save a request."""
    max_registers: int = Field(default=MAX_REGISTERS, ge=1, le=MAX_REGISTERS)
    """Registers in one request; some devices take fewer than the protocol's 125."""
    order32: Literal["ABCD", "BADC", "CDAB", "DCBA"] = "ABCD"
    """Byte order of 4-byte values whose address names none."""
    order64: Literal[
        "ABCDEFGH", "BADCFEHG", "GHEFCDAB", "HGFEDCBA", "CDABGHEF", "EFGHABCD"
    ] = "ABCDEFGH"  # fmt: skip
    pause: Duration = Field(default=0, ge=0, le=1000)
    """Silence between two requests, for slow serial devices and gateways."""
    connections: Literal["per_station", "shared"] = "per_station"
    """`shared` for gateways that take one connection only; a serial line always is."""
    retry_max: Duration = Field(default=30_000, ge=1000, le=3_600_000)
    """A station that does not answer is asked less and less often, at last once in this time."""

    def orders(self) -> dict[int, str]:
        """Byte order by width in registers."""
        return {1: ORDERS[1][0], 2: self.order32, 4: self.order64}


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.modbus_client import ModbusDriver

    return ModbusDriver(source, sink, clock)


def check_address(address: str, tag_type: str) -> str:
    """What is wrong with a tag's address, with the mend; "" when nothing is."""
    try:
        register = parse_address(address, tag_type)
    except ValueError as error:
        return str(error)
    text = register.kind in ("string", "bytes")
    if tag_type == "string" and not text:
        return f"{address!r} is no text: write its length in bytes, for example 40001.10H"
    if tag_type != "string" and text:
        return f"{address!r} is a text: give the tag `type: string`, or leave out .{register.part}"
    return ""


def check_write(address: str) -> str:
    """What is wrong with the address of an operation; "" when it can be written."""
    try:
        register = parse_address(address)
    except ValueError as error:
        return str(error)
    if register.table not in ("coil", "holding"):
        return f"{address!r} can only be read: write to a coil (00001) or holding register (40001)"
    return ""


DRIVER = DriverInfo(
    name="modbus",
    options=ModbusOptions,
    build=_build,
    check_address=check_address,
    schemes=("tcp", "modbus", "rtu", "rtu+tcp"),
    check_write=check_write,
    extra="edge",
)
