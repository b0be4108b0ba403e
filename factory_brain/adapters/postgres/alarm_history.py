"""A long time of alarms: counts by day and the occurrences themselves, a year in milliseconds.

Called by reports and the benchmark; reads what `rollups.py` counted and what is not counted yet.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg

from factory_brain.adapters.postgres.partitions import DAY_MS

_DAYS = (
    "SELECT day, sum(raised)::integer AS raised, sum(annunciated)::integer AS annunciated, "
    "sum(returned)::integer AS returned, sum(acknowledged)::integer AS acknowledged FROM ("
    "SELECT day, raised, annunciated, returned, acknowledged FROM alarm_day "
    "WHERE alarm = ANY($1::text[]) AND day >= $2 AND day < $3 UNION ALL "
    f"SELECT (time / {DAY_MS})::integer, (body->>'kind' = 'raised')::integer, "
    "(body->>'annunciate' = 'true')::integer, (body->>'kind' = 'returned')::integer, "
    "(body->>'kind' = 'acknowledged')::integer FROM event WHERE alarm = ANY($1::text[]) "
    f"AND time >= $2::bigint * {DAY_MS} AND time < $3::bigint * {DAY_MS} "
    "AND received_at >= $4 AND body->>'t' = 'alarm' "
    ") counted GROUP BY day ORDER BY day"
)
"""Days received since $4 are read from the journal itself: they are not counted yet."""


@dataclass(frozen=True, slots=True)
class AlarmDay:
    """What some alarms did on one day (of the events, UTC)."""

    day: int
    """Days since 1970."""
    raised: int
    annunciated: int
    returned: int
    acknowledged: int


class AlarmHistory:
    """Reads the alarms of a long time."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def days(self, alarms: list[str], since: int, until: int) -> list[AlarmDay]:
        """Counts of the days that begin in [since, until), days without any left out."""
        first, last = since // DAY_MS, -(-until // DAY_MS)
        async with (
            self._pool.acquire() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            counted = await connection.fetchval("SELECT max(received_day) FROM alarm_day_done")
            # Days are counted oldest first; what lacks lies behind the newest one that is done.
            open_since = 0 if counted is None else (counted + 1) * DAY_MS
            rows = await connection.fetch(_DAYS, alarms, first, last, open_since)
        return [AlarmDay(*row) for row in rows]

    async def occurrences(
        self, alarms: list[str], since: int, until: int, limit: int = 200
    ) -> list[asyncpg.Record]:
        """The newest occurrences raised in [since, until), newest first."""
        return await self._pool.fetch(
            "SELECT o.occurrence, o.alarm, o.raised_at, o.returned_at, o.late, o.label "
            "FROM unnest($1::text[]) AS n(name), LATERAL (SELECT * FROM occurrence "
            "WHERE alarm = n.name AND raised_at >= $2 AND raised_at < $3 "
            "ORDER BY raised_at DESC LIMIT $4) o ORDER BY o.raised_at DESC LIMIT $4",
            alarms, since, until, limit,
        )  # fmt: skip
