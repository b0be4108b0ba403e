"""OPC UA values, times and status codes as Andon's, and back; pure but for the library's types.

Used by the client's readings, writes and events.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from asyncua import ua

from edge_node.adapters.sources.port import BAD, GOOD

_INTEGERS = {
    ua.VariantType.SByte: (-(2**7), 2**7 - 1), ua.VariantType.Byte: (0, 2**8 - 1),
    ua.VariantType.Int16: (-(2**15), 2**15 - 1), ua.VariantType.UInt16: (0, 2**16 - 1),
    ua.VariantType.Int32: (-(2**31), 2**31 - 1), ua.VariantType.UInt32: (0, 2**32 - 1),
    ua.VariantType.Int64: (-(2**63), 2**63 - 1), ua.VariantType.UInt64: (0, 2**64 - 1),
}  # fmt: skip
_MAX_FLOAT = 3.4028234663852886e38
_OVERFLOW = 0x0480
"""Info type data value, and the bit that says that the server's queue has lost values."""


def standard(number: int) -> ua.NodeId:
    """A node of the standard's own namespace."""
    return ua.NodeId(ua.Int32(number))


def quality_of(status: ua.StatusCode | None) -> int:
    """Good, uncertain or bad: the two highest bits of the status code (Part 4, 7.39)."""
    return GOOD if status is None else min(int(status.value) >> 30, BAD)


def code_of(status: ua.StatusCode | None) -> str:
    """The name of a status that is not good; "" for a good one."""
    return "" if quality_of(status) == GOOD or status is None else status.name


def lost_values(status: ua.StatusCode | None) -> bool:
    """Whether the server says that its queue was too short and values before this one are lost."""
    return status is not None and int(status.value) & _OVERFLOW == _OVERFLOW


def as_type(value: Any, kind: ua.VariantType) -> Any:
    """The order's value in the node's own type; ValueError when it does not fit."""
    if kind is ua.VariantType.Boolean:
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
    elif kind is ua.VariantType.String:
        return str(value)
    elif kind is ua.VariantType.LocalizedText:
        return ua.LocalizedText(str(value))
    elif kind is ua.VariantType.DateTime and isinstance(value, str):
        return datetime.fromisoformat(value)
    elif isinstance(value, bool | int | float):
        return _number(value, kind)
    raise ValueError(f"{value!r} cannot be written to a node of type {kind.name}")


def _number(value: float, kind: ua.VariantType) -> float | int:
    if kind is ua.VariantType.Double:
        return float(value)
    if kind is ua.VariantType.Float:
        if math.isfinite(value) and abs(value) > _MAX_FLOAT:
            raise ValueError(f"{value!r} does not fit into Float")
        return float(value)
    if kind in _INTEGERS and float(value).is_integer():
        low, high = _INTEGERS[kind]
        if not low <= int(value) <= high:
            raise ValueError(f"{value!r} does not fit into {kind.name} ({low} to {high})")
        return int(value)
    raise ValueError(f"{value!r} cannot be written to a node of type {kind.name}")


def variant_of(value: Any, kind: ua.VariantType, array: bool) -> ua.Variant:
    """A value or a list of values as the node's type has it; ValueError when it does not fit."""
    if array != isinstance(value, list):
        shape = "an array: give a list" if array else "a single value, not a list"
        raise ValueError(f"the node holds {shape}")
    if array:
        return ua.Variant([as_type(item, kind) for item in value], kind, is_array=True)
    return ua.Variant(as_type(value, kind), kind)


def plain(raw: Any) -> float | bool | str | None:
    """A device's value as the journal keeps it; None when it is none of the simple ones."""
    if isinstance(raw, ua.LocalizedText):
        raw = raw.Text
    return raw if isinstance(raw, bool | int | float | str) else None


def element(raw: Any, index: int) -> Any:
    """One element of an array; None when there is no such one."""
    if isinstance(raw, Sequence) and not isinstance(raw, str | bytes) and index < len(raw):
        return raw[index]
    return None


def ms(moment: datetime | None, now: int) -> int:
    """A device's time in ms; `now` when it gives none."""
    if moment is None:
        return now
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
