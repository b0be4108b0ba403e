"""Whether people are really reached from here: somebody answered a message a short while ago.

Asked by the annunciation before it takes an edge's horn; kept in memory, read anew all the time.
"""

from __future__ import annotations

import asyncio

from factory_brain.application.notify.ports import Store
from shared.clock import Clock
from shared.site.site import Site

READ_S = 2.0
PRUNE_EVERY_S = 3600.0


class Confirmed:
    """Edges for which somebody answered lately."""

    def __init__(self, site: Site, clock: Clock, store: Store) -> None:
        self._site, self._clock, self._store = site, clock, store
        self._at: dict[str, int] = {}
        self._read_at: int | None = None

    def recently(self, edge: str) -> bool:
        """Whether a message about this edge was answered within the site's time.

        What could not be read anew for a while proves nothing.
        """
        at, read = self._at.get(edge), self._read_at
        if at is None or read is None or self._clock.mono_ms() - read > 5 * READ_S * 1000:
            return False
        # An answer from the future is no proof: a clock was set.
        return 0 <= self._clock.now_ms() - at < self._site.notify.confirmed_for

    async def run(self) -> None:
        """Read it anew, for ever."""
        while True:
            if self._site.notify.people:
                since = self._clock.now_ms() - self._site.notify.confirmed_for
                self._at = await self._store.confirmed_since(since)
                self._read_at = self._clock.mono_ms()
            else:
                self._at = {}
            await asyncio.sleep(READ_S)

    async def prune_for_ever(self) -> None:
        """Forget what ended long ago, once an hour."""
        while True:
            await self._store.prune(self._clock.now_ms() - self._site.notify.keep)
            await asyncio.sleep(PRUNE_EVERY_S)
