"""The bus in memory, with faults on demand: duplicates, reorder, loss, lost confirmations, a cut.

Used by unit tests and drills in place of `nats_bus.py`; the same contract suite runs on both. It
keeps nothing beyond the process and knows no permissions.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from shared.bus.port import Delivery, Handler, StreamSpec
from shared.errors import RetryableTransportError
from shared.messages.subjects import Node

QUEUE = 10_000


@dataclass
class Faults:
    """Probabilities of what can go wrong; deterministic by `seed`."""

    duplicate: float = 0.0
    """A message arrives twice, a durable one also after its acknowledgement."""
    reorder: float = 0.0
    """A batch of durable messages is shuffled."""
    lose: float = 0.0
    """A message never arrives; a durable publish fails."""
    lose_ack: float = 0.0
    """A durable publish is stored, and its confirmation is lost."""
    seed: int = 1

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def strikes(self, chance: float) -> bool:
        """Whether a fault of this probability happens now."""
        return chance > 0 and self.random.random() < chance


def matches(pattern: str, subject: str) -> bool:
    """Whether a NATS pattern (`*` one token, `>` the rest) covers a subject."""
    wanted, given = pattern.split("."), subject.split(".")
    for index, token in enumerate(wanted):
        if token == ">":
            return len(given) > index
        if index >= len(given) or token not in ("*", given[index]):
            return False
    return len(wanted) == len(given)


@dataclass(eq=False)
class _Subscription:
    pattern: str
    owner: MemoryBus
    queue: asyncio.Queue[tuple[str, bytes, asyncio.Future[bytes] | None]] = field(
        default_factory=lambda: asyncio.Queue(QUEUE)
    )


@dataclass
class _Consumer:
    pattern: str
    next: int = 0
    again: deque[int] = field(default_factory=deque)
    attempts: dict[int, int] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)


@dataclass
class _Stream:
    spec: StreamSpec
    messages: list[tuple[str, bytes]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    consumers: dict[str, _Consumer] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryServer:
    """What the connections share: subscriptions, streams and buckets."""

    def __init__(self, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self.cut = False
        """While set, every connection is down."""
        self.overflows = 0
        self.subscriptions: list[_Subscription] = []
        self.streams: dict[str, _Stream] = {}
        self.buckets: dict[str, dict[str, bytes]] = {}

    def connect(self) -> MemoryBus:
        """One connection."""
        return MemoryBus(self)

    def stored(self, stream: str) -> list[tuple[str, bytes]]:
        """(subject, data) of all that a stream holds, for tests."""
        return list(self.streams[stream].messages)


class MemoryDelivery:
    """One durable message."""

    def __init__(self, stream: _Stream, consumer: _Consumer, index: int) -> None:
        self._stream, self._consumer, self._index = stream, consumer, index
        self.subject, self.data = stream.messages[index]
        self.attempt = consumer.attempts[index]

    async def ack(self) -> None:
        """Done: committed here."""
        self._consumer.open.discard(self._index)

    async def nak(self, delay_s: float) -> None:
        """Deliver again after `delay_s`."""
        asyncio.get_running_loop().call_later(delay_s, self._return)

    def _return(self) -> None:
        if self._index in self._consumer.open:
            self._consumer.again.append(self._index)
            self._stream.changed.set()


class MemoryBus:
    """One connection to a `MemoryServer`."""

    def __init__(self, server: MemoryServer) -> None:
        self._server = server
        self._tasks: list[asyncio.Task[None]] = []
        self._closed = False

    @property
    def connected(self) -> bool:
        """Whether the server is connected."""
        return not self._closed and not self._server.cut

    def _need(self, what: str) -> None:
        if not self.connected:
            raise RetryableTransportError(f"{what}: not connected")

    async def publish(self, subject: str, data: bytes) -> None:
        """Publish without confirmation."""
        self._need(f"publish to {subject}")
        self._send(subject, data, None)

    def _send(self, subject: str, data: bytes, reply: asyncio.Future[bytes] | None) -> int:
        faults = self._server.faults
        if faults.strikes(faults.lose):
            return 1  # somebody may have been there; the message is gone all the same
        heard = 0
        for subscription in list(self._server.subscriptions):
            if not matches(subscription.pattern, subject):
                continue
            heard += 1
            for _ in range(2 if faults.strikes(faults.duplicate) else 1):
                try:
                    subscription.queue.put_nowait((subject, data, reply))
                except asyncio.QueueFull:
                    self._server.overflows += 1
        return heard

    async def publish_durable(self, subject: str, data: bytes, message_id: str) -> None:
        """Publish into a stream; a repeated id is stored once."""
        self._need(f"durable publish to {subject}")
        faults = self._server.faults
        stream = next(
            (
                s
                for s in self._server.streams.values()
                if any(matches(pattern, subject) for pattern in s.spec.subjects)
            ),
            None,
        )
        if stream is None or faults.strikes(faults.lose):
            raise RetryableTransportError(f"durable publish to {subject}: no answer")
        if message_id not in stream.ids:
            stream.ids.add(message_id)
            stream.messages.append((subject, data))
            stream.changed.set()
        await asyncio.sleep(0)
        if faults.strikes(faults.lose_ack):
            raise RetryableTransportError(f"durable publish to {subject}: confirmation lost")

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Ask; raises RetryableTransportError when nobody answers."""
        self._need(f"request to {subject}")
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if not self._send(subject, data, future):
            raise RetryableTransportError(f"request to {subject}: nobody listens")
        try:
            return await asyncio.wait_for(future, timeout_s)
        except TimeoutError as error:
            raise RetryableTransportError(f"request to {subject}: no answer") from error

    async def request_down(self, node: Node, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Ask a lower node."""
        return await self.request(subject, data, timeout_s)

    async def subscribe(self, subject: str, handler: Handler) -> None:
        """Handle messages one after the other."""
        self._need(f"subscribe to {subject}")
        subscription = _Subscription(subject, self)
        self._server.subscriptions.append(subscription)

        async def handle() -> None:
            while True:
                at, data, reply = await subscription.queue.get()
                answer = await handler(at, data)
                if answer is not None and reply is not None and not reply.done():
                    reply.set_result(answer)

        self._tasks.append(asyncio.create_task(handle()))

    async def ensure_stream(self, spec: StreamSpec) -> None:
        """Create the stream, or bring it to `spec`."""
        self._need(f"stream {spec.name}")
        stream = self._server.streams.setdefault(spec.name, _Stream(spec))
        stream.spec = spec

    async def consume(
        self, stream: str, durable: str, subject: str, batch: int = 50
    ) -> AsyncGenerator[list[Delivery], None]:
        """Durable pull consumer: batches of deliveries, for ever."""
        store = self._server.streams[stream]
        consumer = store.consumers.setdefault(durable, _Consumer(subject))
        # Whoever binds anew gets again what the one before did not acknowledge.
        consumer.again = deque(sorted(consumer.open))
        while not self._closed:
            store.changed.clear()
            found = [] if self._server.cut else self._fetch(store, consumer, batch)
            if found:
                yield [MemoryDelivery(store, consumer, index) for index in found]
                continue
            try:
                async with asyncio.timeout(0.05):
                    await store.changed.wait()
            except TimeoutError:
                continue

    def _fetch(self, stream: _Stream, consumer: _Consumer, batch: int) -> list[int]:
        faults = self._server.faults
        found: list[int] = []
        while consumer.again and len(found) < batch:
            found.append(consumer.again.popleft())
        while consumer.next < len(stream.messages) and len(found) < batch:
            if matches(consumer.pattern, stream.messages[consumer.next][0]):
                found.append(consumer.next)
            consumer.next += 1
        found += [index for index in found if faults.strikes(faults.duplicate)]
        if faults.strikes(faults.reorder):
            faults.random.shuffle(found)
        for index in found:
            consumer.open.add(index)
            consumer.attempts[index] = consumer.attempts.get(index, 0) + 1
        return found

    async def ensure_bucket(self, bucket: str) -> None:
        """Create a bucket."""
        self._need(f"bucket {bucket}")
        self._server.buckets.setdefault(bucket, {})

    async def bucket_put(self, bucket: str, key: str, value: bytes) -> None:
        """Store a value."""
        self._need(f"bucket {bucket}")
        if bucket not in self._server.buckets:
            raise RetryableTransportError(f"bucket {bucket}: does not exist")
        self._server.buckets[bucket][key] = value

    async def bucket_get(self, bucket: str, key: str, domain: str) -> bytes | None:
        """Newest value, None if there is none."""
        self._need(f"bucket {bucket}")
        return self._server.buckets.get(bucket, {}).get(key)

    async def close(self) -> None:
        """Disconnect."""
        self._closed = True
        mine = [s for s in self._server.subscriptions if s.owner is self]
        for subscription in mine:
            self._server.subscriptions.remove(subscription)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
