"""The journal's feed: every committed event once for each consumer, each lane in its own order.

A consumer is a name with a position per lane; it moves its position in the transaction of its own
effect. Called by whatever must miss nothing; never writes the journal.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import merge
from typing import Any, Literal

import asyncpg
import msgspec

from shared.errors import StoreError
from shared.messages.bodies import Body
from shared.messages.subjects import HISTORY
from shared.postgres.pool import Connection
from shared.telemetry import logger

log = logger("feed")
_body = msgspec.json.Decoder(Body).decode
_plain = msgspec.json.Decoder().decode
_BEHIND = (
    "SELECT w.source, w.epoch, w.lane, w.seq AS committed, coalesce(p.seq, 0) AS seq, "
    "coalesce(p.received_at, 0) AS received_at "
    "FROM watermark w LEFT JOIN feed_position p ON p.consumer = $1 AND p.source = w.source "
    "AND p.epoch = w.epoch AND p.lane = w.lane WHERE w.lane <> $2 AND w.seq > coalesce(p.seq, 0) "
    "ORDER BY w.lane, w.updated_at"
)
"""`live` comes before `replay`: what stands now before what was."""
_EVENTS = (
    "SELECT source, epoch, lane, seq, id, type, time, received_at, late, alarm, occurrence, "
    "body::text AS body FROM event WHERE source = $1 AND epoch = $2 AND lane = $3 AND seq > $4 "
    "AND seq <= $5 AND received_at >= $6 ORDER BY seq LIMIT $7"
)
Key = tuple[str, str, str]


class FeedMovedError(StoreError):
    """Somebody else of the same name has taken these events: undo, and ask anew."""


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One event of the journal."""

    source: str
    epoch: str
    lane: str
    seq: int
    id: str
    type: str
    time: int
    received_at: int
    late: bool
    alarm: str | None
    occurrence: str | None
    body: Any
    """The wire struct; a plain dict if this version no longer knows its shape."""

    @property
    def key(self) -> Key:
        """Its lane."""
        return self.source, self.epoch, self.lane


class Feed:
    """One consumer's way through the journal, without the history lane."""

    def __init__(
        self, pool: asyncpg.Pool, consumer: str, *, begin: Literal["start", "now"] = "now"
    ) -> None:
        self._pool, self.consumer, self._begin = pool, consumer, begin
        self._known = False
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was committed (hang it into `ingest.on_commit`)."""
        self._wake.set()

    async def wait(self, timeout_s: float = 1.0) -> None:
        """Until something was committed, or the time is over: others may commit too."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()
        self._wake.clear()

    async def next(self, limit: int = 500) -> list[FeedEvent]:
        """Committed events after the position: the same ones until `done` is committed."""
        await self._register()
        lanes = await self._pool.fetch(_BEHIND, self.consumer, HISTORY)
        found: list[list[FeedEvent]] = []
        for index, lane in enumerate(lanes):
            room = limit - sum(len(each) for each in found)
            share = -(-room // (len(lanes) - index))
            if share <= 0:
                break
            events = await self._read(lane, share)
            if events:
                found.append(events)
            else:
                await self._skip(lane)
        return list(merge(*found, key=lambda event: event.received_at))

    async def done(self, tx: Connection, events: Sequence[FeedEvent]) -> None:
        """Move the position behind `events` (of one `next`, in its order) with the caller's effect.

        Raises FeedMovedError if another instance of this consumer was faster.
        """
        for key, part in sorted(_by_lane(events).items()):
            before = await tx.fetchval(
                "INSERT INTO feed_position AS p (consumer, source, epoch, lane, seq, received_at) "
                "VALUES ($1, $2, $3, $4, 0, 0) ON CONFLICT (consumer, source, epoch, lane) "
                "DO UPDATE SET seq = p.seq RETURNING seq",
                self.consumer, *key,
            )  # fmt: skip
            if before is None or before >= part[0].seq:
                raise FeedMovedError(
                    f"consumer {self.consumer} stands at {before} of {'/'.join(key)}, "
                    f"not before {part[0].seq}: roll back, and ask for the next events again"
                )
            await tx.execute(
                "UPDATE feed_position SET seq = $5, received_at = $6 WHERE consumer = $1 "
                "AND source = $2 AND epoch = $3 AND lane = $4",
                self.consumer, *key, part[-1].seq, part[-1].received_at,
            )  # fmt: skip

    async def behind(self) -> int:
        """How many positions are committed and not yet done."""
        await self._register()
        lanes = await self._pool.fetch(_BEHIND, self.consumer, HISTORY)
        return sum(lane["committed"] - lane["seq"] for lane in lanes)

    async def _register(self) -> None:
        """At the consumer's first start: from the journal's start, or from where it stands now."""
        if self._known:
            return
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute(
                "INSERT INTO feed_consumer (consumer) VALUES ($1) ON CONFLICT DO NOTHING",
                self.consumer,
            )
            if tag.endswith(" 1") and self._begin == "now":
                await connection.execute(
                    "INSERT INTO feed_position (consumer, source, epoch, lane, seq, received_at) "
                    "SELECT $1, source, epoch, lane, seq, 0 FROM watermark WHERE lane <> $2",
                    self.consumer, HISTORY,
                )  # fmt: skip
        self._known = True

    async def _read(self, lane: asyncpg.Record, limit: int) -> list[FeedEvent]:
        """The lane's next events; those of old days are looked for only where a number is missing.

        The time is a hint that spares reading every day's partition, not an order: a clock that
        was set back must hide nothing.
        """
        key = (lane["source"], lane["epoch"], lane["lane"])
        after, through = lane["seq"], lane["committed"]
        rows = await self._pool.fetch(_EVENTS, *key, after, through, lane["received_at"], limit)
        last = rows[-1]["seq"] if rows else through
        if lane["received_at"] and last - after != len(rows):
            rows = await self._pool.fetch(_EVENTS, *key, after, through, 0, limit)
        return [_event(row) for row in rows]

    async def _skip(self, lane: asyncpg.Record) -> None:
        """Nothing is stored up to the watermark: set aside, dropped or too old. Go past it."""
        await self._pool.execute(
            "INSERT INTO feed_position AS p (consumer, source, epoch, lane, seq, received_at) "
            "VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (consumer, source, epoch, lane) "
            "DO UPDATE SET seq = excluded.seq WHERE p.seq = $6",
            self.consumer, lane["source"], lane["epoch"], lane["lane"], lane["committed"],
            lane["seq"],
        )  # fmt: skip


def _by_lane(events: Iterable[FeedEvent]) -> dict[Key, list[FeedEvent]]:
    lanes: dict[Key, list[FeedEvent]] = {}
    for event in events:
        lanes.setdefault(event.key, []).append(event)
    return lanes


def _event(row: asyncpg.Record) -> FeedEvent:
    try:
        body: Any = _body(row["body"])
    except msgspec.ValidationError as error:
        log.warning("body_of_another_version", id=row["id"], type=row["type"], error=str(error))
        body = _plain(row["body"])
    return FeedEvent(
        row["source"], row["epoch"], row["lane"], row["seq"], row["id"], row["type"],
        row["time"], row["received_at"], row["late"], row["alarm"], row["occurrence"], body,
    )  # fmt: skip
