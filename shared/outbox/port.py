"""The durable send queue as the drainer sees it.

Implemented on SQLite at the edge and on PostgreSQL in the brain; one contract suite runs on both.
Rows are appended inside the owner's own transaction, together with the state that they tell of.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from shared.messages.control import Counts

MAX_FRAME_EVENTS = 500
MAX_FRAME_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive buffered events `first..first+len-1` of one (epoch, lane)."""

    epoch: str
    lane: str
    first: int
    events: list[msgspec.Raw]

    @property
    def last(self) -> int:
        """Sequence number of the last event."""
        return self.first + len(self.events) - 1


@dataclass(frozen=True, slots=True)
class Caps:
    """Bounds of the buffer; what they drop becomes gap records."""

    max_events: int = 2_000_000
    max_bytes: int = 2 << 30
    max_age_ms: int = 30 * 86_400_000


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """Conservation counters by lane and the age of the oldest buffered event."""

    lanes: dict[str, Counts] = field(default_factory=dict)
    oldest_at: int | None = None


class Outbox(Protocol):
    """What the drainer needs of a store."""

    async def pending(self) -> list[tuple[str, str, int, int]]:
        """(epoch, lane, first, last) of all that is buffered, oldest epoch first."""
        ...

    async def read(self, epoch: str, lane: str, first: int) -> Segment | None:
        """The next frame's events from `first` on: at most 500 events and 512 KiB."""
        ...

    async def committed(
        self, epoch: str, lane: str, through: int, quarantined: int | None = None
    ) -> None:
        """The receiver has committed through `through`: delete, and count as delivered."""
        ...

    async def status(self) -> OutboxStatus:
        """Counters; `produced = delivered + buffered + dropped + quarantined` in each lane."""
        ...
