"""Messages of one durable consumer as they come: asks for many, hands over each at once.

Used by `nats_bus.py` alone, which owns the connection. The client library's own fetch may hold a
message back until a second one arrives; for an alarm that is seconds too late.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

ASK_S = 30.0
HEARTBEAT_S = 5.0
SILENT_S = 2.5 * HEARTBEAT_S
LOOK_S = 0.5
_OVER = ("404", "408")
"""The request has ended (nothing there, or its time is up): ask again."""


class PullEnded(Exception):
    """The consumer must be bound anew: the connection, the server or the consumer has changed."""


class Pull:
    """One consumer's request and what it brings."""

    def __init__(self, client: Any, subscription: Any, inbox: str, asking: str, batch: int) -> None:
        self._client, self._subscription, self._inbox = client, subscription, inbox
        self._asking, self._batch = asking, batch
        self._asked = 0
        """Messages that the server may still send for the request that stands."""
        self._reconnects = client.stats["reconnects"]
        self._heard = asyncio.get_running_loop().time()

    async def next(self) -> list[Any]:
        """What has arrived, at least one message and at most a batch; raises PullEnded."""
        found: list[Any] = []
        while not found:
            if self._asked <= 0:
                await self._ask()
            try:
                message = await self._subscription.next_msg(timeout=LOOK_S)
            except TimeoutError:
                self._look()
                continue
            self._take(message, found)
            while self._subscription.pending_msgs and len(found) < self._batch:
                self._take(await self._subscription.next_msg(timeout=LOOK_S), found)
        return found

    async def _ask(self) -> None:
        request = {
            "batch": self._batch,
            "expires": int(ASK_S * 1e9),
            "idle_heartbeat": int(HEARTBEAT_S * 1e9),
        }
        await self._client.publish(self._asking, json.dumps(request).encode(), self._inbox)
        self._asked = self._batch
        self._heard = asyncio.get_running_loop().time()

    def _look(self) -> None:
        if self._client.stats["reconnects"] != self._reconnects:
            raise PullEnded("connected anew")
        if asyncio.get_running_loop().time() - self._heard > SILENT_S:
            raise PullEnded("no heartbeat of the consumer")

    def _take(self, message: Any, found: list[Any]) -> None:
        self._heard = asyncio.get_running_loop().time()
        status = (message.headers or {}).get("Status") if not message.data else None
        if status is None:
            self._asked -= 1
            found.append(message)
        elif status in _OVER:
            self._asked = 0
        elif status != "100":
            raise PullEnded(f"{status} {(message.headers or {}).get('Description', '')}")

    async def close(self) -> None:
        """Let go of the inbox; what has come and was not handed over goes back at once."""
        while self._subscription.pending_msgs:
            message = await self._subscription.next_msg(timeout=LOOK_S)
            if message.data:
                await message.nak()
        await self._subscription.unsubscribe()
