"""What IEC 60870-5-104 messages say: monitored values with quality and time, answers to commands.

Pure; used by `iec104_client`. Takes whole APDUs; anything that is no monitored value is skipped.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, tzinfo

from edge_node.adapters.sources.port import BAD, GOOD, UNCERTAIN

INVALID, NOT_TOPICAL, SUBSTITUTED, BLOCKED, OVERFLOW = 0x80, 0x40, 0x20, 0x10, 0x01
_HEAD = 12
"""Bytes before the first object: APCI (6), type, count, cause (2), common address (2)."""
CAUSE_CONFIRMED = 7
INTERROGATION = 100
CAUSES_UNKNOWN = {44: "type", 45: "cause", 46: "common address", 47: "object address"}
NEGATIVE = 0x40
SELECT = 0x80
_QUALIFIERS = {45: 15, 46: 15, 47: 15, 48: 17, 49: 17, 50: 19}
"""Command type -> where its select bit stands."""
Value = float | bool | int


@dataclass(frozen=True, slots=True)
class Reading:
    """One monitored value."""

    station: int
    place: int
    family: str
    value: Value
    quality: int
    time: bytes | None
    """Its CP56Time2a, when the message has one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A station's answer to a command or an interrogation."""

    station: int
    place: int
    kind: int
    refused: str
    """Why; "" when it was confirmed."""
    select: bool = False
    """It answers a select, not the command itself."""


def _grade(flags: int) -> int:
    if flags & INVALID:
        return BAD
    return UNCERTAIN if flags & (NOT_TOPICAL | SUBSTITUTED | BLOCKED | OVERFLOW) else GOOD


def _single(raw: bytes) -> tuple[Value, int]:
    return bool(raw[0] & 1), _grade(raw[0] & 0xF0)


def _double(raw: bytes) -> tuple[Value, int]:
    return raw[0] & 3, _grade(raw[0] & 0xF0)


def _step(raw: bytes) -> tuple[Value, int]:
    position = (raw[0] & 0x7F) - (0x80 if raw[0] & 0x40 else 0)
    moving = raw[0] & 0x80
    return position, max(_grade(raw[1]), UNCERTAIN if moving else GOOD)


def _bits(raw: bytes) -> tuple[Value, int]:
    return struct.unpack("<I", raw[:4])[0], _grade(raw[4])


def _normalized(raw: bytes) -> tuple[Value, int]:
    return struct.unpack("<h", raw[:2])[0] / 32768, _grade(raw[2]) if len(raw) > 2 else GOOD


def _scaled(raw: bytes) -> tuple[Value, int]:
    return struct.unpack("<h", raw[:2])[0], _grade(raw[2])


def _short(raw: bytes) -> tuple[Value, int]:
    return struct.unpack("<f", raw[:4])[0], _grade(raw[4])


def _counter(raw: bytes) -> tuple[Value, int]:
    # IV is bit 7; CA (adjusted) and CY (overflow) make the step to it uncertain, not the reading.
    return struct.unpack("<i", raw[:4])[0], BAD if raw[4] & INVALID else GOOD


_Decoder = Callable[[bytes], tuple[Value, int]]
_TYPES: dict[int, tuple[str, int, int, _Decoder]] = {
    1: ("single", 1, 0, _single), 2: ("single", 1, 3, _single), 30: ("single", 1, 7, _single),
    3: ("double", 1, 0, _double), 4: ("double", 1, 3, _double), 31: ("double", 1, 7, _double),
    5: ("step", 2, 0, _step), 6: ("step", 2, 3, _step), 32: ("step", 2, 7, _step),
    7: ("bits", 5, 0, _bits), 8: ("bits", 5, 3, _bits), 33: ("bits", 5, 7, _bits),
    9: ("normalized", 3, 0, _normalized), 10: ("normalized", 3, 3, _normalized),
    21: ("normalized", 2, 0, _normalized), 34: ("normalized", 3, 7, _normalized),
    11: ("scaled", 3, 0, _scaled), 12: ("scaled", 3, 3, _scaled), 35: ("scaled", 3, 7, _scaled),
    13: ("float", 5, 0, _short), 14: ("float", 5, 3, _short), 36: ("float", 5, 7, _short),
    15: ("counter", 5, 0, _counter), 16: ("counter", 5, 3, _counter),
    37: ("counter", 5, 7, _counter),
}  # fmt: skip
"""Type identification -> (family, bytes of the value, bytes of its time, how it is read)."""


def readings(apdu: bytes) -> Iterator[Reading]:
    """The monitored values of one message; ValueError when it is cut off."""
    if len(apdu) < _HEAD or apdu[2] & 1 or apdu[6] not in _TYPES:
        return
    family, size, stamp, read = _TYPES[apdu[6]]
    count, sequence = apdu[7] & 0x7F, apdu[7] & 0x80
    station = int.from_bytes(apdu[10:12], "little")
    at, place = _HEAD, 0
    for n in range(count):
        if n == 0 or not sequence:
            place = int.from_bytes(apdu[at : at + 3], "little")
            at += 3
        else:
            place += 1
        raw = apdu[at : at + size + stamp]
        if len(raw) < size + stamp:
            raise ValueError(f"a message of type {apdu[6]} ends in the middle of a value")
        at += size + stamp
        value, quality = read(raw[:size])
        yield Reading(
            station, place, family, value, quality, raw[size:] if stamp == 7 else None
        )  # fmt: skip


def answer(apdu: bytes) -> Answer | None:
    """The answer to a command that a message is, if it is one."""
    if (
        len(apdu) < _HEAD + 3
        or apdu[2] & 1
        or not (45 <= apdu[6] <= 64 or apdu[6] == INTERROGATION)
    ):
        return None
    cause, negative = apdu[8] & 0x3F, apdu[8] & NEGATIVE
    refused = ""
    if cause in CAUSES_UNKNOWN:
        refused = f"the station does not know this {CAUSES_UNKNOWN[cause]}"
    elif cause != CAUSE_CONFIRMED:
        return None
    elif negative:
        refused = "the station refused the command"
    station, place = int.from_bytes(apdu[10:12], "little"), int.from_bytes(apdu[12:15], "little")
    at = _QUALIFIERS.get(apdu[6])
    select = at is not None and len(apdu) > at and bool(apdu[at] & SELECT)
    return Answer(station, place, apdu[6], refused, select)


def moment_ms(stamp: bytes, zone: tzinfo) -> int | None:
    """UTC milliseconds of a CP56Time2a; None when it says itself that it is invalid, or is."""
    millis = int.from_bytes(stamp[:2], "little")
    if stamp[2] & INVALID:
        return None
    try:
        local = datetime(
            2000 + (stamp[6] & 0x7F), stamp[5] & 0x0F, stamp[4] & 0x1F, stamp[3] & 0x1F,
            stamp[2] & 0x3F, millis // 1000, millis % 1000 * 1000, tzinfo=zone,
        )  # fmt: skip
    except ValueError:
        return None
    return round(local.timestamp() * 1000)
