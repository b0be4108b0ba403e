"""How far each consumer of the journal's feed is behind, in one statement. Reads only."""

from __future__ import annotations

import asyncpg

_BEHIND = (
    "SELECT c.consumer, coalesce(sum(greatest(w.seq - coalesce(p.seq, 0), 0)), 0)::bigint AS n "
    "FROM feed_consumer c CROSS JOIN watermark w LEFT JOIN feed_position p "
    "ON p.consumer = c.consumer AND p.source = w.source AND p.epoch = w.epoch AND p.lane = w.lane "
    "WHERE w.lane <> 'history' GROUP BY c.consumer"
)


async def behind(pool: asyncpg.Pool) -> dict[str, int]:
    """Positions by consumer; empty where the database does not answer."""
    try:
        rows = await pool.fetch(_BEHIND, timeout=2)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return {}
    return {row["consumer"]: row["n"] for row in rows}
