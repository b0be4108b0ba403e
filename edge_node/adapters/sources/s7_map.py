"""S7 addresses, what their bytes mean, and how they are gathered into reads; pure.

`DB1.DBX0.0`, `DB1.DBW2:int`, `DB1.DBD4:real`, `DB1.DBB8:string[20]`, `I0.0`, `QW4`, `MD8:real`.
Used by `s7` for checks and by `s7_client` for reads and writes.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass

_ADDRESS = re.compile(
    r"(?:(?:DB(?P<db>\d{1,5})\.DB(?P<dbsize>[XBWD]))|(?P<area>[IQMEA])(?P<size>[XBWD]?))"
    r"(?P<byte>\d{1,5})(?:\.(?P<bit>\d))?"
    r"(?::(?P<kind>[a-z]+\d*)(?:\[(?P<length>\d{1,3})\])?)?",
    re.IGNORECASE,
)
_AREAS = {"I": "I", "E": "I", "Q": "Q", "A": "Q", "M": "M"}
"""German mnemonics too: E (Eingang) and A (Ausgang)."""
FORMATS = {
    "byte": ">B", "usint": ">B", "sint": ">b", "word": ">H", "uint": ">H", "int": ">h",
    "dword": ">I", "udint": ">I", "dint": ">i", "real": ">f", "lword": ">Q", "ulint": ">Q",
    "lint": ">q", "lreal": ">d",
}  # fmt: skip
_DEFAULTS = {"B": "byte", "W": "word", "D": "dword"}
_SPANS = {"B": 1, "W": 2, "D": 4}
MAX_SPAN = 200
"""Bytes of one read; every PLC takes that much (its PDU holds 240)."""
MAX_GAP = 16
MAX_STRING = 254
MAX_BYTE = 65_535


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """One value in a PLC."""

    area: str
    """DB, I, Q or M."""
    db: int
    byte: int
    kind: str
    bit: int = 0
    length: int = 0
    """Characters that a string has room for."""

    @property
    def span(self) -> int:
        """Bytes that it covers."""
        if self.kind == "string":
            return self.length + 2
        return 1 if self.kind == "bool" else struct.calcsize(FORMATS[self.kind])


def parse_address(text: str) -> Place:
    """Read an address; ValueError with the rule."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or int(match["byte"]) > MAX_BYTE:
        raise ValueError(
            f"{text!r} is not an S7 address: write DB1.DBX0.0 (bit), DB1.DBW2:int, DB1.DBD4:real, "
            "DB1.DBB8:string[20], I0.0, Q0.0, M0.0 or MW2"
        )
    size = (match["dbsize"] or match["size"] or "X").upper()
    area = "DB" if match["db"] else _AREAS[match["area"].upper()]
    place = (area, int(match["db"] or 0), int(match["byte"]))
    kind = (match["kind"] or "").lower()
    if size == "X":
        if match["bit"] is None or int(match["bit"]) > 7 or kind not in ("", "bool"):
            raise ValueError(f"{text!r}: a bit is byte and bit, 0 to 7, for example M0.3")
        return Place(*place, "bool", int(match["bit"]))
    if match["bit"] is not None:
        raise ValueError(f"{text!r}: only a bit (X) has a .{match['bit']}")
    kind = kind or _DEFAULTS[size]
    if kind == "string":
        length = int(match["length"] or 0)
        if not 0 < length <= MAX_STRING or size != "B":
            raise ValueError(f"{text!r}: a text is written with its room, DB1.DBB8:string[20]")
        return Place(*place, kind, 0, length)
    if kind not in FORMATS or match["length"]:
        raise ValueError(f"{text!r}: the type must be one of bool, string[n], {', '.join(FORMATS)}")
    if size != "B" and struct.calcsize(FORMATS[kind]) != _SPANS[size]:
        raise ValueError(
            f"{text!r}: {kind} has {struct.calcsize(FORMATS[kind])} bytes, DB{size} names "
            f"{_SPANS[size]}; DBB takes every type"
        )
    return Place(*place, kind)


def decode(place: Place, raw: bytes) -> bool | float | str | None:
    """The value in the bytes that it covers; None when they hold no text."""
    if place.kind == "bool":
        return bool(raw[0] >> place.bit & 1)
    if place.kind == "string":
        room, used = raw[0], raw[1]
        if used > room or used > place.length:
            return None
        return raw[2 : 2 + used].decode("latin-1")
    return struct.unpack(FORMATS[place.kind], raw[: place.span])[0]


def encode(place: Place, value: float | bool | str) -> bytes:
    """The bytes of a value; ValueError when it does not fit."""
    if place.kind == "bool":
        if isinstance(value, str) or value not in (0, 1):
            raise ValueError(f"a bit takes true or false, not {value!r}")
        return bytes([bool(value)])
    if place.kind == "string":
        if not isinstance(value, str):
            raise ValueError(f"a string takes a text, not {value!r}")
        try:
            text = value.encode("latin-1")
        except UnicodeEncodeError as error:
            raise ValueError(f"{value!r} has letters that an S7 string cannot hold") from error
        if len(text) > place.length:
            raise ValueError(f"{value!r} is longer than the {place.length} that there is room for")
        return bytes([place.length, len(text)]) + text.ljust(place.length, b"\0")
    if isinstance(value, str) or not math.isfinite(value):
        raise ValueError(f"{value!r} cannot be written to a {place.kind}")
    real = place.kind in ("real", "lreal")
    whole = math.floor(abs(value) + 0.5) * (1 if value >= 0 else -1)
    try:
        return struct.pack(FORMATS[place.kind], value if real else whole)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{value:g} does not fit into {place.kind}") from error


@dataclass(frozen=True, slots=True)
class Block:
    """One read: `count` bytes from `byte`, and whose they are."""

    area: str
    db: int
    byte: int
    count: int
    members: tuple[tuple[int, Place], ...]
    """(the caller's number, place)."""

    def apart(self) -> list[Block]:
        """One block for each member: a wrong address must not spoil its neighbours."""
        return [
            Block(place.area, place.db, place.byte, place.span, ((number, place),))
            for number, place in self.members
        ]


def plan(places: Iterable[tuple[int, Place]]) -> list[Block]:
    """Gather values into few reads."""
    blocks: list[Block] = []
    group: list[tuple[int, Place]] = []
    end = 0

    def cut() -> None:
        first = group[0][1]
        blocks.append(Block(first.area, first.db, first.byte, end - first.byte, tuple(group)))

    for item in sorted(places, key=lambda item: item[1]):
        place = item[1]
        if group:
            first = group[0][1]
            reach = max(end, place.byte + place.span)
            if (
                (place.area, place.db) != (first.area, first.db)
                or place.byte > end + MAX_GAP
                or reach - first.byte > max(MAX_SPAN, place.span)
            ):
                cut()
                group, end = [], 0
        end = max(end, place.byte + place.span)
        group.append(item)
    if group:
        cut()
    return blocks
