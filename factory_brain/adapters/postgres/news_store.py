"""What other brains have committed lately, read so that no order of commits hides anything.

A transaction's notes carry its id; whatever is not older than the oldest one still under way is
read again, and what was read before is left out.
"""

from __future__ import annotations

import asyncpg

from factory_brain.application.news import Note
from shared.errors import StoreError

_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_READ = (
    "SELECT s.oldest, n.id, n.xid, n.kind, n.key FROM "
    "(SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest) s "
    "LEFT JOIN brain_news n ON n.xid >= $1 AND n.by <> $2 ORDER BY n.id"
)


class NewsStore:
    """One brain's way through `brain_news`, kept in memory."""

    def __init__(self, pool: asyncpg.Pool, me: str) -> None:
        self._pool, self._me = pool, me
        self._from = 0
        self._seen: dict[int, int] = {}

    async def begin(self) -> int:
        """Everything from now on is news; returns the newest transaction's id so far."""
        try:
            row = await self._pool.fetchrow(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS oldest, "
                "pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS next", timeout=2,
            )  # fmt: skip
        except _FAULTS as error:
            raise StoreError(f"news cannot be read: {error!r}") from error
        assert row is not None
        self._from, self._seen = row["oldest"], {}
        return row["next"]

    async def read(self) -> tuple[list[Note], int]:
        """What is new, and the oldest transaction that is still under way."""
        try:
            rows = await self._pool.fetch(_READ, self._from, self._me, timeout=2)
        except _FAULTS as error:
            raise StoreError(f"news cannot be read: {error!r}") from error
        found = [r for r in rows if r["id"] is not None and r["id"] not in self._seen]
        oldest: int = rows[0]["oldest"]
        self._seen.update((row["id"], row["xid"]) for row in found)
        self._seen = {note: xid for note, xid in self._seen.items() if xid >= oldest}
        self._from = oldest
        return [Note(row["kind"], row["key"]) for row in found], oldest
