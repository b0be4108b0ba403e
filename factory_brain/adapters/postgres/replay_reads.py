"""The past as a replay reads it: events in the order of their times, and what firings came to.

Reads row by row by a cursor, from the pool of long questions; writes nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec

from factory_brain.application.playbooks.authoring.replaying import Past, Really
from factory_brain.application.playbooks.trigger_ports import Emitted
from shared.messages.bodies import Body

_body = msgspec.json.Decoder(Body).decode
AHEAD_MS = 86_400_000
"""An event is received this long before its own time at most: a clock that is ahead."""
_EVENTS = (
    "SELECT id, time, body::text AS body FROM event WHERE received_at >= $1 - $6::bigint "
    "AND time >= $1 AND time < $2 AND (alarm = ANY($3::text[]) OR ($4 AND (type LIKE 'linked.%' "
    "OR type LIKE 'system%' OR type = 'state.changed'))) "
    "ORDER BY time, source, epoch, lane, seq LIMIT $5"
)
_REALLY = (
    "SELECT f.id, f.occurrence, f.trigger, f.at, f.alarm, f.outcome, f.run, r.status, "
    "CASE WHEN r.id = f.id THEN r.ended_at - r.started_at END AS lasted_ms "
    "FROM trigger_fired f LEFT JOIN run r ON r.id = f.run WHERE f.playbook = $1 "
    "AND f.decided_at >= $2 AND f.at >= $2 AND f.at < $3 ORDER BY f.decided_at DESC LIMIT 100000"
)
_INCIDENTS = (
    "SELECT id, status, priority, asset, alarms, flood, first_at, first_out, opened_at, closed_at "
    "FROM incident WHERE status <> 'merged' AND first_at < $2 "
    "AND (opened_at >= $1 OR closed_at >= $1) ORDER BY first_at DESC LIMIT $3"
)


class PgReplayReads:
    """Implements `ReplayReads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def events(
        self, since: int, until: int, alarms: list[str], others: bool, limit: int
    ) -> AsyncIterator[Past]:
        """Transitions of these alarms, and what is no alarm's, oldest first."""
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            rows = connection.cursor(
                _EVENTS, since, until, alarms, others, limit, AHEAD_MS, prefetch=500
            )
            async for row in rows:
                try:
                    body: Any = _body(row["body"])
                except msgspec.ValidationError:
                    continue  # of a version whose words are not known any more
                yield Past(row["id"], row["time"], body)

    async def emitted(self, since: int, until: int, limit: int) -> list[Emitted]:
        """Events that playbooks wrote."""
        rows = await self._pool.fetch(
            "SELECT id, at, type, data FROM emitted WHERE at >= $1 AND at < $2 "
            "ORDER BY at LIMIT $3",
            since, until, limit,
        )  # fmt: skip
        return [Emitted(r["id"], r["at"], r["type"], r["data"], 0) for r in rows]

    async def incidents(
        self, since: int, until: int, limit: int
    ) -> list[tuple[str, str, int, dict[str, Any]]]:
        """Openings and closings; how urgent an incident was in between is not kept."""
        found = []
        for row in await self._pool.fetch(_INCIDENTS, since, until, limit):
            seen = {
                "id": row["id"], "incident": row["id"], "asset": row["asset"],
                "priority": row["priority"], "status": row["status"], "alarms": row["alarms"],
                "flood": row["flood"], "raised_at": row["first_at"],
                "occurrence": next(iter(row["first_out"]), None), "value": row["alarms"],
            }  # fmt: skip
            for word, at in (("opened", row["opened_at"]), ("closed", row["closed_at"])):
                if at is not None and since <= at < until:
                    found.append((row["id"], word, at, seen))
        return found

    async def really(self, playbook: str, since: int, until: int) -> list[Really]:
        """What the playbook's firings really came to."""
        rows = await self._pool.fetch(_REALLY, playbook, since, until)
        return [Really(**dict(row)) for row in rows]
