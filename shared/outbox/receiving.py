"""The receiving loop of a tier: frames from the stream, commit, acknowledge, report the watermark.

Used by the brain (edges' frames) and by the cloud (brains' frames). A message is acknowledged only
after the tier's own commit; the watermark report is repeated, so a lost one costs only time.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import msgspec

from shared.bus.port import Bus, Delivery
from shared.clock import Clock
from shared.errors import ContractError, RetryableTransportError
from shared.messages import subjects
from shared.messages.codec import decode, encode
from shared.messages.control import Committed, Hello, Welcome
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import Node
from shared.telemetry import logger

log = logger("receiving")
REPORT_EVERY_S = 3.0
REPORT_AT_ONCE_S = 0.05
"""While a batch is being committed, a report as often as this keeps the sender's window moving."""
AFTER_FAULT_S = 0.5
MAX_EVENTS, MAX_BYTES = 5000, 8_000_000
"""At most so much is committed together."""
LONG_S = 0.15
"""A transaction longer than this takes fewer frames the next time."""
LONGEST_EPOCH = 200
MOST_POSITION = 1 << 62
MAX_WAITS = 5
"""Deliveries of a frame beyond a hole before it is left to the sender's resend."""


class Received(msgspec.Struct, frozen=True, gc=False):
    """One event with its position."""

    seq: int
    event: Event


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a frame."""

    watermark: int
    waits: bool = False
    applied: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What `apply` is given: the new events of one frame, in order."""

    source: str
    epoch: str
    lane: str
    received_at: int
    events: list[Received] = field(default_factory=list)


class Receiver(Protocol):
    """The committing end (see `shared/postgres/receiver.py`)."""

    async def receive(self, frame: Frame) -> Receipt:
        """Commit a frame."""
        ...

    async def receive_many(self, frames: list[Frame]) -> list[Receipt]:
        """Commit frames of one kind of lane together: all or, after a fault, none."""
        ...

    async def hello(self, hello: Hello) -> Welcome:
        """Register an epoch."""
        ...

    async def watermarks(self, source: str) -> tuple[dict[str, int], dict[str, int]]:
        """Newest watermarks of a source."""
        ...


@dataclass(frozen=True, slots=True)
class _Read:
    """A delivery and what it brings."""

    delivery: Delivery
    node: Node
    frame: Frame


@dataclass(slots=True)
class _Pace:
    """How much goes into one transaction: more while it is quick, as nothing is told before."""

    room: int = 1

    def fits(self, group: list[_Read], read: _Read) -> bool:
        """Whether one more frame goes along; lanes of a kind are told together."""
        events = sum(len(each.frame.events) for each in group) + len(read.frame.events)
        size = sum(len(each.delivery.data) for each in group) + len(read.delivery.data)
        same = read.frame.lane == group[0].frame.lane
        return same and events <= self.room and size <= MAX_BYTES

    def took(self, seconds: float) -> None:
        """Learn from one transaction."""
        if seconds > LONG_S:
            self.room = max(self.room // 2, 1)
        elif seconds < LONG_S / 2:
            self.room = min(self.room * 2 + 500, MAX_EVENTS)


def _group(reads: deque[_Read], pace: _Pace) -> list[_Read]:
    """The first ones that are committed together."""
    group = [reads[0]]
    for read in islice(reads, 1, None):
        if not pace.fits(group, read):
            break
        group.append(read)
    return group


def _sound(frame: Frame) -> Frame:
    """The frame; raises ContractError for one that no database could ever take.

    It would be tried again for ever, and every other source's frames would wait behind it.
    """
    if not (frame.epoch.isprintable() and 0 < len(frame.epoch) <= LONGEST_EPOCH):
        raise ContractError(f"not an epoch: {frame.epoch[:LONGEST_EPOCH]!r}")
    if not (0 < frame.first <= MOST_POSITION and 0 <= frame.oldest <= MOST_POSITION):
        raise ContractError(f"not positions: first {frame.first}, oldest {frame.oldest}")
    return frame


OnForged = Callable[[str, str], Awaitable[None]]


class Receiving:
    """Consumes one stream for ever."""

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        receiver: Receiver,
        *,
        site: str,
        on_forged: OnForged,
    ) -> None:
        self._bus, self._clock, self._receiver, self._site = bus, clock, receiver, site
        self._on_forged = on_forged
        self._seen: dict[str, Node] = {}

    async def serve_hello(self) -> None:
        """Answer registrations of the nodes below."""

        async def on_hello(subject: str, data: bytes) -> bytes | None:
            node, _, _ = subjects.parse(subject)
            hello = decode(data, Hello)
            if hello.source != node.source:
                return encode(Welcome(accepted=False, code="source_forged"))
            self._seen[node.source] = node
            return encode(await self._receiver.hello(hello))

        await self._bus.subscribe(subjects.any_node(self._site, "*", "hello"), on_hello)

    async def consume(self, stream: str, durable: str, subject: str = ">") -> None:
        """Receive frames of one stream, or of those subjects of it."""
        pace = _Pace()
        async with aclosing(self._bus.consume(stream, durable, subject)) as batches:
            async for batch in batches:
                await self._batch(batch, pace)

    async def _batch(self, batch: list[Delivery], pace: _Pace) -> None:
        touched: dict[str, Node] = {}
        loop = asyncio.get_running_loop()
        reported = loop.time()
        left = list(batch)
        """What is not settled yet, in order."""
        try:
            found = [await self._read(delivery) for delivery in batch]
            reads = deque(read for read in found if read is not None)
            left = [read.delivery for read in reads]
            while reads:
                for read, receipt in await self._commit(_group(reads, pace), pace):
                    reads.popleft()
                    left.pop(0)
                    if await self._settle(read, receipt):
                        touched[read.node.source] = read.node
                if touched and loop.time() - reported > REPORT_AT_ONCE_S:
                    await self._report(touched.popitem()[1])
                    reported = loop.time()
        finally:
            # A fault: what is left comes again soon and in order, not after the broker's patience,
            # behind which every newer frame of its lane would wait.
            for delivery in left:
                await delivery.nak(AFTER_FAULT_S)
        for node in touched.values():
            await self._report(node)

    async def _commit(self, group: list[_Read], pace: _Pace) -> list[tuple[_Read, Receipt]]:
        """One transaction for all; where that fails, for the first alone, so that a frame that
        cannot be committed holds up only what comes after it."""
        began = asyncio.get_running_loop().time()
        try:
            receipts = await self._receiver.receive_many([read.frame for read in group])
        except Exception:
            pace.room = 1
            if len(group) == 1:
                raise
            group = group[:1]
            receipts = [await self._receiver.receive(group[0].frame)]
        else:
            pace.took(asyncio.get_running_loop().time() - began)
        return list(zip(group, receipts, strict=True))

    async def report_for_ever(self) -> None:
        """Repeat the watermark reports of the sources seen since start."""
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            for node in list(self._seen.values()):
                await self._report(node)

    async def _read(self, delivery: Delivery) -> _Read | None:
        """The frame of a delivery; what is no frame, or a forged one, is acknowledged and told."""
        try:
            node, _, _ = subjects.parse(delivery.subject)
            frame = _sound(decode(delivery.data, Frame))
        except ContractError as error:
            log.error("frame_unreadable", subject=delivery.subject, error=str(error))
            await self._on_forged(delivery.subject, str(error))
            await delivery.ack()
            return None
        if frame.source != node.source or node.lane(frame.lane) != delivery.subject:
            log.error("frame_forged", subject=delivery.subject, source=frame.source)
            await self._on_forged(delivery.subject, f"claims to be {frame.source}/{frame.lane}")
            await delivery.ack()
            return None
        return _Read(delivery, node, frame)

    async def _settle(self, read: _Read, receipt: Receipt) -> bool:
        if receipt.waits and read.delivery.attempt < MAX_WAITS:
            await read.delivery.nak(0.5)
            return False
        await read.delivery.ack()
        self._seen[read.node.source] = read.node
        return True

    async def _report(self, node: Node) -> None:
        watermarks, quarantined = await self._receiver.watermarks(node.source)
        report = Committed(
            source=node.source,
            watermarks=watermarks,
            at=self._clock.now_ms(),
            quarantined=quarantined,
        )
        try:
            await self._bus.publish(node.committed, encode(report))
        except RetryableTransportError as error:
            log.warning("report_failed", source=node.source, error=str(error))
