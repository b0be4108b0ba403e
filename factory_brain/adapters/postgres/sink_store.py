"""Where sinks stand, and the samples that wait for them.

`on_samples` runs in the receiver's transaction; a row carries the number of its transaction, and
rows are read only below the oldest one that is still open. So the order (xid, no) is final when it
is read: no late sample and no slow commit can come to lie behind a position.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import asyncpg

from factory_brain.application.sinks.port import (
    Counts,
    PositionMoved,
    Refused,
    SampleRow,
    Waiting,
)
from factory_brain.domain.samples import Columns
from shared.clock import Clock
from shared.postgres.pool import Connection
from shared.site.site import Site

ROW = 2000
"""Samples in one row at most, so that a batch stays small."""
LONG_S = 300.0
MOST = 50_000_000
"""Samples that wait at most (about 1.5 GB); beyond, the oldest are lost and counted."""
_READ = (
    'SELECT xid, no, names, tags, times, "values", qualities, count FROM (SELECT *, '
    "sum(count) OVER (ORDER BY xid, no) - count AS before FROM (SELECT * FROM sink_sample "
    "WHERE (xid, no) > ($1, $2) AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint "
    "ORDER BY xid, no LIMIT $4) AS s) AS w WHERE before < $3 ORDER BY xid, no"
)
PAGE = 2000
"""Rows looked at, or deleted, at a time."""
_SETTLED = "xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint"
_POSITION = "SELECT xid, no FROM sink_position WHERE sink = ANY($1) ORDER BY xid, no LIMIT 1"
_TOO_OLD = (
    "SELECT xid, no FROM (SELECT xid, no, at FROM sink_sample WHERE (xid, no) > ($1, $2) "
    f"AND {_SETTLED} ORDER BY xid, no LIMIT $3) AS s WHERE at < $4 "
    "ORDER BY xid DESC, no DESC LIMIT 1"
)
"""Of the oldest that wait: nobody walks over a week's rows to find that none is too old."""
_ROWS = (
    "SELECT (SELECT no FROM sink_sample ORDER BY xid DESC, no DESC LIMIT 1) - "
    "(SELECT no FROM sink_sample ORDER BY xid, no LIMIT 1)"
)
"""About how many there are, without looking at them."""
_TOO_MANY = (
    "SELECT xid, no FROM (SELECT xid, no, sum(count) OVER (ORDER BY xid DESC, no DESC) AS n "
    f"FROM sink_sample WHERE {_SETTLED}) AS s WHERE n > $1 ORDER BY xid DESC, no DESC LIMIT 1"
)
_HAD_BY_ALL = (
    "DELETE FROM sink_sample WHERE (xid, no) IN (SELECT xid, no FROM sink_sample "
    "WHERE (xid, no) <= ($1, $2) ORDER BY xid, no LIMIT $3)"
)
_LOSE = (
    "UPDATE sink_position AS p SET lost = lost + (SELECT coalesce(sum(count), 0) FROM sink_sample "
    "WHERE (xid, no) > (p.xid, p.no) AND (xid, no) <= ($2, $3)), xid = $2, no = $3 "
    "WHERE sink = $1 AND (p.xid, p.no) < ($2, $3)"
)


class PgSinkStore:
    """Implements `SinkStore`."""

    def __init__(self, pool: asyncpg.Pool, site: Site, clock: Clock) -> None:
        self._pool, self._site, self._clock = pool, site, clock
        self._wanted: dict[str, bool] = {}
        self._seen: tuple[object, ...] = ()

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A transaction that commits at the end of the block."""
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def on_samples(self, tx: Connection, batches: list[Columns]) -> None:
        """Keep what some sink wants, in the transaction that stores it."""
        if not any(sink.wants_samples for sink in self._site.sinks.values()):
            return
        rows = [part for each in batches for part in _parts(self._of_interest(each))]
        if rows:
            now = self._clock.now_ms()
            await tx.executemany(
                'INSERT INTO sink_sample (at, count, names, tags, times, "values", qualities) '
                "VALUES ($1, $2, $3, $4, $5, $6, $7)",
                [(now, len(each.times), each.names, each.tags.tobytes(), each.times.tobytes(),
                  each.values.tobytes(), each.qualities) for each in rows],
            )  # fmt: skip

    def _of_interest(self, each: Columns) -> Columns:
        wanted = [self._wants(name) for name in each.names]
        if all(wanted):
            return each
        keep = [wanted[tag] for tag in each.tags]
        if not any(keep):
            return Columns([], array("i"), array("q"), array("d"), b"")
        chosen = [index for index, own in enumerate(keep) if own]
        return Columns(
            each.names, array("i", [each.tags[n] for n in chosen]),
            array("q", [each.times[n] for n in chosen]),
            array("d", [each.values[n] for n in chosen]),
            bytes(each.qualities[n] for n in chosen),
        )  # fmt: skip

    def _wants(self, tag: str) -> bool:
        sinks = tuple(self._site.sinks.values())
        if len(sinks) != len(self._seen) or any(
            a is not b for a, b in zip(sinks, self._seen, strict=True)
        ):
            self._seen, self._wanted = sinks, {}
        if tag not in self._wanted:
            self._wanted[tag] = any(each.takes(tag, self._site) for each in sinks)
        return self._wanted[tag]

    async def register(self, sink: str) -> None:
        """A new sink takes samples committed from now on."""
        await self._pool.execute(
            "INSERT INTO sink_position SELECT $1, "
            "pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1, 0, '', 0, 0, 0, 0, 0 "
            "ON CONFLICT DO NOTHING", sink,
        )  # fmt: skip

    async def own(self, sink: str, owner: str, for_ms: int) -> bool:
        """By the database's clock, the same for all brains."""
        return await self._pool.fetchval(
            "UPDATE sink_position SET owner = $2, until = now_ms + $3 FROM (SELECT "
            "(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now_ms) AS n "
            "WHERE sink = $1 AND (owner = $2 OR until < now_ms) RETURNING true",
            sink, owner, for_ms,
        ) is True  # fmt: skip

    async def release(self, sink: str, owner: str) -> None:
        """At an end; after a kill the time runs out instead."""
        with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            await self._pool.execute(
                "UPDATE sink_position SET until = 0 WHERE sink = $1 AND owner = $2",
                sink, owner, timeout=1,
            )  # fmt: skip

    async def samples(self, sink: str, limit: int) -> Waiting | None:
        """Whole rows, until `limit` samples are reached."""
        at = await self._pool.fetchrow("SELECT xid, no FROM sink_position WHERE sink = $1", sink)
        if at is None:
            await self.register(sink)
            return None
        rows = await self._pool.fetch(_READ, at["xid"], at["no"], limit, limit)
        if not rows:
            return None
        found = await asyncio.to_thread(self._all_unpacked, rows)
        last = rows[-1]
        return Waiting(found, (at["xid"], at["no"]), (last["xid"], last["no"]))

    def _all_unpacked(self, rows: Sequence[asyncpg.Record]) -> list[SampleRow]:
        return [sample for row in rows for sample in self._unpacked(row)]

    def _unpacked(self, row: asyncpg.Record) -> list[SampleRow]:
        tags, times, values = array("i"), array("q"), array("d")
        tags.frombytes(row["tags"])
        times.frombytes(row["times"])
        values.frombytes(row["values"])
        names, site = row["names"], self._site.tags
        assets = [site[name].asset if name in site else "" for name in names]
        return [
            SampleRow(names[tag], assets[tag], at, value if value - value == 0 else None, quality)
            for tag, at, value, quality in zip(tags, times, values, row["qualities"], strict=True)
        ]

    async def moved(self, tx: Connection, sink: str, waiting: Waiting) -> None:
        """Raises PositionMoved if it is no longer where it was read."""
        tag = await tx.execute(
            "UPDATE sink_position SET xid = $4, no = $5 WHERE sink = $1 AND (xid, no) = ($2, $3)",
            sink, *waiting.before, *waiting.after,
        )  # fmt: skip
        if not tag.endswith(" 1"):
            raise PositionMoved(f"sink {sink} no longer stands at {waiting.before}")

    async def count(
        self, tx: Connection, sink: str, given: Counts, refused: Sequence[Refused], at: int
    ) -> None:
        """Add, and keep what was refused."""
        await tx.execute(
            "UPDATE sink_position SET events = events + $2, samples = samples + $3, "
            "refused = refused + $4 WHERE sink = $1",
            sink, given.events, given.samples, given.refused,
        )  # fmt: skip
        if refused:
            await tx.executemany(
                "INSERT INTO sink_refused (sink, at, what, item, reason) "
                "VALUES ($1, $2, $3, $4, $5)",
                [(sink, at, each.what, each.item, each.reason) for each in refused],
            )

    async def counts(self) -> dict[str, Counts]:
        """By sink."""
        rows = await self._pool.fetch(
            "SELECT sink, events, samples, refused, lost FROM sink_position", timeout=5
        )
        return {r["sink"]: Counts(r["events"], r["samples"], r["refused"], r["lost"]) for r in rows}

    async def samples_behind(self, sink: str) -> int:
        """How many samples wait (those of other sinks among them)."""
        return await self._pool.fetchval(
            "SELECT coalesce(sum(s.count), 0)::bigint FROM sink_sample s, sink_position p "
            "WHERE p.sink = $1 AND (s.xid, s.no) > (p.xid, p.no)", sink, timeout=5,
        )  # fmt: skip

    async def prune(self, keep_ms: dict[str, int], now: int) -> None:
        """`keep_ms`: the sinks that want samples."""
        if not keep_ms:
            await self._pool.execute("DELETE FROM sink_sample", timeout=LONG_S)
            return
        for sink, keep in sorted(keep_ms.items()):
            await self._lose_old(sink, now - keep)
        if (await self._pool.fetchval(_ROWS) or 0) * ROW > MOST:
            cut = await self._pool.fetchrow(_TOO_MANY, MOST, timeout=LONG_S)
            if cut is not None:
                for sink in sorted(keep_ms):
                    await self._pool.execute(_LOSE, sink, cut["xid"], cut["no"], timeout=LONG_S)
        await self._delete_done(list(keep_ms))
        await self._pool.execute(
            "DELETE FROM sink_refused WHERE no <= (SELECT max(no) - 10000 FROM sink_refused)"
        )

    async def _lose_old(self, sink: str, before: int) -> None:
        while (at := await self._pool.fetchrow(_POSITION, [sink])) is not None:
            cut = await self._pool.fetchrow(_TOO_OLD, at["xid"], at["no"], PAGE, before)
            if cut is None:
                return
            await self._pool.execute(_LOSE, sink, cut["xid"], cut["no"])

    async def _delete_done(self, sinks: list[str]) -> None:
        least = await self._pool.fetchrow(_POSITION, sinks)
        if least is None:
            return
        whole = done = f"DELETE {PAGE}"
        while done == whole:
            done = await self._pool.execute(_HAD_BY_ALL, least["xid"], least["no"], PAGE)


def _parts(each: Columns) -> list[Columns]:
    """Rows of a bounded size."""
    return [
        Columns(
            each.names, each.tags[n : n + ROW], each.times[n : n + ROW],
            each.values[n : n + ROW], each.qualities[n : n + ROW],
        )
        for n in range(0, len(each.times), ROW)
    ]  # fmt: skip
