"""Modbus addresses and how they are gathered into requests; pure.

Two grammars: Modicon numbers (`30001`, `40010:float32`) and station numbers (`3!40001#BB:int32`,
`3!40001.10H`, `3!30001.5`). Used by `modbus`; what the registers hold is read by `modbus_codec`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Table = Literal["coil", "discrete", "input", "holding"]
_TABLES: dict[str, Table] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_ADDRESS = re.compile(
    r"(?:(?P<unit>\d{1,3})!)?(?P<area>[0134])(?P<number>\d+)"
    r"(?:\.(?P<part>\d{1,3})(?P<layout>[HLDE])?)?"
    r"(?:#(?P<order>[A-Z]{1,4}))?(?::(?P<kind>[a-z]+\d*))?"
)
WIDTHS = {
    "uint16": 1, "int16": 1, "uint32": 2, "int32": 2, "float32": 2,
    "uint64": 4, "int64": 4, "float64": 4,
}  # fmt: skip
ALIASES = {"float": "float32", "double": "float64"}
ORDERS = {
    1: ("AB", "BA"),
    2: ("ABCD", "BADC", "CDAB", "DCBA"),
    4: ("ABCDEFGH", "BADCFEHG", "GHEFCDAB", "HGFEDCBA", "CDABGHEF", "EFGHABCD"),
}
"""By width in registers: the order in which a value's bytes (A the highest) stand on the wire."""
_SHORT = {
    1: {"L": "AB", "B": "BA"},
    2: {"LL": "ABCD", "LB": "BADC", "BL": "CDAB", "BB": "DCBA"},
    4: {
        "L": "ABCDEFGH", "B": "HGFEDCBA", "LL": "ABCDEFGH", "LB": "BADCFEHG", "BL": "GHEFCDAB",
        "BB": "HGFEDCBA", "WS": "CDABGHEF", "WR": "EFGHABCD",
    },
}  # fmt: skip
MAX_REGISTERS = 125
MAX_BITS = 2000
MAX_GAP = 8
"""Unused registers that are read along to save a request."""
MAX_UNIT = 255
MAX_LENGTH = 246
"""Bytes of a string: what one write request carries."""


@dataclass(frozen=True, slots=True)
class Register:
    """One value: where it begins (0-based) and how it is laid out."""

    table: Table
    offset: int
    kind: str = "uint16"
    """A number's type, `bit` inside a register, `string` or `bytes`."""
    unit: int | None = None
    """The station, when the address names one."""
    order: str = ""
    """Byte order on the wire; empty: the source's."""
    part: int = 0
    """The bit's place, or the text's length in bytes."""
    layout: str = "H"
    """Text: H and L two bytes a register (high or low first), D and E one (low or high)."""

    @property
    def width(self) -> int:
        """Registers (or bits) that it covers."""
        if self.bit or self.kind == "bit":
            return 1
        if self.kind in ("string", "bytes"):
            return self.part if self.layout in "DE" else (self.part + 1) // 2
        return WIDTHS[self.kind]

    @property
    def bit(self) -> bool:
        """Whether it is a coil or a discrete input."""
        return self.table in ("coil", "discrete")


def parse_address(text: str, tag_type: str = "number", kind: str = "") -> Register:
    """Read an address; `kind` is the value's type when it is known. ValueError with the rule."""
    match = _ADDRESS.fullmatch(text.strip())
    number = int(match["number"]) if match else 0
    if match is None or not 0 < number <= 65_536 or (not match["unit"] and number_short(match)):
        raise ValueError(
            f"{text!r} is not a Modbus address: write 30001 (input register), 40001 (holding "
            "register), 10001 (discrete input) or 00001 (coil), counted from 1; with the station "
            "before it 3!40001; behind it .5 (bit), .10H (text of 10 bytes), #LB (byte order), "
            ":int32 (type)"
        )
    unit = int(match["unit"]) if match["unit"] else None
    if unit is not None and unit > MAX_UNIT:
        raise ValueError(f"{text!r}: stations are 0 to {MAX_UNIT}")
    table = _TABLES[match["area"]]
    wanted = ALIASES.get(match["kind"] or kind, match["kind"] or kind)
    if table in ("coil", "discrete"):
        if match["part"] or match["order"] or wanted not in ("", "bit"):
            raise ValueError(f"{text!r}: the type must be left out, a coil or input is one bit")
        return Register(table, number - 1, "bit", unit)
    if match["part"] is not None or wanted in ("bit", "string", "bytes"):
        return _part(text, match, Register(table, number - 1, wanted, unit), tag_type)
    return _number(text, match["order"] or "", Register(table, number - 1, wanted, unit))


def number_short(match: re.Match[str]) -> bool:
    """Modicon numbers have five digits or more: 4001 is a slip for 40001."""
    return len(match["number"]) < 4


def _number(text: str, order: str, place: Register) -> Register:
    kind = place.kind or "uint16"
    if kind not in WIDTHS:
        known = ", ".join([*WIDTHS, *ALIASES, "bit", "string", "bytes"])
        raise ValueError(f"{text!r}: the type must be one of {known}")
    width = WIDTHS[kind]
    full = _SHORT[width].get(order, order)
    if full and full not in ORDERS[width]:
        fitting = ", ".join([*_SHORT[width], *ORDERS[width]])
        mend = "" if place.kind else "; say the type, for example :int32"
        raise ValueError(f"{text!r}: the byte order of {kind} must be one of {fitting}{mend}")
    return Register(place.table, place.offset, kind, place.unit, full)


def _part(text: str, match: re.Match[str], place: Register, tag_type: str) -> Register:
    """A bit of a register, or a text of so many bytes; the tag's type decides between them."""
    if match["order"]:
        raise ValueError(f"{text!r}: a byte order goes with a number, not with a bit or a text")
    if match["part"] is None:
        mend = "the bit, for example .5" if place.kind == "bit" else "its length, for example .10"
        raise ValueError(f"{text!r}: {place.kind} needs {mend}")
    part, layout = int(match["part"]), match["layout"] or "H"
    texts = tag_type == "string" or match["layout"] is not None
    kind = place.kind or ("string" if texts else "bit")
    if kind not in ("bit", "string", "bytes"):
        raise ValueError(f"{text!r}: the type must be bit, string or bytes after .{part}")
    if kind == "bit":
        if part > 15 or match["layout"]:
            raise ValueError(f"{text!r}: a register has the bits 0 to 15")
    elif not 0 < part <= MAX_LENGTH // (2 if layout in "DE" else 1):
        raise ValueError(f"{text!r}: a text has 1 to {MAX_LENGTH} bytes")
    return Register(place.table, place.offset, kind, place.unit, "", part, layout)


@dataclass(frozen=True, slots=True)
class Block:
    """One request: `count` registers or bits from `offset` of a station, and whose they are."""

    table: Table
    offset: int
    count: int
    members: tuple[tuple[int, Register], ...]
    """(the caller's number, register)."""
    unit: int = 1


def plan(
    registers: Iterable[tuple[int, Register]], unit: int = 1, gap: int = MAX_GAP,
    most: int = MAX_REGISTERS,
) -> list[Block]:  # fmt: skip
    """Gather values into as few requests as the protocol's limits allow.

    `unit` is the station of an address that names none; `most` registers go into a request.
    """
    blocks: list[Block] = []
    group: list[tuple[int, Register]] = []
    end = 0

    def key(item: tuple[int, Register]) -> tuple[int, str, int, int]:
        place = item[1]
        return (unit if place.unit is None else place.unit, place.table, place.offset, place.width)

    def cut() -> None:
        first = group[0][1]
        members = tuple(group)
        blocks.append(Block(first.table, first.offset, end - first.offset, members, at_unit))

    at_unit = unit
    for item in sorted(registers, key=key):
        register, (owner, *_) = item[1], key(item)
        if group:
            first = group[0][1]
            limit = MAX_BITS if register.bit else most
            reach = max(end, register.offset + register.width)
            if (
                owner != at_unit
                or register.table != first.table
                or register.offset > end + gap
                or reach - first.offset > max(limit, register.width)
            ):
                cut()
                group = []
        end = max(end if group else 0, register.offset + register.width)
        at_unit = owner
        group.append(item)
    if group:
        cut()
    return blocks
