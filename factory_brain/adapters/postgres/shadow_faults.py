"""The record of faults in PostgreSQL, and the cases that labels make faults of.

Called by the fault desk (in its transactions) and by the judging; rows only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from factory_brain.domain.faults import Case, Fault, Told
from shared.postgres.pool import Connection

MOST_MEMBERS = 2_000
_COLUMNS = (
    'id, revision, asset, line, start, "end", cause, actor, recorded_at, alarms, incident, '
    "withdrawn, comment"
)
_TOLD = (
    "SELECT o.occurrence, o.alarm, o.transition->>'asset' AS asset, o.raised_at, o.returned_at, "
    "coalesce(o.label, '') AS label, coalesce(o.cause, '') AS cause FROM occurrence o "
)


def _fault(row: asyncpg.Record) -> Fault:
    return Fault(
        id=row["id"], revision=row["revision"], asset=row["asset"], line=row["line"],
        start=row["start"], end=row["end"], cause=row["cause"], actor=row["actor"],
        recorded_at=row["recorded_at"], alarms=tuple(row["alarms"]), incident=row["incident"],
        withdrawn=row["withdrawn"], comment=row["comment"],
    )  # fmt: skip


class ShadowFaults:
    """Implements `Faults`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def lock(self, tx: Connection, /, fault: str) -> None:
        """One writer at a time for one fault."""
        await tx.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 16))", fault)

    async def case(self, tx: Connection, /, occurrence: str) -> Case | None:
        """The incident that an occurrence is in, or the occurrence alone."""
        row = await tx.fetchrow(
            "SELECT i.id, i.asset, i.closed_at, i.outcome, i.cause FROM incident_member m "
            "JOIN incident i ON i.id = m.incident WHERE m.occurrence = $1",
            occurrence,
        )
        if row is None:
            found = await tx.fetch(_TOLD + "WHERE o.occurrence = $1", occurrence)
            if not found:
                return None
            told = _told(found)
            return Case("", told[0].asset, None, "", found[0]["cause"], told)
        rows = await tx.fetch(
            _TOLD + "JOIN incident_member m ON m.occurrence = o.occurrence "
            "WHERE m.incident = $1 ORDER BY o.raised_at, o.occurrence LIMIT $2",
            row["id"], MOST_MEMBERS,
        )  # fmt: skip
        cause = row["cause"] or next((each["cause"] for each in rows if each["cause"]), "")
        return Case(
            row["id"], row["asset"], row["closed_at"], row["outcome"], cause, _told(rows)
        )  # fmt: skip

    async def overtaken(self, tx: Connection, /, case: Case) -> list[Fault]:
        """Standing faults of occurrences or incidents that have become part of this case."""
        if not case.incident:
            return []
        rows = await tx.fetch(
            f"SELECT {_COLUMNS} FROM plant_fault WHERE NOT withdrawn AND (id = ANY($1::text[]) "
            "OR (incident <> '' AND incident IN "
            "(SELECT id FROM incident WHERE merged_into = $2))) ORDER BY id",
            [f"occ-{each.occurrence}" for each in case.members], case.incident,
        )  # fmt: skip
        return [_fault(row) for row in rows]

    async def get(self, fault: str, tx: Connection | None = None) -> Fault | None:
        """One fault; as `tx` sees it if one is given."""
        row = await (tx or self._pool).fetchrow(
            f"SELECT {_COLUMNS} FROM plant_fault WHERE id = $1", fault
        )
        return _fault(row) if row else None

    async def put(self, tx: Connection, /, fault: Fault) -> None:
        """Insert or replace."""
        await tx.execute(
            f"INSERT INTO plant_fault ({_COLUMNS}) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) "
            "ON CONFLICT (id) DO UPDATE SET revision = $2, asset = $3, line = $4, "
            'start = $5, "end" = $6, cause = $7, actor = $8, alarms = $10, withdrawn = $12',
            fault.id, fault.revision, fault.asset, fault.line, fault.start, fault.end,
            fault.cause, fault.actor, fault.recorded_at, list(fault.alarms), fault.incident,
            fault.withdrawn, fault.comment,
        )  # fmt: skip

    async def listed(
        self, limit: int, before: tuple[int, str] | None, withdrawn: bool
    ) -> list[Fault]:
        """Newest first by their beginning, from `before` (start, id) on."""
        at, name = before or (1 << 62, "")
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM plant_fault WHERE (start, id) < ($1::bigint, $2::text) "
            "AND ($3 OR NOT withdrawn) ORDER BY start DESC, id DESC LIMIT $4",
            at, name, withdrawn, limit,
        )  # fmt: skip
        return [_fault(row) for row in rows]

    async def recent(self, recorded_since: int, limit: int) -> list[Fault]:
        """Standing faults recorded since then, the newest of them, oldest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM plant_fault WHERE recorded_at >= $1 AND NOT withdrawn "
            "ORDER BY recorded_at DESC LIMIT $2",
            recorded_since, limit,
        )  # fmt: skip
        return [_fault(row) for row in rows[::-1]]


def _told(rows: list[Any]) -> tuple[Told, ...]:
    return tuple(
        Told(
            row["occurrence"], row["alarm"], row["asset"] or "", row["raised_at"],
            row["returned_at"], row["label"],
        )
        for row in rows
    )  # fmt: skip
