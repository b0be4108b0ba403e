"""The brain's tables that are cut by time: the journal, the historian and its roll-ups.

Called by the stores before they write and by the housekeeping; how partitions are made and dropped
is `shared/postgres/partitions.py`.
"""

from __future__ import annotations

import asyncpg

from shared.postgres import partitions as shared
from shared.postgres.partitions import DAY_MS, WAIT_S, Partitioned, few_locks, start_of

__all__ = [
    "ALL", "DAY_MS", "EVENTS", "HOURS", "MINUTES", "SAMPLES", "WAIT_S", "Partitioned",
    "Partitions", "few_locks", "start_of",
]  # fmt: skip
EVENTS = Partitioned("event", "received_at")
SAMPLES = Partitioned("sample_raw", "at")
MINUTES = Partitioned("sample_minute", "at", 4)
HOURS = Partitioned("sample_hour", "at", 32)
ALL = (EVENTS, SAMPLES, MINUTES, HOURS)


class Partitions(shared.Partitions):
    """Knows which of the brain's partitions stand."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool, ALL)
