"""Tells linked systems when an incident opens, is acknowledged, contained, closed or merged.

Called by the links' feed between its rounds; only a change of status is told, in the transaction
that notes it. Reads incidents, never changes one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

from shared.postgres.pool import Connection
from shared.site.links import EVENT

AT_ONCE = 100
PutViews = Callable[[Connection, list[dict[str, Any]]], Awaitable[None]]
_CHANGED = (
    "SELECT i.id, i.status, i.asset, i.priority, i.alarms, i.changed, i.last_at, i.opened_at, "
    "i.acknowledged_at, i.acknowledged_by, i.contained_at, i.contained_by, i.closed_at, "
    "i.closed_by, t.status AS told FROM incident i LEFT JOIN link_incident t USING (id) "
    "WHERE i.changed > $1 ORDER BY i.changed LIMIT $2"
)


class LinkIncidents:
    """A position in the incidents' changes; at its first start, where they stand now."""

    def __init__(self, pool: asyncpg.Pool, put: PutViews) -> None:
        self._pool, self._put = pool, put

    async def step(self) -> bool:
        """Tell what has changed since; whether there was anything."""
        async with self._pool.acquire() as connection, connection.transaction():
            position = await connection.fetchval(
                "INSERT INTO link_position AS p (name, seq) VALUES ('incidents', "
                "(SELECT coalesce(max(changed), 0) FROM incident)) ON CONFLICT (name) "
                "DO UPDATE SET seq = p.seq RETURNING seq"
            )
            rows = await connection.fetch(_CHANGED, position, AT_ONCE)
            if not rows:
                return False
            new = [row for row in rows if row["told"] != row["status"]]
            await self._put(connection, [_view(row) for row in new])
            await connection.executemany(
                "INSERT INTO link_incident (id, status) VALUES ($1, $2) "
                "ON CONFLICT (id) DO UPDATE SET status = $2",
                [(row["id"], row["status"]) for row in new],
            )
            await connection.execute(
                "UPDATE link_position SET seq = $1 WHERE name = 'incidents'", rows[-1]["changed"]
            )
        return True


def _view(row: asyncpg.Record) -> dict[str, Any]:
    status = row["status"]
    known = status in ("acknowledged", "contained", "closed")
    at = (row[f"{status}_at"] if known else row["opened_at"]) or row["last_at"]
    actor = row[f"{status}_by"] if known else ""
    return dict.fromkeys(EVENT) | {
        "type": f"incident.{status}", "kind": status, "id": f"{row['id']}-{row['changed']}",
        "asset": row["asset"], "priority": row["priority"], "time": at, "late": False,
        "actor": actor or None, "status": status, "value": row["alarms"],
        "text_zh": f"{row['asset']} 事件：{row['alarms']} 条报警",
        "text_en": f"{row['asset']}: incident of {row['alarms']} alarms",
    }  # fmt: skip
