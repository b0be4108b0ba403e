"""Occurrences that are over and that nobody has judged, each taken once.

Called by the closings in their transaction. The rows stay locked until it commits: a label that
is given meanwhile goes up after what is told here.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.application.outcomes import RunEnd
from factory_brain.domain.rows import Occurrence
from shared.postgres.pool import Connection

_OVER = (
    "SELECT o.occurrence FROM occurrence o WHERE o.occurrence = ANY($1::text[]) AND NOT o.open "
    "AND o.label IS NULL AND o.returned_at IS NOT NULL AND NOT EXISTS "
    "(SELECT 1 FROM outcome_told t WHERE t.occurrence = o.occurrence) ORDER BY o.occurrence"
)


class ShadowClosings:
    """Implements `Over`."""

    def __init__(self, pool: asyncpg.Pool, alarms: AlarmStore) -> None:
        self._pool, self._alarms = pool, alarms

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def over(self, occurrences: list[str]) -> list[Occurrence]:
        """Those of them that are over, unjudged and not told of yet."""
        names = [row["occurrence"] for row in await self._pool.fetch(_OVER, occurrences)]
        return await self._alarms.several(names) if names else []

    async def take(self, tx: Connection, /, occurrences: list[str], at: int) -> list[str]:
        """Those of them that still are; they stay locked, and are noted as told."""
        if not occurrences:
            return []
        rows = await tx.fetch(_OVER + " FOR UPDATE OF o", occurrences)
        names = [row["occurrence"] for row in rows]
        await tx.execute(
            "INSERT INTO outcome_told (occurrence, at) SELECT unnest($1::text[]), $2", names, at
        )
        return names

    async def run_of(self, found: Occurrence) -> RunEnd:
        """The playbook that ran for an occurrence, and whether it came to its end."""
        row = await self._pool.fetchrow(
            "SELECT playbook, status, ended_at FROM run WHERE occurrence = $1 "
            "ORDER BY started_at DESC, id DESC LIMIT 1",
            found.occurrence,
        )
        if row is None:
            return "", None
        success = row["status"] == "success" if row["ended_at"] is not None else None
        return row["playbook"], success
