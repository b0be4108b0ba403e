"""Deletes runs of playbooks that are past the site's retention, with all that was kept of them.

Called hourly by the leading brain; a run that lives, or whose alarm is open, is never touched.
"""

from __future__ import annotations

import asyncpg

from factory_brain.adapters.postgres.trigger_reads import EMITTED

AT_ONCE = 100
"""Runs of one commit: one of them may have thousands of journal rows."""
ROWS_AT_ONCE = 5_000
_OVER = (
    "SELECT id FROM run r WHERE ended_at < $1 AND NOT EXISTS (SELECT 1 FROM occurrence o "
    "WHERE o.occurrence = r.occurrence AND o.open) AND NOT EXISTS (SELECT 1 FROM delivery d "
    "WHERE d.run = r.id AND d.status = 'due') "
    "ORDER BY ended_at LIMIT $2 FOR UPDATE OF r SKIP LOCKED"
)
_OF_RUNS = tuple(
    f"DELETE FROM {table} WHERE run = ANY($1)"
    for table in ("journal", "signal", "vote", "delivery", "notification", "incident_word")
)
_OF_NO_RUN = (
    "DELETE FROM notification WHERE ctid = ANY(ARRAY(SELECT ctid FROM notification "
    "WHERE run IS NULL AND at < $1 LIMIT $2))"
)
_PLACE = f"FROM trigger_seen WHERE name = '{EMITTED}'"
# Only what every trigger has looked at: where triggers stand is one place for all of them.
_HEARD = (
    "DELETE FROM emitted WHERE n = ANY(ARRAY(SELECT n FROM emitted WHERE at < $1 AND (xid, n) <= "
    f"((SELECT through {_PLACE}), (SELECT nullif(says, '')::bigint {_PLACE})) "
    "ORDER BY at LIMIT $2))"
)


class RunRetention:
    """Forgets runs."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def forget(self, before: int, *, most: int = AT_ONCE) -> int:
        """Delete the runs that ended before that, a few at a time; returns how many."""
        count = 0
        while names := await self._some(before, most):
            count += len(names)
            if len(names) < most:
                break
        for statement in (_OF_NO_RUN, _HEARD):
            while (await self._pool.execute(statement, before, ROWS_AT_ONCE)).endswith(
                f" {ROWS_AT_ONCE}"
            ):
                pass
        return count

    async def _some(self, before: int, most: int) -> list[str]:
        async with self._pool.acquire() as connection, connection.transaction():
            names = [row["id"] for row in await connection.fetch(_OVER, before, most)]
            for statement in _OF_RUNS if names else ():
                await connection.execute(statement, names)
            await connection.execute("DELETE FROM run WHERE id = ANY($1)", names)
        return names
