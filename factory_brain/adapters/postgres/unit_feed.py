"""Passages reported by webhook: read from the journal, each once, with the reader's position.

Run by the service; does nothing while no station asks for events.
"""

from __future__ import annotations

import asyncio

from factory_brain.adapters.postgres.feed import Feed, FeedMovedError
from factory_brain.application.units.reports import UnitReports
from shared.messages.bodies import LinkedEvent
from shared.postgres.pool import Pool

IDLE_S = 5.0


class UnitFeed:
    """The units' way through the journal."""

    def __init__(self, pool: Pool, feed: Feed, reports: UnitReports) -> None:
        self._pool, self._feed, self._reports = pool, feed, reports

    async def run(self) -> None:
        """For ever."""
        while True:
            if not self._reports.wants_events():
                await asyncio.sleep(IDLE_S)
            elif not await self.step():
                await self._feed.wait()

    async def step(self) -> bool:
        """Take what is there; whether there was anything."""
        events = await self._feed.next()
        if not events:
            return False
        told = [(each.time, each.body) for each in events if isinstance(each.body, LinkedEvent)]
        try:
            async with self._pool.acquire() as tx, tx.transaction():
                await self._reports.take_events(tx, told)
                await self._feed.done(tx, events)
        except FeedMovedError:
            await asyncio.sleep(0.1)  # another brain took them
        return True
