"""Carries facts down to one edge: frames by request, deleted when the edge has committed them."""

from __future__ import annotations

import asyncio

from factory_brain.application.fleet import FleetView
from shared.bus.port import Bus
from shared.errors import ContractError, RetryableTransportError
from shared.messages.codec import decode, encode
from shared.messages.control import Committed
from shared.messages.envelope import Frame
from shared.messages.subjects import Node
from shared.outbox.port import Outbox
from shared.telemetry import logger

log = logger("facts")
REQUEST_S = 5.0
IDLE_S = 2.0


class FactSender:
    """The downward drainer of one edge."""

    def __init__(self, node: Node, brain: Node, outbox: Outbox, bus: Bus, fleet: FleetView) -> None:
        self._node, self._brain, self._outbox = node, brain, outbox
        self._bus, self._fleet = bus, fleet
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A fact stands in the outbox."""
        self._wake.set()

    async def run(self) -> None:
        """Send for ever; waits while the edge is not heard."""
        while True:
            sent = self._fleet.online(self._node.name) and await self._pass()
            if not sent:
                self._wake.clear()
                try:
                    async with asyncio.timeout(IDLE_S):
                        await self._wake.wait()
                except TimeoutError:
                    continue
                await asyncio.sleep(0)  # a wake while offline must not spin
                if not self._fleet.online(self._node.name):
                    await asyncio.sleep(0.5)

    async def _pass(self) -> bool:
        moved = False
        for epoch, lane, first, _ in await self._outbox.pending():
            segment = await self._outbox.read(epoch, lane, first)
            if segment is None:
                continue
            frame = Frame(
                source=self._brain.source, epoch=epoch, lane=lane, first=segment.first,
                events=segment.events, oldest=first,
            )  # fmt: skip
            try:
                data = await self._bus.request_down(
                    self._node, self._node.fact, encode(frame), REQUEST_S
                )
                report = decode(data, Committed)
            except (RetryableTransportError, ContractError) as error:
                log.warning("facts_not_delivered", edge=self._node.name, error=str(error))
                return False
            through = report.watermarks.get(f"{epoch}/{lane}", 0)
            if through < segment.first:
                return False
            await self._outbox.committed(epoch, lane, through)
            moved = True
        return moved
