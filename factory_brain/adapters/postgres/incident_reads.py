"""Incidents as they are read: lists, one with its members, what changed, what was alike.

Outside any lock: a reader sees what is committed. Also takes labels that are to be given.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from factory_brain.adapters.postgres.incident_rows import INCIDENT_FIELDS, MEMBERS, incident, member
from factory_brain.application.incidents.ports import MERGED, Entry, Listed, Member, ToLabel

_LISTED = (
    f"SELECT {', '.join('i.' + name for name in INCIDENT_FIELDS)}, i.changed, "
    "(SELECT coalesce(jsonb_agg(m.alarm ORDER BY m.at, m.occurrence), '[]'::jsonb) "
    "FROM incident_member m WHERE m.occurrence IN (SELECT jsonb_array_elements_text(i.first_out))) "
    "AS first_alarms FROM incident i "
)
_STATES = {
    "open": "i.status IN ('open', 'acknowledged', 'contained')", "closed": "i.status = 'closed'",
    "all": f"i.status <> '{MERGED}'",
}  # fmt: skip
MOST_HEIRS = 32


def _listed(row: asyncpg.Record) -> Listed:
    return Listed(incident(row), tuple(row["first_alarms"]), row["changed"])


class PgIncidentReads:
    """Implements `IncidentReads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def page(self, state: str, limit: int, before: tuple[int, str] | None) -> list[Listed]:
        """Newest first, from `before` (first_at, id) on."""
        at, name = before or (1 << 62, "")
        rows = await self._pool.fetch(
            _LISTED + f"WHERE {_STATES[state]} AND (i.first_at, i.id) < ($1::bigint, $2::text) "
            "ORDER BY i.first_at DESC, i.id DESC LIMIT $3",
            at, name, limit,
        )  # fmt: skip
        return [_listed(row) for row in rows]

    async def get(self, name: str) -> Listed | None:
        """One incident; of one that is part of another, the other."""
        for _ in range(MOST_HEIRS):
            row = await self._pool.fetchrow(_LISTED + "WHERE i.id = $1", name)
            if row is None or row["merged_into"] is None:
                return _listed(row) if row else None
            name = row["merged_into"]
        return None

    async def those(self, names: Iterable[str]) -> list[Listed]:
        """These incidents."""
        rows = await self._pool.fetch(_LISTED + "WHERE i.id = ANY($1::text[])", list(names))
        return [_listed(row) for row in rows]

    async def members(self, names: Iterable[str], limit: int) -> list[Member]:
        """Their occurrences in the order of their raises."""
        rows = await self._pool.fetch(
            MEMBERS + "WHERE m.incident = ANY($1::text[]) ORDER BY m.at, m.occurrence LIMIT $2",
            list(names), limit,
        )  # fmt: skip
        return [member(row) for row in rows]

    async def entries(self, name: str) -> list[Entry]:
        """What was said and done about it."""
        rows = await self._pool.fetch(
            "SELECT incident, at, lane, kind, params, actor FROM incident_entry "
            "WHERE incident = $1 ORDER BY at, id LIMIT 2000",
            name,
        )
        return [Entry(*row.values()) for row in rows]

    async def alike(self, name: str, alarms: list[str], limit: int) -> list[str]:
        """Closed incidents with the most of these alarms."""
        rows = await self._pool.fetch(
            "SELECT m.incident FROM incident_member m JOIN incident i ON i.id = m.incident "
            "WHERE m.alarm = ANY($1::text[]) AND i.status = 'closed' AND i.id <> $2 "
            "GROUP BY m.incident, i.first_at ORDER BY count(DISTINCT m.alarm) DESC, "
            "i.first_at DESC LIMIT $3",
            alarms, name, limit,
        )  # fmt: skip
        return [row["incident"] for row in rows]

    async def runs(self, names: list[str]) -> list[dict[str, Any]]:
        """Playbook runs: id, playbook, status."""
        rows = await self._pool.fetch(
            "SELECT id, playbook, status, started_at, ended_at FROM run "
            "WHERE id = ANY($1::text[]) ORDER BY started_at",
            names,
        )
        return [dict(row) for row in rows]

    async def directives(self, edges: list[str], since: int, until: int) -> list[dict[str, Any]]:
        """What the group had changed on these edges in that time."""
        rows = await self._pool.fetch(
            "SELECT edge, counter, directive, status, at FROM directive_relay "
            "WHERE edge = ANY($1::text[]) AND at BETWEEN $2 AND $3 ORDER BY at LIMIT 200",
            edges, since, until,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def newest_change(self) -> int:
        """Where a reader of changes begins."""
        return await self._pool.fetchval(
            "SELECT greatest((SELECT coalesce(max(changed), 0) FROM incident), "
            "(SELECT coalesce(max(changed), 0) FROM incident_member))"
        )

    async def open_members(self) -> list[Member]:
        """All that may stand in the operators' list."""
        return [member(row) for row in await self._pool.fetch(MEMBERS + "WHERE o.open")]

    async def changed_members(self, after: int, limit: int) -> list[tuple[int, Member]]:
        """What changed after that, in order."""
        rows = await self._pool.fetch(
            MEMBERS.replace("SELECT ", "SELECT m.changed, ", 1)
            + "WHERE m.changed > $1 ORDER BY m.changed LIMIT $2",
            after, limit,
        )  # fmt: skip
        return [(row["changed"], member(row)) for row in rows]

    async def changed_incidents(self, after: int, limit: int) -> list[Listed]:
        """The same of incidents."""
        rows = await self._pool.fetch(
            _LISTED + "WHERE i.changed > $1 ORDER BY i.changed LIMIT $2", after, limit
        )
        return [_listed(row) for row in rows]

    @asynccontextmanager
    async def to_label(
        self, limit: int, without: Sequence[str] = ()
    ) -> AsyncIterator[list[ToLabel]]:
        """Occurrences to be labelled; they are, when the block ends. No other brain takes them."""
        async with self._pool.acquire() as tx, tx.transaction():
            rows = await tx.fetch(
                "SELECT m.occurrence, i.outcome, i.cause, i.closed_by FROM incident_member m "
                "JOIN incident i ON i.id = m.incident WHERE m.to_label AND i.status = 'closed' "
                "AND m.occurrence <> ALL($2::text[]) "
                "ORDER BY m.occurrence LIMIT $1 FOR UPDATE OF m SKIP LOCKED",
                limit, list(without),
            )  # fmt: skip
            found = [ToLabel(*row.values()) for row in rows]
            yield found
            await tx.executemany(
                "UPDATE incident_member SET to_label = false, labelled = $2 WHERE occurrence = $1",
                [(each.occurrence, each.outcome) for each in found],
            )
