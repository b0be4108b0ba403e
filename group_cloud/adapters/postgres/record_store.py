"""Factories, journal and outcomes in PostgreSQL; writes run in the caller's transaction.

Called by ingest, the trainer and the factory view; rows only, no meaning.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import msgspec

from group_cloud.application.ports import FactoryRow
from group_cloud.domain.evidence import Point
from shared.messages.bodies import Body, FactorySummary, OutcomeRecord, PlaybookOutcome

_EVENT_COLUMNS = [
    "source", "epoch", "lane", "seq", "site", "id", "type", "time", "received_at", "alarm",
    "occurrence", "body",
]  # fmt: skip


class RecordStore:
    """What came up from the factories."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection  # type: ignore[misc]

    async def insert_events(
        self, connection: asyncpg.Connection, rows: list[tuple[Any, ...]]
    ) -> None:
        """Append to the group's journal."""
        await connection.copy_records_to_table("group_event", records=rows, columns=_EVENT_COLUMNS)

    async def save_summary(
        self, connection: asyncpg.Connection, site: str, summary: FactorySummary, at: int
    ) -> None:
        """Keep a factory's newest totals."""
        await connection.execute(
            "INSERT INTO factory (site, names, active, unacked, worst_priority, edges_online, "
            "edges_total, events, last_seen) VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) "
            "ON CONFLICT (site) DO UPDATE SET names = $2, active = $3, unacked = $4, "
            "worst_priority = $5, edges_online = $6, edges_total = $7, last_seen = $8",
            site, summary.names, summary.active, summary.unacked, summary.worst_priority,
            summary.edges_online, summary.edges_total, at,
        )  # fmt: skip
        if (head := summary.audit) is not None:
            await connection.execute(
                "INSERT INTO audit_witness (site, id, hash, at, signature, received_at) "
                "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
                site, head.id, head.hash, head.at, head.signature, at,
            )  # fmt: skip

    async def count_events(
        self, connection: asyncpg.Connection, site: str, events: int, at: int
    ) -> None:
        """Count what a factory has sent."""
        await connection.execute(
            "INSERT INTO factory (site, names, active, unacked, edges_online, edges_total, events, "
            "last_seen) VALUES ($1, '{}', 0, 0, 0, 0, $2, $3) ON CONFLICT (site) "
            "DO UPDATE SET events = factory.events + $2, last_seen = $3",
            site, events, at,
        )  # fmt: skip

    async def save_outcome(
        self, connection: asyncpg.Connection, site: str, record: OutcomeRecord, at: int
    ) -> None:
        """Keep an occurrence's newest label under a new revision."""
        await connection.execute(
            "INSERT INTO outcome (site, occurrence, edge, alarm, label, raised_at, received_at, "
            "trained, body) VALUES ($1, $2, $3, $4, $5, $6, $7, false, $8) "
            "ON CONFLICT (site, occurrence) DO UPDATE SET edge = $3, alarm = $4, label = $5, "
            "raised_at = $6, received_at = $7, trained = false, body = $8, revision = DEFAULT",
            site, record.occurrence, record.edge, record.alarm, record.label, record.raised_at,
            at, msgspec.to_builtins(record),
        )  # fmt: skip

    async def save_playbook_outcome(
        self, connection: asyncpg.Connection, site: str, outcome: PlaybookOutcome, at: int
    ) -> None:
        """Keep a run's end."""
        await connection.execute(
            "INSERT INTO playbook_outcome (site, run, playbook, status, received_at, body) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (site, run) "
            "DO UPDATE SET status = $4, received_at = $5, body = $6",
            site, outcome.run, outcome.playbook, outcome.status, at, msgspec.to_builtins(outcome),
        )  # fmt: skip

    async def bodies(self, site: str, occurrence: str) -> list[Any]:
        """All that a factory has told of one of its occurrences."""
        rows = await self._pool.fetch(
            "SELECT body FROM group_event WHERE site = $1 AND occurrence = $2 LIMIT 10000",
            site, occurrence,
        )  # fmt: skip
        return [msgspec.convert(row["body"], Body) for row in rows]

    async def save_seen(self, seen: dict[str, int]) -> None:
        """Keep when each factory was last heard."""
        await self._pool.execute(
            "UPDATE factory f SET last_seen = s.at FROM unnest($1::text[], $2::bigint[]) "
            "AS s(site, at) WHERE f.site = s.site AND s.at > coalesce(f.last_seen, 0)",
            list(seen), list(seen.values()),
        )  # fmt: skip

    async def factories(self) -> list[FactoryRow]:
        """All factories that were ever heard."""
        rows = await self._pool.fetch(
            "SELECT f.*, (SELECT count(*) FROM outcome o WHERE o.site = f.site "
            "AND o.label <> '') AS outcomes FROM factory f ORDER BY f.site LIMIT 1000"
        )
        return [
            FactoryRow(
                row["site"], row["names"], row["active"], row["unacked"], row["worst_priority"],
                row["edges_online"], row["edges_total"], row["last_seen"], row["events"],
                row["outcomes"],
            )
            for row in rows
        ]  # fmt: skip

    async def untrained(self) -> list[Point]:
        """Alarm points with outcomes that the bank has not seen."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT site, edge, alarm FROM outcome WHERE NOT trained LIMIT 100"
        )
        return [Point(row["site"], row["edge"], row["alarm"]) for row in rows]

    async def outcomes(
        self, point: Point, limit: int, *, untrained: bool
    ) -> list[tuple[int, OutcomeRecord]]:
        """The newest outcomes of a point, or those that wait, oldest first."""
        rows = await self._pool.fetch(
            "SELECT revision, body FROM outcome WHERE site = $1 AND edge = $2 AND alarm = $3 "
            "AND (NOT trained OR NOT $5) ORDER BY trained, raised_at DESC LIMIT $4",
            point.site, point.edge, point.alarm, limit, untrained,
        )  # fmt: skip
        found = [(row["revision"], msgspec.convert(row["body"], OutcomeRecord)) for row in rows]
        return sorted(found, key=lambda each: (each[1].raised_at, each[1].occurrence))

    async def mark_trained(self, connection: asyncpg.Connection, revisions: list[int]) -> None:
        """The bank has seen these revisions."""
        await connection.execute(
            "UPDATE outcome SET trained = true WHERE revision = ANY($1) AND NOT trained", revisions
        )

    async def prune(self, before: int) -> None:
        """Delete journal entries, frame digests and unjudged outcomes older than `before`."""
        await self._pool.execute("DELETE FROM group_event WHERE received_at < $1", before)
        await self._pool.execute("DELETE FROM frame_digest WHERE at < $1", before)
        await self._pool.execute(
            "DELETE FROM outcome WHERE received_at < $1 AND label = ''", before
        )
