"""Identifiers: time-ordered UUIDs (version 7), epochs and positions.

Used wherever something is born; never parses subjects (see `messages/subjects.py`).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from uuid import UUID

from shared.clock import Clock


def uuid7(clock: Clock) -> str:
    """A UUID version 7 (RFC 9562): 48 bits of milliseconds, then randomness."""
    return _text((clock.now_ms() & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80))


def _text(value: int) -> str:
    """The text of a version 7 UUID with these bits: what `UUID` makes, at a third of the time."""
    value = value & ~(0xF << 76) | 0x7 << 76
    digits = f"{value & ~(0x3 << 62) | 0x2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def uuid7_at(ms: int) -> UUID:
    """A UUID version 7 whose time part is `ms`."""
    value = (ms & 0xFFFF_FFFF_FFFF) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    return UUID(int=value & ~(0x3 << 62) | 0x2 << 62)


def new_epoch() -> str:
    """A new random epoch: one start of one source, never reused (64 bits, hexadecimal)."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where an event stands in its source's output: the key of all idempotency."""

    source: str
    epoch: str
    lane: str
    seq: int

    def __str__(self) -> str:
        return f"{self.source}:{self.epoch}:{self.lane}:{self.seq}"
