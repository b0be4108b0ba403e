"""Figures of the machine and of the database for the brain's health watch. Reads; one probe write.

Called by `application/health.py`, each call bounded there.
"""

from __future__ import annotations

from pathlib import Path

import psutil

from factory_brain.adapters.postgres.consumers import behind
from factory_brain.adapters.postgres.positions import Positions
from factory_brain.application.health import Probe, Reading
from shared.clock import Clock
from shared.postgres.pool import Pool


def disk_probe(site: str, folder: Path) -> Probe:
    """How full the state folder's disk is, in percent."""

    async def disk() -> list[Reading]:
        used = psutil.disk_usage(str(folder))
        share = 100 - used.free * 100 / used.total if used.total else None
        free = round(used.free / 1e9, 1)
        return [Reading(f"{site}.brain", "disk_full", share, {"free_gb": free})]

    return disk


def database_probe(site: str, positions: Positions, clock: Clock) -> Probe:
    """Whether the database takes writes, and how long one takes."""
    source = f"{site}.brain"

    async def database() -> list[Reading]:
        began = clock.mono_ms()
        writable = await positions.writable()
        took = clock.mono_ms() - began
        return [
            Reading(source, "database_unwritable", 0 if writable else 1),
            Reading(source, "database_slow", took if writable else None),
        ]

    return database


def consumer_probe(site: str, pool: Pool) -> Probe:
    """How many positions each consumer of the journal is behind."""

    async def consumers() -> list[Reading]:
        lag = await behind(pool)
        return [
            Reading(f"{site}.{name}", "consumer_behind", n) for name, n in lag.items()
            if not name.startswith("sink-")  # they have a condition of their own
        ]  # fmt: skip

    return consumers
