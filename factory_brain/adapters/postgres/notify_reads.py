"""The delivery log and entered overrides in PostgreSQL, for routes and rosters."""

from __future__ import annotations

from typing import Any

import asyncpg

from factory_brain.adapters.postgres.notify_store import NotifyStore
from factory_brain.application.notify.ports import Entered, LogFilter
from factory_brain.domain.notify.duty import Override
from shared.postgres.audit import audit


class NotifyRows(NotifyStore):
    """All rows of notifications."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        super().__init__(pool)
        self._rows = pool

    async def overrides(self, since: int) -> dict[str, list[Override]]:
        """Roster -> overrides that end after `since`, the newest last."""
        rows = await self._rows.fetch(
            "SELECT id, roster, since, until, instead_of, by FROM roster_override "
            "WHERE cancelled_at IS NULL AND until > $1 ORDER BY at, id",
            since,
        )
        found: dict[str, list[Override]] = {}
        for row in rows:
            found.setdefault(row["roster"], []).append(
                Override(row["id"], row["since"], row["until"], row["instead_of"], row["by"])
            )
        return found

    async def add_override(self, entered: Entered) -> None:
        """Keep one, with its audit entry."""
        each = entered.override
        async with self._rows.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO roster_override (id, roster, since, until, instead_of, by, why, "
                "actor, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
                each.id, entered.roster, each.since, each.until, each.instead_of, each.by,
                entered.why, entered.actor, entered.at,
            )  # fmt: skip
            data = {"before": entered.data, "after": _told(each), "why": entered.why}
            await audit(
                connection, entered.at, entered.actor, "roster_override", entered.roster, data
            )

    async def cancel_override(self, roster: str, override: str, actor: str, now: int) -> bool:
        """Take one back; False if there is none."""
        async with self._rows.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "UPDATE roster_override SET cancelled_at = $3 WHERE id = $2 AND roster = $1 "
                "AND cancelled_at IS NULL RETURNING id, since, until, instead_of, by",
                roster, override, now,
            )  # fmt: skip
            if row is None:
                return False
            data = {"before": dict(row), "after": {"cancelled_at": now}}
            await audit(connection, now, actor, "roster_override_cancelled", roster, data)
        return True

    async def log(self, wanted: LogFilter, limit: int) -> list[dict[str, Any]]:
        """Lines of the log, newest first."""
        values: list[Any] = []
        where: list[str] = []
        for name in ("person", "outcome", "alarm", "occurrence"):
            value = getattr(wanted, name)
            if value is not None:
                values.append(value)
                where.append(f"{name} = ${len(values)}")
        if wanted.before is not None:
            values.append(wanted.before)
            where.append(f"n < ${len(values)}")
        clause = f"WHERE {' AND '.join(where)} " if where else ""
        rows = await self._rows.fetch(
            "SELECT n, at, outcome, message, person, kind, channel, occurrence, alarm, priority, "
            f"reason, latency_ms FROM notify_log {clause}ORDER BY n DESC LIMIT {int(limit)}",
            *values,
        )
        return [dict(row) for row in rows]

    async def prune(self, before: int) -> None:
        """Forget what ended long ago."""
        await self._rows.execute("DELETE FROM notify_log WHERE at < $1", before)
        await self._rows.execute(
            "DELETE FROM notify_message WHERE at < $1 AND status NOT IN ('queued', 'gathered')",
            before,
        )
        await self._rows.execute(
            "DELETE FROM notify_case WHERE at < $1 AND status = 'ended'", before
        )


def _told(override: Override) -> dict[str, Any]:
    return {
        "id": override.id, "since": override.since, "until": override.until,
        "instead_of": override.instead_of, "by": override.by,
    }  # fmt: skip
