"""The envelope of everything that travels: events with CloudEvents attributes, and frames of them.

A frame carries consecutive events of one (source, epoch, lane); its boundaries never change once
sent, so that a resend is byte-equal and its `Nats-Msg-Id` deduplicates it.
"""

from __future__ import annotations

import hashlib

import msgspec

from shared.messages.bodies import Body


class Event(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One recorded fact of a source (CloudEvents 1.0: id, source, type, time)."""

    id: str
    """UUIDv7 made at the source."""
    type: str
    time: int
    """Source time, UTC ms: when it happened."""
    trace: str = ""
    body: Body


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    """Consecutive events `first..last` of one lane, each as its own encoded bytes."""

    v: int = 1
    source: str
    epoch: str
    lane: str
    first: int
    events: list[msgspec.Raw]
    oldest: int = 0
    """The first position that the sender still holds: what is before it, it was told is committed
    (0: not said). A receiver that lacks some of that has lost it and would wait for ever."""

    @property
    def last(self) -> int:
        """Sequence number of the last event."""
        return self.first + len(self.events) - 1

    @property
    def message_id(self) -> str:
        """The id that the broker deduplicates by."""
        return f"{self.source}:{self.epoch}:{self.lane}:{self.first}-{self.last}"


def digest(event: bytes | msgspec.Raw) -> bytes:
    """Digest of one encoded event (128 bits): same position, other content is quarantined."""
    return hashlib.blake2b(bytes(event), digest_size=16).digest()
