"""Forgets decided firings that nothing needs any more, and counts the rest for the metrics."""

from __future__ import annotations

import asyncio

from factory_brain.application.playbooks.trigger_ports import TriggerStore
from shared.clock import Clock
from shared.metrics import Exposition

KEEP_MS = 90 * 24 * 3_600_000
EVERY_S = 3_600.0


class TriggerTidy:
    """Looks after the rows of triggers."""

    def __init__(self, clock: Clock, store: TriggerStore) -> None:
        self._clock, self._store = clock, store

    async def run(self) -> None:
        """Forget what is old, for ever."""
        while True:
            await self._store.prune(self._clock.now_ms() - KEEP_MS)
            await asyncio.sleep(EVERY_S)

    async def tell(self, out: Exposition) -> None:
        """What triggers came to, by playbook and outcome."""
        counts = await self._store.counts()
        out.tell(
            "playbook_firings", "gauge", "Firings of triggers that are kept, by what they came to",
            [
                ({"playbook": playbook, "outcome": outcome}, n)
                for (playbook, outcome), n in sorted(counts.items())
            ],
        )  # fmt: skip
