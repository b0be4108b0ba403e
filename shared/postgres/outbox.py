"""The outbox in PostgreSQL: appended on the caller's connection, in the caller's transaction.

The same contract as `shared/outbox/sqlite_outbox.py` (one suite runs on both).
"""

from __future__ import annotations

from typing import Any

import asyncpg
import msgspec

from shared.messages.control import Counts
from shared.outbox.port import MAX_FRAME_BYTES, MAX_FRAME_EVENTS, OutboxStatus, Segment
from shared.postgres.pool import Connection


class PgOutbox:
    """Lanes of one source in one database; `lanes` restricts the view to some (one drainer)."""

    def __init__(self, pool: asyncpg.Pool, epoch: str, lanes: tuple[str, ...] = ()) -> None:
        self._pool, self.epoch, self._lanes = pool, epoch, list(lanes)

    def view(self, *lanes: str) -> PgOutbox:
        """The same outbox as seen by a drainer of these lanes only."""
        return PgOutbox(self._pool, self.epoch, lanes)

    async def append(self, connection: Connection, lane: str, at: int, event: bytes) -> int:
        """Add one encoded event within the caller's transaction; returns its sequence number."""
        seq: Any = await connection.fetchval(
            "INSERT INTO outbox_lane "
            "(epoch, lane, born, produced, delivered, dropped, quarantined) "
            "VALUES ($1, $2, $3, 1, 0, 0, 0) "
            "ON CONFLICT (epoch, lane) DO UPDATE SET produced = outbox_lane.produced + 1 "
            "RETURNING produced",
            self.epoch, lane, at,
        )  # fmt: skip
        await connection.execute(
            "INSERT INTO outbox (epoch, lane, seq, at, event) VALUES ($1, $2, $3, $4, $5)",
            self.epoch, lane, seq, at, event,
        )  # fmt: skip
        return seq

    async def append_many(
        self, connection: Connection, lane: str, at: int, events: list[bytes]
    ) -> None:
        """Add encoded events, in order, within the caller's transaction."""
        last: Any = await connection.fetchval(
            "INSERT INTO outbox_lane "
            "(epoch, lane, born, produced, delivered, dropped, quarantined) "
            "VALUES ($1, $2, $3, $4, 0, 0, 0) "
            "ON CONFLICT (epoch, lane) DO UPDATE SET produced = outbox_lane.produced + $4 "
            "RETURNING produced",
            self.epoch, lane, at, len(events),
        )  # fmt: skip
        first = last - len(events) + 1
        await connection.copy_records_to_table(
            "outbox",
            records=[(self.epoch, lane, seq, at, event) for seq, event in enumerate(events, first)],
            columns=["epoch", "lane", "seq", "at", "event"],
        )

    async def pending(self) -> list[tuple[str, str, int, int]]:
        """(epoch, lane, first, last) of all that is buffered, oldest epoch first."""
        # Two index seeks for each lane, however long the backlog.
        rows = await self._pool.fetch(
            "SELECT epoch, lane, first, last FROM (SELECT l.epoch, l.lane, l.born, "
            "(SELECT min(seq) FROM outbox o WHERE o.epoch = l.epoch AND o.lane = l.lane) AS first, "
            "(SELECT max(seq) FROM outbox o WHERE o.epoch = l.epoch AND o.lane = l.lane) AS last "
            "FROM outbox_lane l WHERE cardinality($1::text[]) = 0 OR l.lane = ANY($1)) held "
            "WHERE first IS NOT NULL ORDER BY born, epoch, lane",
            self._lanes,
        )
        return [tuple(row) for row in rows]

    async def read(self, epoch: str, lane: str, first: int) -> Segment | None:
        """The next frame's events from `first` on."""
        rows = await self._pool.fetch(
            "SELECT seq, event FROM outbox WHERE epoch = $1 AND lane = $2 AND seq >= $3 "
            "ORDER BY seq LIMIT $4",
            epoch, lane, first, MAX_FRAME_EVENTS,
        )  # fmt: skip
        if not rows:
            return None
        start: int = rows[0]["seq"]
        events: list[msgspec.Raw] = []
        size = 0
        for index, row in enumerate(rows):
            event: bytes = row["event"]
            if row["seq"] != start + index or (events and size + len(event) > MAX_FRAME_BYTES):
                break
            events.append(msgspec.Raw(event))
            size += len(event)
        return Segment(epoch, lane, start, events)

    async def committed(
        self, epoch: str, lane: str, through: int, quarantined: int | None = None
    ) -> None:
        """Delete through `through`, in one transaction with the counters."""
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute(
                "DELETE FROM outbox WHERE epoch = $1 AND lane = $2 AND seq <= $3",
                epoch, lane, through,
            )  # fmt: skip
            await connection.execute(
                "UPDATE outbox_lane SET delivered = delivered + $3 "
                "+ CASE WHEN $4::bigint IS NULL THEN 0 ELSE quarantined - $4::bigint END, "
                "quarantined = coalesce($4::bigint, quarantined) WHERE epoch = $1 AND lane = $2",
                epoch, lane, int(tag.split()[-1]), quarantined,
            )  # fmt: skip

    async def status(self) -> OutboxStatus:
        """Counters summed over epochs, by lane."""
        rows = await self._pool.fetch(
            "SELECT l.lane, sum(l.produced)::bigint AS produced, "
            "sum(l.delivered)::bigint AS delivered, sum(l.dropped)::bigint AS dropped, "
            "sum(l.quarantined)::bigint AS quarantined, coalesce(max(o.held), 0) AS buffered, "
            "min(o.oldest) AS oldest FROM outbox_lane l LEFT JOIN "
            "(SELECT lane, count(*) AS held, min(at) AS oldest FROM outbox GROUP BY lane) o "
            "USING (lane) WHERE cardinality($1::text[]) = 0 OR l.lane = ANY($1) GROUP BY l.lane",
            self._lanes,
        )
        oldest = [row["oldest"] for row in rows if row["oldest"] is not None]
        return OutboxStatus(
            lanes={
                row["lane"]: Counts(
                    produced=row["produced"],
                    delivered=row["delivered"],
                    buffered=row["buffered"],
                    dropped=row["dropped"],
                    quarantined=row["quarantined"],
                )
                for row in rows
            },
            oldest_at=min(oldest) if oldest else None,
        )
