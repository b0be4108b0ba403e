"""Outbound webhooks in PostgreSQL: due, delivered, dead. Called by the outbound links."""

from __future__ import annotations

from typing import Any

import asyncpg

from factory_brain.application.links.ports import Outgoing
from shared.postgres.accounts import audit
from shared.postgres.pool import Connection

MOST = 100_000
_COLUMNS = "id, n, outbound, type, body, at, attempt, due, status, status_code, error, ended_at"


class DeliveryStore:
    """Rows of outbound webhooks."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, tx: Connection | None, rows: list[Outgoing], now: int) -> None:
        """Add deliveries; one that is known already is the same one."""
        await (tx or self._pool).executemany(
            "INSERT INTO link_delivery (id, outbound, type, body, at, attempt, due, status) "
            "VALUES ($1, $2, $3, $4, $5, 0, $5, 'due') ON CONFLICT DO NOTHING",
            [(row.id, row.outbound, row.type, row.body, now) for row in rows],
        )

    async def claim(
        self, outbound: str, now: int, until: int, limit: int, strict: bool
    ) -> list[Outgoing]:
        """Deliveries that are due, ours until `until`; strictly only the oldest that waits."""
        oldest = "AND n = (SELECT min(n) FROM link_delivery WHERE outbound = $1 AND status = 'due')"
        rows = await self._pool.fetch(
            "WITH picked AS MATERIALIZED (SELECT id FROM link_delivery "
            f"WHERE outbound = $1 AND status = 'due' AND due <= $2 {oldest if strict else ''} "
            "ORDER BY n LIMIT $4 FOR UPDATE SKIP LOCKED) "
            "UPDATE link_delivery SET due = $3 WHERE id IN (SELECT id FROM picked) "
            "AND status = 'due' RETURNING id, outbound, type, body, attempt, n",
            outbound, now, until, limit,
        )  # fmt: skip
        return [
            Outgoing(r["id"], r["outbound"], r["type"], r["body"], r["attempt"])
            for r in sorted(rows, key=lambda row: row["n"])
        ]

    async def next_due(self, outbound: str) -> int | None:
        """When the next delivery is due."""
        return await self._pool.fetchval(
            "SELECT min(due) FROM link_delivery WHERE outbound = $1 AND status = 'due'", outbound
        )

    async def settle(
        self, row: Outgoing, status: str, due: int, now: int, code: int | None, error: str | None
    ) -> None:
        """What became of an attempt."""
        await self._pool.execute(
            "UPDATE link_delivery SET attempt = $2, status = $3::text, due = $4, status_code = $5, "
            "error = $6, ended_at = CASE WHEN $3::text = 'due' THEN NULL ELSE $7::bigint END "
            "WHERE id = $1",
            row.id, row.attempt + 1, status, due, code, error, now,
        )  # fmt: skip

    async def note(self, outbound: str, error: str | None) -> int:
        """Count an attempt: failed attempts since the last success."""
        failing: Any = await self._pool.fetchval(
            "INSERT INTO link_outbound AS o (outbound, failing, error) VALUES ($1, $2::int, $3) "
            "ON CONFLICT (outbound) DO UPDATE SET error = $3, "
            "failing = CASE WHEN $2::int = 0 THEN 0 ELSE o.failing + 1 END RETURNING failing",
            outbound, 0 if error is None else 1, error,
        )  # fmt: skip
        return failing

    async def disable(self, outbound: str, now: int, error: str) -> None:
        """Tell it nothing any more; what waits is dead, for a person to replay."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO link_outbound (outbound, disabled_at, failing, error) "
                "VALUES ($1, $2, 1, $3) ON CONFLICT (outbound) DO UPDATE "
                "SET disabled_at = $2, error = $3",
                outbound, now, error,
            )  # fmt: skip
            await self._bury(connection, outbound, now, error)

    async def _bury(self, tx: Connection, outbound: str, now: int, error: str) -> None:
        await tx.execute(
            "UPDATE link_delivery SET status = 'dead', error = $3, ended_at = $2 "
            "WHERE outbound = $1 AND status = 'due'",
            outbound, now, error,
        )  # fmt: skip

    async def bury(self, outbound: str, now: int, error: str) -> None:
        """What came for a disabled one is dead at once."""
        async with self._pool.acquire() as connection:
            await self._bury(connection, outbound, now, error)

    async def enable(self, outbound: str, actor: str, now: int) -> None:
        """Tell it again."""
        async with self._pool.acquire() as connection, connection.transaction():
            before = await connection.fetchrow(
                "SELECT disabled_at, error FROM link_outbound WHERE outbound = $1 FOR UPDATE",
                outbound,
            )
            await connection.execute(
                "UPDATE link_outbound SET disabled_at = NULL, failing = 0, error = NULL "
                "WHERE outbound = $1",
                outbound,
            )
            data = {"before": dict(before) if before else {}, "after": {"disabled_at": None}}
            await audit(connection, now, actor, "link_enabled", outbound, data)

    async def replay(self, outbound: str | None, one: str | None, actor: str, now: int) -> int:
        """Make dead ones due again: one, those of one link, or all. How many."""
        async with self._pool.acquire() as connection, connection.transaction():
            rows = await connection.fetch(
                "UPDATE link_delivery SET status = 'due', attempt = 0, due = $3, ended_at = NULL "
                "WHERE status = 'dead' AND ($1::text IS NULL OR outbound = $1) "
                "AND ($2::text IS NULL OR id = $2) RETURNING id",
                outbound, one, now,
            )  # fmt: skip
            if rows:
                ids = sorted(row["id"] for row in rows)
                data = {"count": len(ids), "ids": ids[:100]}
                target = one or outbound or "all"
                await audit(connection, now, actor, "delivery_replayed", target, data)
        return len(rows)

    async def list(
        self, outbound: str | None, status: str | None, before: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Deliveries, newest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM link_delivery WHERE ($1::text IS NULL OR outbound = $1) "
            "AND ($2::text IS NULL OR status = $2) AND ($3::bigint IS NULL OR n < $3) "
            "ORDER BY n DESC LIMIT $4",
            outbound, status, before, limit,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def overview(self) -> dict[str, dict[str, Any]]:
        """Outbound link -> counts and condition."""
        counts = await self._pool.fetch(
            "SELECT outbound, status, count(*) AS number FROM link_delivery GROUP BY 1, 2"
        )
        found: dict[str, dict[str, Any]] = {}
        for row in counts:
            found.setdefault(row["outbound"], {})[row["status"]] = row["number"]
        for row in await self._pool.fetch("SELECT * FROM link_outbound"):
            found.setdefault(row["outbound"], {}).update(dict(row))
        return found

    async def disabled(self) -> set[str]:
        """Links that are told nothing."""
        rows = await self._pool.fetch(
            "SELECT outbound FROM link_outbound WHERE disabled_at IS NOT NULL"
        )
        return {row["outbound"] for row in rows}

    async def prune(self, outbound: str, before: int) -> None:
        """Forget what ended long ago, and beyond the newest hundred thousand."""
        await self._pool.execute(
            "DELETE FROM link_delivery WHERE outbound = $1 AND status <> 'due' AND n <= (SELECT n "
            "FROM link_delivery WHERE outbound = $1 ORDER BY n DESC OFFSET $2 LIMIT 1)",
            outbound, MOST,
        )  # fmt: skip
        await self._pool.execute(
            "DELETE FROM link_delivery WHERE outbound = $1 AND status <> 'due' AND ended_at < $2",
            outbound, before,
        )  # fmt: skip
