"""Asks every edge for its heartbeat at once, when a brain has started and has heard nobody.

Called once by the bootstrap; the next beat may be a second away, and commands wait for the first.
It repeats nothing: who does not answer is heard by its next beat, or is away.
"""

from __future__ import annotations

import asyncio

from factory_brain.application.fleet import FleetView
from shared.bus.port import Bus
from shared.errors import RetryableTransportError
from shared.messages.codec import encode
from shared.messages.control import CommandRequest
from shared.messages.subjects import Node
from shared.telemetry import logger

log = logger("fleet")
ANSWER_S = 2.0
_ASKED = encode(CommandRequest(health=True))


async def call_edges(site: str, bus: Bus, fleet: FleetView) -> None:
    """Ask all of them together; what they answer is a heartbeat like any other."""

    async def call(edge: str) -> None:
        node = Node(site, edge)
        try:
            data = await bus.request_down(node, node.command, _ASKED, ANSWER_S)
        except RetryableTransportError as error:
            log.debug("edge_silent", edge=edge, error=str(error))
            return
        await fleet.on_health(node.health, data)

    async with asyncio.TaskGroup() as group:
        for edge in fleet.edges:
            group.create_task(call(edge))
