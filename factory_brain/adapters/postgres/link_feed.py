"""Carries the journal to the links: deliveries and notices in the transaction that moves the feed.

Run as a task of the brain; knows neither webhooks nor devices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import asyncpg

from factory_brain.adapters.postgres.feed import Feed, FeedMovedError
from factory_brain.domain.link_events import Told
from shared.postgres.pool import Connection

AT_ONCE = 200
LOOK_S = 2.0
Put = Callable[[Connection, list[Told]], Awaitable[None]]


async def _nothing() -> bool:
    """Nothing else is to be looked at."""
    return False


class LinkFeed:
    """One consumer of the journal for all links."""

    def __init__(
        self, pool: asyncpg.Pool, feed: Feed, puts: Sequence[Put],
        wakes: Sequence[Callable[[], None]], wanted: Callable[[], bool],
        beside: Callable[[], Awaitable[bool]] = _nothing,
    ) -> None:  # fmt: skip
        self._pool, self._feed, self._puts, self._wakes = pool, feed, puts, wakes
        self._wanted, self._beside = wanted, beside

    async def run(self) -> None:
        """For ever; sleeps while the site has no links."""
        while True:
            if not self._wanted():
                await asyncio.sleep(LOOK_S)
                continue
            events = await self._feed.next(AT_ONCE)
            if not events:
                if await self._beside():
                    self._wake()
                else:
                    await self._feed.wait()
                continue
            try:
                async with self._pool.acquire() as connection, connection.transaction():
                    for put in self._puts:
                        await put(connection, list(events))
                    await self._feed.done(connection, events)
            except FeedMovedError:
                continue  # another brain of this site was faster
            self._wake()

    def _wake(self) -> None:
        for wake in self._wakes:
            wake()
