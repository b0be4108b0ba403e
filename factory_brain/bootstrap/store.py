"""Wires the event store's upkeep: partitions made ahead, roll-ups, retention.

Called once by the brain's bootstrap before anything is received.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.partitions import DAY_MS
from factory_brain.adapters.postgres.rollups import Retention, Rollups

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

ROLLUP_EVERY_S = 30.0
SWEEP_EVERY_S = 3600.0


async def wire(brain: Brain) -> Rollups:
    """Make the partitions of these days and keep the store in order from now on."""
    settings, clock = brain.settings, brain.clock
    partitions = brain.alarms.partitions
    brain.samples.partitions = partitions
    keep = Retention(
        settings.event_days, settings.sample_days, settings.minute_days, settings.hour_days
    )
    rollups = Rollups(brain.pool, partitions, keep)
    await partitions.make_ahead(clock.now_ms())

    async def summarise() -> None:
        while True:
            await rollups.samples()
            await asyncio.sleep(ROLLUP_EVERY_S)

    async def sweep() -> None:
        while True:
            now = clock.now_ms()
            await partitions.make_ahead(now)
            await rollups.alarm_days(now)
            await rollups.samples()  # before the raw rows go
            await rollups.forget(now)
            await brain.samples.prune_snippets(now - settings.sample_days * DAY_MS)
            await brain.positions.prune(now - DAY_MS)
            await asyncio.sleep(SWEEP_EVERY_S)

    brain.service.run("rollups", brain.leading(summarise))
    brain.service.run("sweep", brain.leading(sweep))
    return rollups
