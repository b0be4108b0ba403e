"""Resources and assignments in PostgreSQL; writes run in the caller's transaction.

Called by `application/dispatching`; what may follow on what is decided in `domain/assignment.py`.
People's questions go through the scoped door.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.application.dispatching.ports import Assignment
from group_cloud.domain.assignment import Resource
from group_cloud.domain.figures import TEN_MS
from group_cloud.domain.scope import Scope

_FIELDS = tuple(each.name for each in fields(Assignment))
_LIVE = "state IN ('offered', 'accepted', 'en_route', 'on_site')"
_SAVE = (
    f"INSERT INTO assignment ({', '.join(_FIELDS)}) VALUES "
    f"({', '.join(f'${i}' for i in range(1, len(_FIELDS) + 1))}) ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _FIELDS[1:])
)
MOST = 500


def _assignment(row: asyncpg.Record) -> Assignment:
    return Assignment(**{name: row[name] for name in _FIELDS})


def _resource(row: asyncpg.Record) -> Resource:
    return Resource(
        row["id"], row["tenant"], row["kind"], row["names"], tuple(row["skills"]), row["site"],
        row["available"], row["contact"],
    )  # fmt: skip


class DispatchStore:
    """Implements `application/dispatching/ports.DispatchRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._ask = Scoped(pool)

    async def resources(self, tx: asyncpg.Connection, /, scope: Scope) -> list[Resource]:
        """Those of the tenants within a scope."""
        rows = await tx.fetch(
            "SELECT * FROM resource WHERE $1::text[] IS NULL OR tenant = ANY($1) "
            f"ORDER BY id LIMIT {MOST}",
            scope.listed,
        )
        return [_resource(row) for row in rows]

    async def put_resource(self, tx: asyncpg.Connection, /, made: Resource, at: int) -> bool:
        """Insert or replace; False: the id is another tenant's, and nothing was changed."""
        done = await tx.execute(
            "INSERT INTO resource (id, tenant, kind, names, skills, site, available, contact, "
            "changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO UPDATE "
            "SET kind = $3, names = $4, skills = $5, site = $6, available = $7, contact = $8, "
            "changed_at = $9 WHERE resource.tenant = excluded.tenant",
            made.id, made.tenant, made.kind, made.names, list(made.skills), made.site,
            made.available, made.contact, at,
        )  # fmt: skip
        return not done.endswith(" 0")

    async def tenant_of(self, scope: Scope, site: str) -> str | None:
        """Whose a site within a scope is."""
        row = await self._ask.row(
            scope, "SELECT f.tenant FROM factory f WHERE {mine:f} AND f.site = $2", site
        )
        return row["tenant"] if row else None

    async def tenants(self, tx: asyncpg.Connection, /) -> set[str]:
        """All tenants."""
        return {row["id"] for row in await tx.fetch("SELECT id FROM tenant")}

    async def has_incident(self, scope: Scope, site: str, incident: str) -> bool:
        """Whether that incident is known and within."""
        found = await self._ask.row(
            scope, "SELECT 1 FROM group_incident i WHERE {mine:i} AND i.site = $2 AND i.id = $3",
            site, incident,
        )  # fmt: skip
        return found is not None

    async def lock_all(self, tx: asyncpg.Connection, /) -> None:
        """One that asks people at a time, in all replicas."""
        await tx.execute("SELECT pg_advisory_xact_lock(7240117)")

    async def busy(self, tx: asyncpg.Connection, /) -> set[str]:
        """Resources that are asked, on the way or at work."""
        rows = await tx.fetch(f"SELECT resource FROM assignment WHERE {_LIVE}")
        return {row["resource"] for row in rows if row["resource"]}

    async def save(self, tx: asyncpg.Connection, /, row: Assignment) -> None:
        """Insert or replace."""
        await tx.execute(_SAVE, *(getattr(row, name) for name in _FIELDS))

    async def get(self, tx: asyncpg.Connection, /, name: str) -> Assignment | None:
        """One, locked."""
        row = await tx.fetchrow("SELECT * FROM assignment WHERE id = $1 FOR UPDATE", name)
        return _assignment(row) if row else None

    async def chain(self, tx: asyncpg.Connection, /, chain: str) -> list[Assignment]:
        """All that followed each other."""
        rows = await tx.fetch("SELECT * FROM assignment WHERE chain = $1 ORDER BY id", chain)
        return [_assignment(row) for row in rows]

    async def due(self, tx: asyncpg.Connection, /, now: int, limit: int) -> list[Assignment]:
        """What a clock has run out for, or whose successor was not asked yet; locked."""
        rows = await tx.fetch(
            "SELECT * FROM assignment WHERE (state = 'offered' AND accept_by <= $1) "
            "OR (state IN ('offered', 'accepted', 'en_route') AND NOT missed "
            "AND on_site_by <= $1) OR (state IN ('declined', 'lapsed') AND NOT escalated) "
            "ORDER BY accept_by LIMIT $2 FOR UPDATE SKIP LOCKED",
            now, limit,
        )  # fmt: skip
        return [_assignment(row) for row in rows]

    async def listed(
        self, scope: Scope, site: str | None, incident: str | None, live: bool
    ) -> list[Assignment]:
        """Newest first."""
        rows = await self._ask.fetch(
            scope,
            "SELECT a.* FROM assignment a WHERE {mine:a} AND ($2::text IS NULL OR a.site = $2) "
            f"AND ($3::text IS NULL OR a.incident = $3) AND (NOT $4 OR a.{_LIVE}) "
            f"ORDER BY a.offered_at DESC, a.id DESC LIMIT {MOST}",
            site, incident, live,
        )  # fmt: skip
        return [_assignment(row) for row in rows]

    async def plights(self, scope: Scope, now: int) -> Sequence[Any]:
        """What the score of urgency is made of, by factory."""
        return await self._ask.fetch(
            scope,
            "SELECT f.site, f.names, f.worst_priority, f.active, f.unacked, f.last_seen, "
            "(SELECT min(o.raised_at) FROM group_occurrence o WHERE o.site = f.site "
            "AND o.returned_at = 0 AND o.raised_at > 0 AND o.acked_at = 0 AND o.annunciated) "
            "AS oldest, (SELECT coalesce(sum(t.annunciated), 0)::bigint FROM stat_ten t "
            "WHERE t.site = f.site AND t.ten >= $2) AS ten, (SELECT count(*) "
            "FROM group_incident i WHERE i.site = f.site AND i.priority <= 2 "
            "AND i.status NOT IN ('closed', 'merged')) AS grave, (SELECT count(*) "
            "FROM group_incident i WHERE i.site = f.site "
            "AND i.status NOT IN ('closed', 'merged')) AS incidents, (SELECT count(*) "
            f"FROM assignment a WHERE a.site = f.site AND a.missed AND a.{_LIVE}) AS missed "
            "FROM factory f WHERE {mine:f} ORDER BY f.site LIMIT 1000",
            now // TEN_MS,
        )
