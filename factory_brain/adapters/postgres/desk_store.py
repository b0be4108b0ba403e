"""What the alarm desk reads of the facts and the newest occurrences, in PostgreSQL.

Called by the desk's lists and at start; writes nothing (facts are written by `alarm_store.py`).
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.domain.holds import Stated
from factory_brain.domain.rows import Occurrence
from shared.messages.bodies import Fact

_STATED = (
    "SELECT DISTINCT ON (alarm, action, coalesce(result, '')) id, alarm, occurrence, edge, action, "
    "actor, place, version_seen, hlc, args::text AS args, at, result, code FROM fact "
    "WHERE ($1::text[] IS NULL OR alarm = ANY($1)) "
    "ORDER BY alarm, action, coalesce(result, ''), hlc COLLATE \"C\" DESC, id DESC"
)
_HIDDEN = (
    "SELECT o.occurrence FROM unnest($1::text[]) AS a(alarm), LATERAL (SELECT occurrence, "
    "transition->'state' AS state FROM occurrence WHERE alarm = a.alarm "
    "ORDER BY raised_at DESC, occurrence DESC LIMIT 1) o WHERE o.state->>'shelf' <> 'U' "
    "OR (o.state->>'suppressed')::boolean OR (o.state->>'out_of_service')::boolean "
    "OR NOT (o.state->>'enabled')::boolean"
)
_NEWEST = (
    "SELECT o.occurrence FROM unnest($1::text[]) AS a(alarm), LATERAL (SELECT occurrence "
    "FROM occurrence WHERE alarm = a.alarm ORDER BY raised_at DESC, occurrence DESC LIMIT 1) o"
)


def _stated(row: asyncpg.Record) -> Stated:
    fact = Fact(
        id=row["id"], alarm=row["alarm"], occurrence=row["occurrence"],
        version_seen=row["version_seen"], action=row["action"], actor=row["actor"],
        place=row["place"], hlc=row["hlc"], args=msgspec.json.decode(row["args"]),
    )  # fmt: skip
    return Stated(fact, row["edge"], row["at"], row["result"], row["code"])


class DeskStore:
    """Reads for the desk."""

    def __init__(self, pool: asyncpg.Pool, alarms: AlarmStore) -> None:
        self._pool, self._alarms = pool, alarms

    async def stated(self, alarms: list[str] | None) -> list[Stated]:
        """The newest fact of each kind and answer about these alarms, or about all."""
        return [_stated(row) for row in await self._pool.fetch(_STATED, alarms)]

    async def fact(self, tx: asyncpg.Connection, fact_id: str) -> Stated | None:
        """One fact as it is stored."""
        row = await tx.fetchrow(
            "SELECT id, alarm, occurrence, edge, action, actor, place, version_seen, hlc, "
            "args::text AS args, at, result, code FROM fact WHERE id = $1",
            fact_id,
        )
        return _stated(row) if row else None

    async def hidden(self, alarms: list[str]) -> list[Occurrence]:
        """The newest occurrences of these alarms that something keeps from people."""
        return await self._read(_HIDDEN, alarms)

    async def newest(self, alarms: list[str]) -> list[Occurrence]:
        """The newest occurrence of each of these alarms that ever had one."""
        return await self._read(_NEWEST, alarms)

    async def _read(self, query: str, alarms: list[str]) -> list[Occurrence]:
        rows = await self._pool.fetch(query, alarms)
        names = [row["occurrence"] for row in rows]
        return await self._alarms.several(names) if names else []

    async def open_incidents(self) -> list[dict[str, Any]]:
        """Incidents that are not closed, the oldest first."""
        rows = await self._pool.fetch(
            "SELECT id, asset AS title, status, owner, opened_at FROM incident "
            "WHERE status <> 'closed' AND merged_into IS NULL ORDER BY opened_at LIMIT 500"
        )
        return [dict(row) for row in rows]
