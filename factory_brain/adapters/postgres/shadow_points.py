"""Nominated alarm points in PostgreSQL; writes run in the caller's transaction.

Called by the nominating and the shadow job; rows only, it chooses nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from factory_brain.application.shadow.ports import Point
from shared.alarm.shadow import setting_of
from shared.messages.nominations import Nomination
from shared.postgres.pool import Connection

_LONG_S = 60.0


class ShadowPoints:
    """Implements `Points`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def order(self, edge: str) -> tuple[int, int] | None:
        """(counter, expiry) of the newest nominations of the group that were accepted."""
        row = await self._pool.fetchrow(
            "SELECT counter, expires_at FROM shadow_order WHERE edge = $1", edge
        )
        return (row["counter"], row["expires_at"]) if row else None

    async def accept(
        self, tx: Connection, /, edge: str, counter: int, expires_at: int, payload: bytes, at: int
    ) -> bool:
        """Note that these were accepted; False if newer ones were."""
        tag = await tx.execute(
            "INSERT INTO shadow_order AS o (edge, counter, expires_at, payload, at) "
            "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (edge) DO UPDATE SET counter = $2, "
            "expires_at = $3, payload = $4, at = $5 WHERE o.counter < $2",
            edge, counter, expires_at, payload, at,
        )  # fmt: skip
        return tag.endswith(" 1")

    async def replace(
        self, tx: Connection, /, edge: str, source: str, items: list[Nomination], at: int
    ) -> None:
        """Nominate these and no others of the edge; what is known of a point stays."""
        await tx.execute("UPDATE shadow_point SET active = false WHERE edge = $1", edge)
        await tx.executemany(
            "INSERT INTO shadow_point AS p (alarm, edge, active, source, reason, since, "
            "chosen_at, candidate, given, grid, base) "
            "VALUES ($1, $2, true, $3, $4, $5, $5, $6, $7, '{}', '') ON CONFLICT (alarm) "
            "DO UPDATE SET edge = $2, active = true, source = $3, reason = $4, chosen_at = $5, "
            "candidate = $6, given = $7",
            [
                (item.alarm, edge, source, item.reason[:32], at, item.candidate, item.grid)
                for item in items
            ],
        )

    async def points(self) -> list[Point]:
        """All that are nominated now."""
        rows = await self._pool.fetch(
            "SELECT * FROM shadow_point WHERE active ORDER BY edge, alarm LIMIT 20000"
        )
        return [
            Point(
                edge=row["edge"], alarm=row["alarm"], source=row["source"], reason=row["reason"],
                since=row["since"],
                candidate=setting_of(row["candidate"]) if row["candidate"] else None,
                given=row["given"], grid=row["grid"], base=row["base"],
            )
            for row in rows
        ]  # fmt: skip

    async def chosen_at(self, edge: str) -> int | None:
        """When this edge's points were last chosen here."""
        return await self._pool.fetchval(
            "SELECT max(chosen_at) FROM shadow_point WHERE edge = $1 AND active "
            "AND source = 'site'",
            edge,
        )

    async def raised(self, since: int) -> dict[str, int]:
        """alarm -> how often it was raised since then."""
        rows = await self._pool.fetch(
            "SELECT alarm, count(*) AS n FROM occurrence WHERE raised_at >= $1 GROUP BY alarm "
            "ORDER BY n DESC LIMIT 20000",
            since, timeout=_LONG_S,
        )  # fmt: skip
        return {row["alarm"]: row["n"] for row in rows}

    async def keep_grid(
        self, tx: Connection, /, alarm: str, grid: dict[str, Any], base: str
    ) -> None:
        """Keep the grid that a point was first counted with."""
        await tx.execute(
            "UPDATE shadow_point SET grid = $2, base = $3 WHERE alarm = $1 AND base <> $3",
            alarm, grid, base,
        )  # fmt: skip
