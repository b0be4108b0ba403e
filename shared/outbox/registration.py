"""A source says hello to its upper tier at every start, before its first frame.

Called by edges and brains; asks until it is answered, and applies the watermarks of the answer.
"""

from __future__ import annotations

import asyncio

from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, RetryableTransportError
from shared.messages.codec import decode, encode
from shared.messages.control import Hello, Welcome
from shared.messages.subjects import Node
from shared.outbox.port import Outbox
from shared.telemetry import logger

log = logger("registration")
ASK_S = 3.0


async def register(
    bus: Bus, node: Node, outbox: Outbox, clock: Clock, *, epoch: str, boot: str
) -> Welcome:
    """Register `epoch`; returns the answer (a refused epoch is the caller's to replace)."""
    delay = 0.25
    while True:
        held: dict[str, list[str]] = {}
        for other, lane, _, _ in await outbox.pending():
            if other != epoch:
                held.setdefault(other, []).append(lane)
        hello = Hello(source=node.source, epoch=epoch, boot=boot, at=clock.now_ms(), held=held)
        try:
            welcome = decode(await bus.request(node.hello, encode(hello), ASK_S), Welcome)
        except (RetryableTransportError, ContractError) as error:
            log.info("hello_unanswered", node=node.source, error=str(error))
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)
            continue
        for key, through in welcome.watermarks.items():
            of_epoch, _, lane = key.partition("/")
            await outbox.committed(of_epoch, lane, through)
        log.info("registered", node=node.source, epoch=epoch, accepted=welcome.accepted)
        return welcome
