"""The bus as the application sees it: publish, request, consume durably, read a bucket.

Implemented by `nats_bus.py` on real servers and by `memory_bus.py` in unit tests (one contract
suite runs on both). Every call is bounded by a timeout; cancellation acknowledges nothing.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from shared.messages.subjects import Node

Handler = Callable[[str, bytes], Awaitable[bytes | None]]
"""(subject, data) -> reply, or None for no reply."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """A JetStream stream: what it captures and its limits."""

    name: str
    subjects: tuple[str, ...]
    max_bytes: int
    max_age_s: float
    duplicate_window_s: float = 120.0


class Delivery(Protocol):
    """One durable message; acknowledged only after the receiver's own commit."""

    @property
    def subject(self) -> str:
        """The subject it was published to."""
        ...

    @property
    def data(self) -> bytes:
        """The message body."""
        ...

    @property
    def attempt(self) -> int:
        """1 on first delivery."""
        ...

    async def ack(self) -> None:
        """Done: committed here."""
        ...

    async def nak(self, delay_s: float) -> None:
        """Not now: deliver again after `delay_s`."""
        ...


class Bus(Protocol):
    """A connection to one tier's server."""

    @property
    def connected(self) -> bool:
        """Whether the local server is connected (says nothing of the upper tier)."""
        ...

    async def publish(self, subject: str, data: bytes) -> None:
        """Publish without confirmation (core NATS)."""
        ...

    async def publish_durable(self, subject: str, data: bytes, message_id: str) -> None:
        """Publish into a stream and wait for its acknowledgement.

        Raises RetryableTransportError on no answer; a resend with the same id is deduplicated.
        """
        ...

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Ask the upper tier; raises RetryableTransportError."""
        ...

    async def request_down(self, node: Node, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Ask a lower node, with the answer on that node's own subtree."""
        ...

    async def subscribe(self, subject: str, handler: Handler, *, workers: int = 1) -> None:
        """Handle core messages one after the other (or `workers` at once); a value is the reply."""
        ...

    async def ensure_stream(self, spec: StreamSpec) -> None:
        """Create the stream on the local server, or bring it to `spec`."""
        ...

    def consume(
        self, stream: str, durable: str, subject: str, batch: int = 50
    ) -> AsyncGenerator[list[Delivery], None]:
        """Durable pull consumer: batches of deliveries, for ever, over reconnects."""
        ...

    async def ensure_bucket(self, bucket: str) -> None:
        """Create a key-value bucket on the local server (history 5)."""
        ...

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        """Store a value in a local bucket."""
        ...

    async def bucket_get(self, bucket: str, key: str, domain: str) -> bytes | None:
        """Newest value by direct get in `domain`, None if there is none."""
        ...

    async def close(self) -> None:
        """Flush and disconnect (bounded)."""
        ...
