"""Messages of one durable consumer as they come: asks for many, hands over each at once.

Used by `nats_bus.py` alone, which owns the connection. The client library's own fetch may hold a
message back until a second one arrives; for an alarm that is seconds too late.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
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

    def __init__(self, client: Any, inbox: str, asking: str, batch: int) -> None:
        self._client, self._inbox, self._asking, self._batch = client, inbox, asking, batch
        self._subscription: Any = None
        self._come: deque[Any] = deque()
        self._news = asyncio.Event()
        self._asked = 0
        """Messages that the server may still send for the request that stands."""
        self._reconnects = client.stats["reconnects"]
        self.bound = True
        """Whether its consumer is there, as far as is known."""
        self._answered = False
        """Whether anything at all has come since it was bound."""
        self._heard = asyncio.get_running_loop().time()

    async def open(self) -> None:
        """Listen on the inbox."""
        self._subscription = await self._client.subscribe(
            self._inbox, cb=self._on_message, pending_bytes_limit=256 << 20
        )

    def lost(self) -> bool:
        """Note that the consumer is to be bound anew; True if this inbox is deaf even so."""
        deaf = self.bound and not self._answered
        self.bound = False
        return deaf

    def bind_anew(self) -> Pull:
        """The consumer is there again: ask again, on the same inbox.

        A server that was frozen may still answer the request from before; on an inbox given up, an
        alarm would lie there until the broker's patience ends.
        """
        self._asked, self._answered, self.bound = 0, False, True
        self._reconnects = self._client.stats["reconnects"]
        self._heard = asyncio.get_running_loop().time()
        return self

    async def _on_message(self, message: Any) -> None:
        self._come.append(message)
        self._news.set()

    async def next(self) -> list[Any]:
        """What has arrived, at least one message and at most a batch; raises PullEnded."""
        found: list[Any] = []
        while not found:
            if self._asked <= 0:
                await self._ask()
            if not self._come:
                self._news.clear()
                try:
                    # Not wait_for, nor the library's next_msg: on Python 3.11 they can swallow a
                    # cancellation, and lose the message that meets it.
                    async with asyncio.timeout(LOOK_S):
                        await self._news.wait()
                except TimeoutError:
                    self._look()
                    continue
            while self._come and len(found) < self._batch:
                self._take(self._come.popleft(), found)
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
        self._heard, self._answered = asyncio.get_running_loop().time(), True
        status = (message.headers or {}).get("Status") if not message.data else None
        if status is None:
            self._asked -= 1
            found.append(message)
        elif status in _OVER:
            self._asked = 0
        elif status != "100":
            self._come.extendleft(reversed(found))
            raise PullEnded(f"{status} {(message.headers or {}).get('Description', '')}")

    async def close(self) -> None:
        """Let go of the inbox; what has come and was not handed over goes back at once."""
        if self._subscription is not None:
            await self._subscription.unsubscribe()
        while self._come:
            message = self._come.popleft()
            if message.data:
                await message.nak()
