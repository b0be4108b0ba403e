"""Wires the event store's upkeep: partitions made ahead, roll-ups, retention.

Called once by the brain's bootstrap before anything is received.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from factory_brain.adapters.postgres.partitions import DAY_MS, few_locks
from factory_brain.adapters.postgres.rollups import Retention, Rollups
from shared.telemetry import logger

if TYPE_CHECKING:
    from factory_brain.bootstrap import Brain

log = logger("store")
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
    rollups = Rollups(brain.pools.upkeep, partitions, keep)
    await partitions.make_ahead(clock.now_ms())
    if (locks := await few_locks(brain.pool)) is not None:
        log.warning(
            "database_locks_few", max_locks_per_transaction=locks,
            mend="set max_locks_per_transaction = 512 in postgresql.conf and restart PostgreSQL",
        )  # fmt: skip
    source, said = f"{settings.site}.brain", None

    async def judge_clock(now: int) -> None:
        nonlocal said
        days = await rollups.leapt(now)
        if days:
            log.error("clock_leapt", days=days, kept="what is too old by this clock alone")
        if said != bool(days):
            await brain.system.set(source, "clock_leap", bool(days), {"days": days})
            said = bool(days)

    async def summarise() -> None:
        while True:
            await rollups.samples()
            await asyncio.sleep(ROLLUP_EVERY_S)

    async def sweep() -> None:
        while True:
            now = clock.now_ms()
            await judge_clock(now)
            await partitions.make_ahead(now)
            await rollups.alarm_days(now)
            await rollups.samples()  # before the raw rows go
            await rollups.forget(now)
            await brain.samples.prune_snippets(await rollups.before(now, settings.sample_days))
            await brain.positions.prune(now - DAY_MS)
            await asyncio.sleep(SWEEP_EVERY_S)

    brain.service.run("rollups", brain.leading(summarise))
    brain.service.run("sweep", brain.leading(sweep))
    return rollups
