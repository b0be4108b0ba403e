"""Modbus addresses and how they are gathered into requests; pure.

`30001` is the first input register, `40001` holding, `10001` discrete input, `00001` coil (six
digits likewise); `:float32` and the like name a wider value, high word first.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Table = Literal["coil", "discrete", "input", "holding"]
_TABLES: dict[str, Table] = {"0": "coil", "1": "discrete", "3": "input", "4": "holding"}
_ADDRESS = re.compile(r"([0134])(\d{4,5})(?::([a-z]+\d+))?")
_FORMATS = {"uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f"}
MAX_REGISTERS = 125
MAX_BITS = 2000
MAX_GAP = 8
"""Unused registers that are read along to save a request."""


@dataclass(frozen=True, slots=True, order=True)
class Register:
    """One value: where it begins (0-based) and how it is laid out."""

    table: Table
    offset: int
    kind: str = "uint16"

    @property
    def width(self) -> int:
        """Registers (or bits) that it covers."""
        return struct.calcsize(_FORMATS[self.kind]) // 2

    @property
    def bit(self) -> bool:
        """Whether it is a coil or a discrete input."""
        return self.table in ("coil", "discrete")


def parse_address(text: str) -> Register:
    """Read `30001` or `40010:float32`; raises ValueError with the rule."""
    match = _ADDRESS.fullmatch(text.strip())
    if match is None or int(match[2]) == 0 or int(match[2]) > 65_536:
        raise ValueError(
            f"{text!r} is not a Modbus address: write 30001 (input register), 40001 (holding "
            "register), 10001 (discrete input) or 00001 (coil), counted from 1"
        )
    kind = match[3] or "uint16"
    if kind not in _FORMATS or (match[3] and match[1] in "01"):
        raise ValueError(f"{text!r}: the type must be one of {', '.join(_FORMATS)}, on registers")
    return Register(_TABLES[match[1]], int(match[2]) - 1, kind)


def decode(register: Register, words: list[int]) -> float:
    """The value in the registers that it covers."""
    return struct.unpack(_FORMATS[register.kind], struct.pack(f">{len(words)}H", *words))[0]


def encode(register: Register, value: float) -> list[int]:
    """The registers of a value; ValueError when it does not fit."""
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written to a register")
    wanted = value if register.kind == "float32" else round(value)
    try:
        raw = struct.pack(_FORMATS[register.kind], wanted)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{value:g} does not fit into {register.kind}") from error
    return list(struct.unpack(f">{len(raw) // 2}H", raw))


@dataclass(frozen=True, slots=True)
class Block:
    """One request: `count` registers or bits from `offset`, and whose they are."""

    table: Table
    offset: int
    count: int
    members: tuple[tuple[int, Register], ...]
    """(the caller's number, register)."""


def plan(registers: Iterable[tuple[int, Register]]) -> list[Block]:
    """Gather values into as few requests as the protocol's limits allow."""
    blocks: list[Block] = []
    group: list[tuple[int, Register]] = []
    end = 0
    for number, register in sorted(registers, key=lambda item: item[1]):
        if group:
            first = group[0][1]
            limit = MAX_BITS if register.bit else MAX_REGISTERS
            reach = max(end, register.offset + register.width)
            if (
                register.table != first.table
                or register.offset > end + MAX_GAP
                or reach - first.offset > limit
            ):
                blocks.append(_block(group, end))
                group = []
        end = max(end if group else 0, register.offset + register.width)
        group.append((number, register))
    if group:
        blocks.append(_block(group, end))
    return blocks


def _block(group: list[tuple[int, Register]], end: int) -> Block:
    first = group[0][1]
    return Block(first.table, first.offset, end - first.offset, tuple(group))
