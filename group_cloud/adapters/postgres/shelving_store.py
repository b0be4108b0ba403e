"""Proposals to shelve a point, and what people decided, in PostgreSQL.

Called by `application/nuisance/shelving.py` in its transaction; rows only.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped, within
from group_cloud.adapters.postgres.verdict_sql import SPOTS
from group_cloud.application.nuisance.ports import Spot
from group_cloud.domain.scope import Scope

_WITH_NAMES = (
    "SELECT s.*, p.names, f.names AS site_names FROM shelving_proposal s "
    "JOIN factory f ON f.site = s.site "
    "LEFT JOIN alarm_point p ON p.site = s.site AND p.alarm = s.alarm WHERE {mine:s} "
)

_COUNTED = _WITH_NAMES.replace("SELECT s.*,", "SELECT s.*, count(*) OVER () AS of_all,")


class ShelvingStore:
    """Implements `ShelvingRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._ask = Scoped(pool)

    async def open_of(self, tx: asyncpg.Connection, /, site: str) -> dict[str, asyncpg.Record]:
        """alarm -> the open proposal of it, locked."""
        rows = await tx.fetch(
            "SELECT * FROM shelving_proposal WHERE site = $1 AND status = 'open' FOR UPDATE", site
        )
        return {row["alarm"]: row for row in rows}

    async def spot(self, tx: asyncpg.Connection, /, site: str, alarm: str) -> Spot | None:
        """A point as it is now; None: the factory has it no more."""
        row = await tx.fetchrow(SPOTS, site, 1, alarm, timeout=60)
        return Spot(*row) if row else None

    async def refresh(self, tx: asyncpg.Connection, /, proposal: str, made: dict[str, Any]) -> None:
        """What an open one says, by what is known now."""
        await tx.execute(
            "UPDATE shelving_proposal SET edge = $2, kind = $3, hours = $4, labels = $5, "
            "evidence = $6 WHERE id = $1 AND status = 'open'",
            proposal, made["edge"], made["kind"], made["hours"], made["labels"], made["evidence"],
        )  # fmt: skip

    async def newest(self, tx: asyncpg.Connection, /, site: str) -> dict[str, tuple[str, int, int]]:
        """alarm -> (status, labels, decided at) of its newest proposal."""
        rows = await tx.fetch(
            "SELECT DISTINCT ON (alarm) alarm, status, labels, decided_at FROM shelving_proposal "
            "WHERE site = $1 ORDER BY alarm, created_at DESC, id DESC", site,
        )  # fmt: skip
        return {r["alarm"]: (r["status"], r["labels"], r["decided_at"] or 0) for r in rows}

    async def add(self, tx: asyncpg.Connection, /, site: str, made: dict[str, Any]) -> None:
        """A new proposal; where one is open already, nothing."""
        await tx.execute(
            "INSERT INTO shelving_proposal (id, site, edge, alarm, kind, hours, status, labels, "
            "evidence, created_at, decided_by, reason, message) "
            "VALUES ($1, $2, $3, $4, $5, $6, 'open', $7, $8, $9, '', '', '') "
            "ON CONFLICT DO NOTHING",
            made["id"], site, made["edge"], made["alarm"], made["kind"], made["hours"],
            made["labels"], made["evidence"], made["created_at"],
        )  # fmt: skip

    async def withdraw(self, tx: asyncpg.Connection, /, proposal: str, at: int) -> None:
        """The evidence no longer holds."""
        await tx.execute(
            "UPDATE shelving_proposal SET status = 'withdrawn', decided_at = $2 WHERE id = $1 "
            "AND status = 'open'",
            proposal, at,
        )  # fmt: skip

    async def get(
        self, tx: asyncpg.Connection, /, scope: Scope, proposal: str
    ) -> asyncpg.Record | None:
        """One within a scope, locked."""
        return await tx.fetchrow(
            within(f"{_WITH_NAMES} AND s.id = $2 FOR UPDATE OF s"), scope.listed, proposal
        )

    async def decide(
        self, tx: asyncpg.Connection, /, proposal: str, status: str, by: str, reason: str,
        message: str, at: int,
    ) -> None:  # fmt: skip
        """What was decided."""
        await tx.execute(
            "UPDATE shelving_proposal SET status = $2, decided_by = $3, reason = $4, message = $5, "
            "decided_at = $6 WHERE id = $1",
            proposal, status, by, reason, message, at,
        )  # fmt: skip

    async def listed(self, scope: Scope, site: str | None, limit: int) -> list[asyncpg.Record]:
        """Open ones first, newest first; `of_all`: how many there are."""
        return await self._ask.fetch(
            scope,
            f"{_COUNTED} AND ($2::text IS NULL OR s.site = $2) "
            "ORDER BY (s.status <> 'open'), s.created_at DESC, s.id DESC LIMIT $3",
            site, limit,
        )  # fmt: skip
