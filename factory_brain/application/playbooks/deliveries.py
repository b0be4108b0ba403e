"""Sends playbooks' webhooks that are due, beside the runs: a receiver that hangs holds up nobody.

Called by the engine; what a delivery means for its run travels as news through the store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable

from factory_brain.application.playbooks.ports import (
    Delivered,
    Delivery,
    RunStore,
    WebhookSender,
)
from shared.clock import Clock
from shared.telemetry import logger

log = logger("playbooks")
AT_ONCE = 20
AT_ONE = 4
"""So many at a time are sent to one endpoint: one that hangs leaves room for the others."""
IDLE_S = 2.0


class Deliveries:
    """The outbox of playbooks."""

    def __init__(
        self, store: RunStore, sender: WebhookSender, clock: Clock, news: Callable[[str], None]
    ) -> None:  # fmt: skip
        self._store, self._sender, self._clock, self._news = store, sender, clock, news
        self._wake = asyncio.Event()
        self._sending: Counter[str] = Counter()
        """Endpoint -> how many are under way."""

    def wake(self) -> None:
        """Something was handed over."""
        self._wake.set()

    async def run(self) -> None:
        """Send for ever."""
        self._sending.clear()
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                free = AT_ONCE - self._sending.total()
                if free <= 0:
                    await self._sleep(None)  # until one has come to its end
                    continue
                now, under_way = self._clock.now_ms(), dict(self._sending)
                due = await self._store.due_deliveries(now, free, under_way, AT_ONE)
                off = await self._store.endpoints_off() if due else set()
                for delivery in due:
                    self._sending[delivery.endpoint] += 1
                    group.create_task(self._send(delivery, off), name=f"hook-{delivery.id}")
                if not due:
                    busy = [name for name, number in self._sending.items() if number >= AT_ONE]
                    await self._sleep(await self._store.next_delivery(busy))

    async def _sleep(self, due: int | None) -> None:
        now = self._clock.now_ms()
        pause = IDLE_S if due is None else min(max((due - now) / 1000, 0.02), IDLE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()

    async def _send(self, delivery: Delivery, off: set[str]) -> None:
        try:
            await self._one(delivery, off)
        finally:
            self._sending[delivery.endpoint] -= 1
            if not self._sending[delivery.endpoint]:
                del self._sending[delivery.endpoint]
            self._wake.set()

    async def _one(self, delivery: Delivery, off: set[str]) -> None:
        if delivery.endpoint in off:
            answer = Delivered("disabled: the receiver answered 410 Gone", 410)
        else:
            answer = await self._sender.deliver(delivery)
        await self._store.delivered(delivery, answer, self._clock.now_ms())
        if answer.error is not None:
            log.warning("webhook_failed", delivery=delivery.id, error=answer.error)
        if not delivery.detach:
            self._news(delivery.run)
