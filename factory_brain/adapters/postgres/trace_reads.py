"""What was told to whom about occurrences, and what is kept beside them. Reads only, by bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from factory_brain.adapters.postgres.incident_reads import PgIncidentReads
from factory_brain.application.trace.ports import MOST
from shared.clock import Clock
from shared.postgres.audit import audit

_NOTIFIED = (
    "SELECT at, outcome, person, channel, reason, occurrence, alarm FROM notify_log "
    f"WHERE occurrence = ANY($1::text[]) ORDER BY n LIMIT {MOST}"
)
_NOTICED = (
    "SELECT at, device, status, sent_at, ended_at, body->>'occurrence' AS occurrence "
    "FROM device_notice WHERE at >= $2 AND body->>'occurrence' = ANY($1::text[]) "
    f"ORDER BY at LIMIT {MOST}"
)
_DELIVERED = (
    "SELECT at, outbound, type, status, attempt, ended_at, occurrence_of_delivery(body) AS "
    "occurrence FROM link_delivery WHERE occurrence_of_delivery(body) = ANY($1::text[]) "
    f"AND at >= $2 AND at <= $3 ORDER BY at LIMIT {MOST}"
)
_ATTACHED = (
    'SELECT at, "by", name, occurrence FROM attachment WHERE occurrence = ANY($1::text[]) '
    f"OR incident = $2 ORDER BY at LIMIT {MOST}"
)
_RUNS = (
    "SELECT id, playbook, status, started_at, ended_at, occurrence FROM run "
    f"WHERE occurrence = ANY($1::text[]) ORDER BY started_at LIMIT {MOST}"
)


class PgTraceReads:
    """Implements `TraceReads`."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock
        self._incidents = PgIncidentReads(pool)

    async def notified(self, occurrences: Sequence[str]) -> list[dict[str, Any]]:
        """The delivery log of people's channels."""
        return await self._rows(_NOTIFIED, list(occurrences))

    async def noticed(self, occurrences: Sequence[str], since: int) -> list[dict[str, Any]]:
        """Notices to devices."""
        return await self._rows(_NOTICED, list(occurrences), since)

    async def delivered(
        self, occurrences: Sequence[str], since: int, until: int
    ) -> list[dict[str, Any]]:
        """Webhooks to linked systems."""
        return await self._rows(_DELIVERED, list(occurrences), since, until)

    async def attached(self, occurrences: Sequence[str], incident: str) -> list[dict[str, Any]]:
        """Files beside occurrences and the incident."""
        return await self._rows(_ATTACHED, list(occurrences), incident)

    async def runs(self, occurrences: Sequence[str]) -> list[dict[str, Any]]:
        """Playbook runs, begin and end."""
        return await self._rows(_RUNS, list(occurrences))

    async def directives(self, edges: list[str], since: int, until: int) -> list[dict[str, Any]]:
        """What the group had changed on these edges in that time."""
        return await self._incidents.directives(edges, since, until)

    async def audited(self, actor: str, action: str, target: str, data: dict[str, Any]) -> None:
        """Append to the audit log."""
        async with self._pool.acquire() as tx, tx.transaction():
            await audit(tx, self._clock.now_ms(), actor, action, target, data)

    async def _rows(self, query: str, *args: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._pool.fetch(query, *args)]
