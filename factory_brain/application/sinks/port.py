"""What a northbound target is to the brain, and what the brain must remember of it.

Implemented by `adapters/sinks` (and by packages under the entry-point group `andon.sinks`) and by
`adapters/postgres/sink_store.py`; called by `forwarder.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from factory_brain.application.ports import Transaction
from shared.errors import AndonError
from shared.site.sinks import SinkSpec


class SinkUnreachable(AndonError):
    """The target did not confirm: the same batch is tried again, for as long as it takes."""


class SinkRefusal(AndonError):
    """The target will never take this batch as it is; waiting mends nothing."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of the journal. (source, id) is its key: the same at every repetition."""

    source: str
    epoch: str
    lane: str
    seq: int
    id: str
    time: int
    """UTC ms at the plant."""
    received_at: int
    view: dict[str, Any]
    """What `events` of sinks.yaml may name (shared/site/links.py)."""
    body: bytes
    """JSON as the journal holds it."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One sample. (tag, time) is its key."""

    tag: str
    asset: str
    time: int
    value: float | None
    quality: int


@dataclass(frozen=True, slots=True)
class SinkBatch:
    """What is written at once."""

    events: Sequence[EventRow] = ()
    samples: Sequence[SampleRow] = ()

    def __len__(self) -> int:
        return len(self.events) + len(self.samples)

    def halves(self) -> tuple[SinkBatch, SinkBatch]:
        """To find what is refused; only of a batch of one kind."""
        events, samples = len(self.events) // 2, len(self.samples) // 2
        return (
            SinkBatch(self.events[:events], self.samples[:samples]),
            SinkBatch(self.events[events:], self.samples[samples:]),
        )


class Sink(Protocol):
    """One target, as reached by one kind of adapter."""

    async def write(self, batch: SinkBatch) -> None:
        """Return once the target has all of it for good; writing it again changes nothing.

        Raises SinkUnreachable or SinkRefusal. What was written of a batch that fails may stay.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(frozen=True, slots=True)
class SinkKind:
    """What an entry point of `andon.sinks` names."""

    open: Callable[[SinkSpec, str, str], Sink]
    """(spec, the secret's text or "", site) -> a sink that connects at its first write."""
    fault: Callable[[SinkSpec], tuple[str, str] | None] = field(default=lambda spec: None)
    """(what is wrong with the URL or the secret, how to mend it)."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Samples behind a sink's position, in the order of their commits, and where they end."""

    samples: list[SampleRow]
    before: tuple[int, int]
    after: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Refused:
    """One item that a target will never take."""

    what: str
    item: dict[str, Any]
    reason: str


@dataclass(frozen=True, slots=True)
class Counts:
    """What a sink was given since it is known."""

    events: int = 0
    samples: int = 0
    refused: int = 0
    lost: int = 0


class PositionMoved(AndonError):
    """Another brain forwards to this sink too, and was faster."""


class SinkEvents(Protocol):
    """A sink's way through the journal (`adapters/postgres/feed.py`)."""

    async def next(self, limit: int = 500) -> list[Any]:
        """Committed events behind the position."""
        ...

    async def done(self, tx: Transaction, events: Sequence[Any]) -> None:
        """Move the position; raises StoreError if somebody else did."""
        ...

    async def behind(self) -> int:
        """Positions not yet done."""
        ...

    async def wait(self, timeout_s: float = 1.0) -> None:
        """Until something was committed, or the time is over."""
        ...


class SinkStore(Protocol):
    """Positions and waiting samples."""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """A transaction that commits at the end of the block."""
        ...

    async def register(self, sink: str) -> None:
        """Make a new sink known: it takes samples committed from now on."""
        ...

    async def own(self, sink: str, owner: str, for_ms: int) -> bool:
        """Whether this brain is the one that forwards to a sink, for a while."""
        ...

    async def release(self, sink: str, owner: str) -> None:
        """Another brain, or this one's next start, need not wait; a silent database is no fault."""
        ...

    async def samples(self, sink: str, limit: int) -> Waiting | None:
        """The samples behind the position, about `limit` of them; None: there are none."""
        ...

    async def moved(self, tx: Transaction, sink: str, waiting: Waiting) -> None:
        """The samples are confirmed; raises PositionMoved."""
        ...

    async def count(
        self, tx: Transaction, sink: str, given: Counts, refused: Sequence[Refused], at: int
    ) -> None:
        """Add to what is known, in the transaction that moves a position."""
        ...

    async def counts(self) -> dict[str, Counts]:
        """By sink."""
        ...

    async def samples_behind(self, sink: str) -> int:
        """How many samples wait for it."""
        ...

    async def prune(self, keep_ms: dict[str, int], now: int) -> None:
        """Forget samples that every sink has, and those that waited too long (counted as lost)."""
        ...
