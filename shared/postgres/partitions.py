"""Partitions by time of a tier's journals and roll-ups: made ahead and on demand.

Called by the stores before they write and by the housekeeping; old data goes by detaching and
dropping whole partitions, never by deleting rows.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass

import asyncpg

from shared.postgres.pool import Connection
from shared.telemetry import logger

log = logger("partitions")
DAY_MS = 86_400_000
AHEAD = 2
"""Periods that are made ahead."""
MOST = 2000
"""Partitions of one table; beyond that a day that a broken clock invented gets none of its own."""
SPARE = 500
WAIT_S = 5.0
LOCKS = 256
"""A question over all days of the journal locks each day's table and its indexes."""
_LOCK = 0x70617274  # "part"
_TO_GO = "andon: past its days, to be dropped"
_NAME = re.compile(r"_p(\d{8})$")


@dataclass(frozen=True, slots=True)
class Partitioned:
    """A table that is cut by time."""

    table: str
    column: str
    days: int = 1
    """Length of a period."""

    @property
    def span(self) -> int:
        """Length of a period in ms."""
        return self.days * DAY_MS

    def start(self, at: int) -> int:
        """Where the period of `at` begins."""
        return at // self.span * self.span

    def name(self, start: int) -> str:
        """The partition's name."""
        day = dt.datetime.fromtimestamp(start / 1000, dt.UTC)
        return f"{self.table}_p{day:%Y%m%d}"


def start_of(name: str) -> int | None:
    """Where the period of a partition begins, by its name."""
    found = _NAME.search(name)
    if found is None:
        return None
    day = dt.datetime.strptime(found[1], "%Y%m%d").replace(tzinfo=dt.UTC)
    return int(day.timestamp() * 1000)


class Partitions:
    """Knows which partitions stand."""

    def __init__(self, pool: asyncpg.Pool, tables: tuple[Partitioned, ...]) -> None:
        self._pool, self._tables = pool, tables
        self._standing: set[tuple[str, int]] = set()

    async def make_ahead(self, now: int) -> None:
        """Yesterday's to the day after tomorrow's, of every table."""
        standing: set[tuple[str, int]] = set()
        for table in self._tables:
            first = table.start(now) - table.span
            starts = [first + n * table.span for n in range(AHEAD + 2)]
            async with self._pool.acquire() as connection, connection.transaction():
                for start in starts:
                    # Whatever days broken clocks have invented: these are the real ones.
                    await _make(connection, table, start, MOST + SPARE)
            standing |= {(table.table, start) for start in starts}
        self._standing = standing

    async def ensure(self, table: Partitioned, times: Iterable[int]) -> set[int]:
        """Make what lacks for rows of these times; returns the periods that get none.

        In a transaction of its own, so that what is remembered stands whatever the caller does
        next; its wait for a connection is bounded, as the caller may hold one.
        """
        starts = {table.start(at) for at in times}
        lacking = sorted(s for s in starts if (table.table, s) not in self._standing)
        without: set[int] = set()
        if not lacking:
            return without
        made: set[int] = set()
        async with self._pool.acquire(timeout=WAIT_S) as connection, connection.transaction():
            for start in lacking:
                (made if await _make(connection, table, start) else without).add(start)
        self._standing |= {(table.table, start) for start in made}
        return without

    def forget(self) -> None:
        """Somebody else may have dropped what is remembered here."""
        self._standing.clear()

    async def closed(self, table: Partitioned, before: int) -> list[int]:
        """Periods that ended before a time, oldest first."""
        found = await self._pool.fetch(_CHILDREN, table.table)
        starts = sorted(s for row in found if (s := start_of(row["name"])) is not None)
        return [start for start in starts if start + table.span <= before]

    async def drop_before(self, table: Partitioned, before: int) -> list[str]:
        """Detach and drop the partitions whose last row is older than `before`."""
        dropped = await self._left_over(table)
        for row in await self._pool.fetch(_CHILDREN, table.table):
            name, start = row["name"], start_of(row["name"])
            if start is None or start + table.span > before:
                continue
            self._standing.discard((table.table, start))
            # Without waiting for readers while holding up writers: only this partition is locked.
            how = "FINALIZE" if row["pending"] else "CONCURRENTLY"
            async with self._pool.acquire() as connection:
                # Whoever finds it detached, after a kill in between, knows that it was to go.
                await connection.execute(f"""COMMENT ON TABLE "{name}" IS '{_TO_GO}'""")
                await connection.execute(
                    f'ALTER TABLE {table.table} DETACH PARTITION "{name}" {how}', timeout=120
                )
                await connection.execute(f'DROP TABLE "{name}"')
            dropped.append(name)
        if dropped:
            log.info("partitions_dropped", table=table.table, names=dropped)
        return dropped

    async def _left_over(self, table: Partitioned) -> list[str]:
        """Drop what was detached to be dropped; a day that people have detached is theirs."""
        rows = await self._pool.fetch(_LEFT_OVER, f"^{table.table}_p[0-9]{{8}}$", _TO_GO)
        for row in rows:
            await self._pool.execute(f'DROP TABLE IF EXISTS "{row["name"]}"')
            self._standing.discard((table.table, start_of(row["name"]) or 0))
        return [row["name"] for row in rows]


async def few_locks(pool: asyncpg.Pool) -> int | None:
    """The server's `max_locks_per_transaction` if it is too low for a year of days; else None."""
    found = int(await pool.fetchval("SHOW max_locks_per_transaction"))
    return found if found < LOCKS else None


_CHILDREN = (
    "SELECT c.relname AS name, i.inhdetachpending AS pending FROM pg_inherits i "
    "JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1) ORDER BY c.relname"
)


_LEFT_OVER = (
    "SELECT c.relname AS name FROM pg_class c WHERE c.relkind = 'r' AND NOT c.relispartition "
    "AND c.relname ~ $1 AND c.relnamespace = (SELECT oid FROM pg_namespace "
    "WHERE nspname = current_schema()) AND obj_description(c.oid, 'pg_class') = $2"
)
_STANDS = (
    "SELECT EXISTS (SELECT FROM pg_class WHERE relname = $1 "
    "AND relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()))"
)
"""Asked of the catalogue itself: a name once looked up in vain is remembered as absent."""


async def _make(connection: Connection, table: Partitioned, start: int, most: int = MOST) -> bool:
    """Make a partition unless it stands. Attached, not made in place: nobody who writes waits."""
    name = table.name(start)
    if await connection.fetchval(_STANDS, name):
        return True
    # One maker at a time; to whoever waited it then stands.
    await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
    if await connection.fetchval(_STANDS, name):
        return True
    count = await connection.fetchval(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass($1)", table.table
    )
    if count is not None and count >= most:
        return False
    end, column = start + table.span, table.column
    await connection.execute(
        f'CREATE TABLE "{name}" (LIKE {table.table} INCLUDING ALL, '
        f"CONSTRAINT within CHECK ({column} >= {start} AND {column} < {end}))"
    )
    await connection.execute(
        f'ALTER TABLE {table.table} ATTACH PARTITION "{name}" FOR VALUES FROM ({start}) TO ({end})'
    )
    return True
