"""The receiving loop of a tier: frames from the stream, commit, acknowledge, report the watermark.

Used by the brain (edges' frames) and by the cloud (brains' frames). A message is acknowledged only
after the tier's own commit; the watermark report is repeated, so a lost one costs only time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Protocol

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
MAX_WAITS = 5
"""Deliveries of a frame beyond a hole before it is left to the sender's resend."""


@dataclass(frozen=True, slots=True)
class Received:
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

    async def hello(self, hello: Hello) -> Welcome:
        """Register an epoch."""
        ...

    async def watermarks(self, source: str) -> tuple[dict[str, int], dict[str, int]]:
        """Newest watermarks of a source."""
        ...


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
        async with aclosing(self._bus.consume(stream, durable, subject)) as batches:
            async for batch in batches:
                await self._batch(batch)

    async def _batch(self, batch: list[Delivery]) -> None:
        touched: dict[str, Node] = {}
        taken = 0
        loop = asyncio.get_running_loop()
        reported = loop.time()
        try:
            for delivery in batch:
                node = await self._one(delivery)
                taken += 1
                if node is not None:
                    touched[node.source] = node
                if touched and loop.time() - reported > REPORT_AT_ONCE_S:
                    await self._report(touched.popitem()[1])
                    reported = loop.time()
        finally:
            # A fault: what is left comes again soon and in order, not after the broker's patience,
            # behind which every newer frame of its lane would wait.
            for delivery in batch[taken:]:
                await delivery.nak(AFTER_FAULT_S)
        for node in touched.values():
            await self._report(node)

    async def report_for_ever(self) -> None:
        """Repeat the watermark reports of the sources seen since start."""
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            for node in list(self._seen.values()):
                await self._report(node)

    async def _one(self, delivery: Delivery) -> Node | None:
        try:
            node, _, _ = subjects.parse(delivery.subject)
            frame = decode(delivery.data, Frame)
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
        receipt = await self._receiver.receive(frame)
        if receipt.waits and delivery.attempt < MAX_WAITS:
            await delivery.nak(0.5)
            return None
        await delivery.ack()
        self._seen[node.source] = node
        return node

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
