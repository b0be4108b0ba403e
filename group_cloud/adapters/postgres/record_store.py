"""Factories, journal and outcomes in PostgreSQL; writes run in the caller's transaction.

Called by ingest, the trainer and the factory view; rows only, no meaning.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import msgspec

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.application.ports import FactoryRow
from group_cloud.domain.evidence import Point
from group_cloud.domain.scope import Scope
from shared.errors import StoreError
from shared.messages.bodies import Body, FactorySummary, OutcomeRecord
from shared.postgres.partitions import Partitioned, Partitions

_EVENT_COLUMNS = [
    "source", "epoch", "lane", "seq", "site", "id", "type", "time", "received_at", "alarm",
    "occurrence", "body",
]  # fmt: skip
_RECEIVED = _EVENT_COLUMNS.index("received_at")
EVENTS = Partitioned("group_event", "received_at")


class RecordStore:
    """What came up from the factories."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool
        self._ask = Scoped(pool)
        self.partitions = Partitions(pool, (EVENTS,))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection  # type: ignore[misc]

    async def insert_events(
        self, connection: asyncpg.Connection, rows: list[tuple[Any, ...]]
    ) -> None:
        """Append to the group's journal, whose day is there before."""
        times = {row[_RECEIVED] for row in rows}
        await self.partitions.ensure(EVENTS, times)
        copy = partial(
            connection.copy_records_to_table, "group_event", records=rows, columns=_EVENT_COLUMNS
        )
        try:
            async with connection.transaction():
                await copy()
        except asyncpg.CheckViolationError as error:
            # Its day was dropped since it was remembered, or another process did not make it.
            self.partitions.forget()
            if await self.partitions.ensure(EVENTS, times):
                raise StoreError("group_event has no partition for these days") from error
            await copy()

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
        self, connection: asyncpg.Connection, site: str, record: OutcomeRecord, at: int,
        said_at: int,
    ) -> None:  # fmt: skip
        """Keep an occurrence's newest label under a new revision; what is older changes nothing."""
        await connection.execute(
            "INSERT INTO outcome (site, occurrence, edge, alarm, label, raised_at, received_at, "
            "trained, said_at, cause, body) "
            # What nobody has judged is nothing to train with: it is kept for what was done.
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $5::varchar = '', $9, $10, $8) "
            "ON CONFLICT (site, occurrence) DO UPDATE SET edge = $3, alarm = $4, label = $5, "
            "raised_at = $6, received_at = $7, trained = false, said_at = $9, cause = $10, "
            "body = $8, revision = DEFAULT WHERE outcome.said_at <= $9",
            site, record.occurrence, record.edge, record.alarm, record.label, record.raised_at,
            at, msgspec.to_builtins(record), said_at, record.cause,
        )  # fmt: skip

    async def bodies(self, scope: Scope, site: str, occurrence: str) -> list[Any]:
        """All that a factory within a scope has told of one of its occurrences."""
        rows = await self._ask.fetch(
            scope,
            "SELECT body FROM group_event e WHERE {mine:e} AND e.site = $2 "
            "AND e.occurrence = $3 LIMIT 10000",
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

    async def factories(self, scope: Scope) -> list[FactoryRow]:
        """All factories within a scope that were ever heard, or given to a tenant."""
        rows = await self._ask.fetch(
            scope,
            "SELECT f.*, (SELECT count(*) FROM outcome o WHERE o.site = f.site "
            "AND o.label <> '') AS outcomes FROM factory f WHERE {mine:f} "
            "ORDER BY f.site LIMIT 1000",
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

    async def prune_total(self, before: int) -> None:
        """Delete figures, and what was over before: occurrences, incidents, runs.

        What began long ago and ended lately is kept as long as all else that ended then.
        """
        day = before // 86_400_000
        for statement, limit in (
            ("DELETE FROM stat_day WHERE day < $1", day),
            ("DELETE FROM stat_alarm WHERE day < $1", day),
            ("DELETE FROM stat_ten WHERE ten < $1", before // 600_000),
            (
                "DELETE FROM group_occurrence WHERE raised_at < $1 AND returned_at > 0 "
                "AND returned_at < $1",
                before,
            ),
            (
                "DELETE FROM group_incident WHERE opened_at < $1 "
                "AND status IN ('closed', 'merged') AND coalesce(closed_at, opened_at) < $1",
                before,
            ),
            (  # an older factory does not say when a run ended
                "DELETE FROM playbook_outcome WHERE ended_at < $1 "
                "AND (ended_at > 0 OR received_at < $1)",
                before,
            ),
        ):
            await self._pool.execute(statement, limit, timeout=300)

    async def prune(self, before: int) -> None:
        """Delete journal entries, frame digests and unjudged outcomes older than `before`."""
        await self.partitions.drop_before(EVENTS, before)
        await self._pool.execute("DELETE FROM frame_digest WHERE at < $1", before)
        await self._pool.execute(
            "DELETE FROM outcome WHERE received_at < $1 AND label = ''", before
        )
