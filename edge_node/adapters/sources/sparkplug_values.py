"""Sparkplug data types: what a metric's field means, and how a value is written as its type.

Used by the codec, the session and the client of the driver `sparkplug`; pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

QUALITY = "Quality"
INT, LONG, FLOAT, DOUBLE, BOOLEAN, STRING = 10, 11, 12, 13, 14, 15
"""Fields of a metric's value."""
NAMES = {
    1: "Int8", 2: "Int16", 3: "Int32", 4: "Int64", 5: "UInt8", 6: "UInt16", 7: "UInt32",
    8: "UInt64", 9: "Float", 10: "Double", 11: "Boolean", 12: "String", 13: "DateTime", 14: "Text",
    15: "UUID", 16: "DataSet", 17: "Bytes", 18: "File", 19: "Template",
}  # fmt: skip
TEMPLATE = 19
_SIGNED = {1: 8, 2: 16, 3: 32, 4: 64}
_UNSIGNED = {5: 8, 6: 16, 7: 32, 8: 64, 13: 64}
_TEXTS = (12, 14, 15)
_FLOAT_MAX = 3.4028234663852886e38


@dataclass(frozen=True, slots=True)
class Raw:
    """A value as it stands in a payload."""

    field: int
    content: int | float | str | bytes


def read(datatype: int, raw: Raw | None) -> bool | int | float | str | None:
    """A metric's value; None where it has none that a tag could have."""
    if raw is None or isinstance(raw.content, bytes):
        return None
    value = raw.content
    if datatype in _TEXTS or isinstance(value, str):
        return value if isinstance(value, str) else None
    if datatype == 11 or raw.field == BOOLEAN:
        return bool(value)
    if datatype in _SIGNED and isinstance(value, int):
        # A negative number is the two's complement of 32 bits, of some senders that of its own.
        bits = _SIGNED[datatype]
        value &= (1 << bits) - 1
        return value - (1 << bits) if value >> (bits - 1) else value
    return value


def kind_of(datatype: int) -> str:
    """The tag type that a data type suits; "" where none does."""
    if datatype == 11:
        return "boolean"
    if datatype in _TEXTS:
        return "string"
    return "number" if datatype in _SIGNED or datatype in _UNSIGNED or datatype in (9, 10) else ""


def write(datatype: int, value: Any) -> Raw:
    """A value as a metric of this type takes it; ValueError when it does not fit."""
    name = NAMES.get(datatype, f"type {datatype}")
    if datatype == 11:
        if isinstance(value, str | dict | list) or value not in (0, 1):
            raise ValueError(f"a {name} takes true or false, not {value!r}")
        return Raw(BOOLEAN, int(bool(value)))
    if datatype in _TEXTS:
        if not isinstance(value, str):
            raise ValueError(f"a {name} takes a text, not {value!r}")
        return Raw(STRING, value)
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        raise ValueError(f"a {name} takes a number, not {value!r}")
    if datatype == 9:
        if abs(value) > _FLOAT_MAX:
            raise ValueError(f"{value!r} is beyond a Float")
        return Raw(FLOAT, float(value))
    if datatype == 10:
        return Raw(DOUBLE, float(value))
    return _integer(datatype, name, value)


def _integer(datatype: int, name: str, value: float) -> Raw:
    signed, bits = datatype in _SIGNED, _SIGNED.get(datatype) or _UNSIGNED.get(datatype)
    if bits is None:
        raise ValueError(f"a {name} cannot be written")
    if value != int(value):
        raise ValueError(f"a {name} takes whole numbers, not {value!r}")
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= value <= high:
        raise ValueError(f"a {name} takes {low} to {high}, not {value!r}")
    if bits == 64:
        return Raw(LONG, int(value) & 0xFFFF_FFFF_FFFF_FFFF)
    return Raw(INT, int(value) & 0xFFFF_FFFF)
