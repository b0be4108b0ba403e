"""Tenants and whose a factory is; changes run in the caller's transaction.

Called by `application/tenants.py`, which audits them.
"""

from __future__ import annotations

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.domain.scope import Scope


class TenantStore:
    """Implements `application/tenants.TenantRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._ask = Scoped(pool)

    async def sites(self, scope: Scope) -> dict[str, str]:
        """site -> tenant, of those within."""
        rows = await self._ask.fetch(
            scope, "SELECT f.site, f.tenant FROM factory f WHERE {mine:f} ORDER BY f.site"
        )
        return {row["site"]: row["tenant"] for row in rows}

    async def tenants(self, tx: asyncpg.Connection, /) -> dict[str, dict[str, str]]:
        """All tenants: id -> names."""
        rows = await tx.fetch("SELECT id, names FROM tenant ORDER BY id LIMIT 1000")
        return {row["id"]: row["names"] for row in rows}

    async def add(
        self, tx: asyncpg.Connection, /, tenant: str, names: dict[str, str], at: int
    ) -> bool:
        """Whether it was not there before."""
        made = await tx.fetchval(
            "INSERT INTO tenant (id, names, created_at) VALUES ($1, $2, $3) "
            "ON CONFLICT DO NOTHING RETURNING true",
            tenant, names, at,
        )  # fmt: skip
        return bool(made)

    async def give(self, tx: asyncpg.Connection, /, site: str, tenant: str) -> str | None:
        """Make a factory a tenant's; returns whose it was, None where it was not known before."""
        before = await tx.fetchval("SELECT tenant FROM factory WHERE site = $1 FOR UPDATE", site)
        await tx.execute(
            "INSERT INTO factory (site, names, active, unacked, edges_online, edges_total, events, "
            "tenant) VALUES ($1, '{}', 0, 0, 0, 0, 0, $2) "
            "ON CONFLICT (site) DO UPDATE SET tenant = $2",
            site, tenant,
        )  # fmt: skip
        return before
