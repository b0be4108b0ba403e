"""Sparkplug B payloads: the protobuf wire format of its few messages, read and written.

Used by `sparkplug_session` and `sparkplug_client`; pure. Fields that Andon does not need are passed
over, so that newer payloads are read too. Raises ContractError on bytes that are no payload.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from edge_node.adapters.sources.sparkplug_values import QUALITY, Raw
from shared.errors import ContractError

MAX_PAYLOAD = 16 << 20
MAX_DEPTH = 8
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(slots=True)
class Metric:
    """One metric as it stands in a payload; `raw` is the value's field and content."""

    name: str = ""
    alias: int | None = None
    timestamp: int | None = None
    datatype: int = 0
    historical: bool = False
    transient: bool = False
    null: bool = False
    raw: Raw | None = None
    quality: int | None = None
    """Of its property `Quality`: 192 good, 0 bad, 500 stale."""
    members: list[Metric] = field(default_factory=list)
    """Of a template."""
    definition: bool = False


@dataclass(slots=True)
class Payload:
    """A Sparkplug payload."""

    timestamp: int | None = None
    seq: int | None = None
    metrics: list[Metric] = field(default_factory=list)


def decode(data: bytes) -> Payload:
    """Read a payload."""
    if len(data) > MAX_PAYLOAD:
        raise ContractError(f"a payload of {len(data)} bytes exceeds {MAX_PAYLOAD}")
    payload = Payload()
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            payload.timestamp = value
        elif number == 2 and isinstance(value, bytes):
            payload.metrics.append(_metric(value, 0))
        elif number == 3 and isinstance(value, int):
            payload.seq = value
    return payload


def _metric(data: bytes, depth: int) -> Metric:
    if depth > MAX_DEPTH:
        raise ContractError("a payload's templates are nested too deeply")
    metric = Metric()
    for number, value in _fields(data):
        match number, value:
            case 1, bytes():
                metric.name = _text(value)
            case 2, int():
                metric.alias = value
            case 3, int():
                metric.timestamp = value
            case 4, int():
                metric.datatype = value
            case 5, int():
                metric.historical = bool(value)
            case 6, int():
                metric.transient = bool(value)
            case 7, int():
                metric.null = bool(value)
            case 9, bytes():
                metric.quality = _quality(value)
            case (10 | 11 | 14, int()) | (12 | 13, float()) | (16, bytes()):
                metric.raw = Raw(number, value)
            case 15, bytes():
                metric.raw = Raw(number, _text(value))
            case 18, bytes():
                _template(metric, value, depth)
    return metric


def _template(metric: Metric, data: bytes, depth: int) -> None:
    for number, value in _fields(data):
        if number == 2 and isinstance(value, bytes):
            metric.members.append(_metric(value, depth + 1))
        elif number == 5:
            metric.definition = bool(value)


def _quality(data: bytes) -> int | None:
    """The property `Quality` of a property set."""
    keys: list[str] = []
    values: list[int | None] = []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            keys.append(_text(value))
        elif number == 2 and isinstance(value, bytes):
            found = [v for n, v in _fields(value) if n in (3, 4) and isinstance(v, int)]
            values.append(found[-1] if found else None)
    return dict(zip(keys, values, strict=False)).get(QUALITY)


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ContractError("a payload's text is not UTF-8") from error


def _fields(data: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """(field number, content) of one message; floats where the wire type is a fixed one."""
    at, end = 0, len(data)
    while at < end:
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == _VARINT and number:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        else:
            size = {_FIXED64: 8, _FIXED32: 4}.get(kind, -1)
        if size < 0 or number == 0 or at + size > end:
            raise ContractError("this is no Sparkplug payload")
        part = bytes(data[at : at + size])
        at += size
        if kind == _BYTES:
            yield number, part
        else:
            yield number, struct.unpack("<d" if kind == _FIXED64 else "<f", part)[0]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 70:
        if at >= len(data):
            raise ContractError("a payload ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
    raise ContractError("a payload holds a number without an end")


def encode(payload: Payload) -> bytes:
    """Write a payload."""
    parts = []
    if payload.timestamp is not None:
        parts.append(_int_field(1, payload.timestamp))
    parts += [_bytes_field(2, _metric_bytes(metric)) for metric in payload.metrics]
    if payload.seq is not None:
        parts.append(_int_field(3, payload.seq))
    return b"".join(parts)


def _metric_bytes(metric: Metric) -> bytes:
    parts = []
    if metric.name:
        parts.append(_bytes_field(1, metric.name.encode()))
    numbers = ((2, metric.alias), (3, metric.timestamp), (4, metric.datatype or None))
    parts += [_int_field(number, value) for number, value in numbers if value is not None]
    flags = ((5, metric.historical), (6, metric.transient), (7, metric.null))
    parts += [_int_field(number, 1) for number, flag in flags if flag]
    if metric.quality is not None:
        value = _int_field(1, 3) + _int_field(3, metric.quality)
        parts.append(_bytes_field(9, _bytes_field(1, QUALITY.encode()) + _bytes_field(2, value)))
    if metric.members or metric.definition:
        inner = b"".join(_bytes_field(2, _metric_bytes(member)) for member in metric.members)
        parts.append(_bytes_field(18, inner + (_int_field(5, 1) if metric.definition else b"")))
    if metric.raw is not None:
        parts.append(_raw_bytes(metric.raw))
    return b"".join(parts)


def _raw_bytes(raw: Raw) -> bytes:
    value = raw.content
    if isinstance(value, str):
        return _bytes_field(raw.field, value.encode())
    if isinstance(value, bytes):
        return _bytes_field(raw.field, value)
    if isinstance(value, float):
        fixed, form = (_FIXED32, "<f") if raw.field == 12 else (_FIXED64, "<d")
        return _number(raw.field << 3 | fixed) + struct.pack(form, value)
    return _int_field(raw.field, int(value))


def _int_field(number: int, value: int) -> bytes:
    return _number(number << 3) + _number(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _number(number << 3 | _BYTES) + _number(len(value)) + value


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
