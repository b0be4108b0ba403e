"""What Modbus registers hold: numbers in every byte order, bits, texts, bytes; pure.

Used by `modbus` for reads and writes. A value that does not fit is refused, never cut.
"""

from __future__ import annotations

import math
import struct

from edge_node.adapters.sources.modbus_map import ORDERS, WIDTHS, Register

_FORMATS = {
    "uint16": ">H", "int16": ">h", "uint32": ">I", "int32": ">i", "float32": ">f",
    "uint64": ">Q", "int64": ">q", "float64": ">d",
}  # fmt: skip
_LAYOUTS = {kind: struct.Struct(form) for kind, form in _FORMATS.items()}
_WORDS = {2 * width: struct.Struct(f">{width}H").pack for width in ORDERS}
_NATURAL = frozenset(orders[0] for orders in ORDERS.values())
Orders = dict[int, str]
"""Byte order by width in registers, for addresses that name none."""
WIRE: Orders = {width: orders[0] for width, orders in ORDERS.items()}
"""The protocol's own order: the highest byte first."""


def decode(
    register: Register, words: list[int], orders: Orders = WIRE
) -> bool | float | str | None:
    """The value in the registers that it covers; None when it is no text."""
    kind = register.kind
    if kind == "bit":
        return bool(words[0] >> register.part & 1)
    if kind in ("string", "bytes"):
        return _text(register, struct.pack(f">{len(words)}H", *words))
    layout = _LAYOUTS[kind]
    raw = _WORDS[layout.size](*words)
    order = register.order or orders[layout.size // 2]
    return layout.unpack(raw if order in _NATURAL else _arrange(raw, order))[0]


def _arrange(raw: bytes, order: str) -> bytes:
    # Each of the orders is its own inverse, so one function serves reads and writes.
    return bytes(raw[ord(letter) - ord("A")] for letter in order)


def _text(register: Register, raw: bytes) -> str | None:
    match register.layout:
        case "L":
            raw = b"".join(raw[n + 1 : n + 2] + raw[n : n + 1] for n in range(0, len(raw), 2))
        case "D":
            raw = raw[1::2]
        case "E":
            raw = raw[::2]
    raw = raw[: register.part]
    if register.kind == "bytes":
        return raw.hex()
    try:
        return raw.split(b"\0", 1)[0].decode("utf-8")
    except UnicodeDecodeError:
        return None


def encode(register: Register, value: float | bool | str, orders: Orders = WIRE) -> list[int]:
    """The registers of a value; ValueError when it does not fit."""
    if register.kind in ("string", "bytes"):
        return _text_words(register, value)
    if isinstance(value, str):
        raise ValueError(f"{register.kind} takes a number, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{value} cannot be written to a register")
    wanted = float(value) if register.kind.startswith("float") else _rounded(value)
    try:
        raw = struct.pack(_FORMATS[register.kind], wanted)
    except (struct.error, OverflowError) as error:
        raise ValueError(f"{value:g} does not fit into {register.kind}") from error
    raw = _arrange(raw, register.order or orders[WIDTHS[register.kind]])
    return list(struct.unpack(f">{len(raw) // 2}H", raw))


def _rounded(value: float) -> int:
    """To the nearest whole number, halves away from zero as C's round() does."""
    if isinstance(value, int):
        return int(value)
    return math.floor(value + 0.5) if value >= 0 else math.ceil(value - 0.5)


def _text_words(register: Register, value: float | bool | str) -> list[int]:
    if not isinstance(value, str):
        raise ValueError(f"{register.kind} takes a text, not {value!r}")
    try:
        raw = bytes.fromhex(value) if register.kind == "bytes" else value.encode("utf-8")
    except ValueError as error:
        raise ValueError(f"{value!r} is not hexadecimal, for example 0aff") from error
    if len(raw) > register.part:
        raise ValueError(f"{value!r} has {len(raw)} bytes, there is room for {register.part}")
    raw = raw.ljust(register.part, b"\0")
    match register.layout:
        case "D":
            raw = b"".join(b"\0" + raw[n : n + 1] for n in range(len(raw)))
        case "E":
            raw = b"".join(raw[n : n + 1] + b"\0" for n in range(len(raw)))
    raw = raw.ljust(2 * register.width, b"\0")
    words = struct.unpack("<" + f"{register.width}H" if register.layout == "L" else
                          ">" + f"{register.width}H", raw)  # fmt: skip
    return list(words)
