"""The historian: slim samples by binary COPY into daily partitions, read back for trends.

Called in the receiver's transaction (`insert`) and by trends, verdicts and playbooks. What it
writes it also marks, so that `rollups.py` summarises it; it never summarises itself.
"""

from __future__ import annotations

from array import array
from typing import Any

import asyncpg

from factory_brain.adapters.postgres.copy_rows import SAMPLE_COLUMNS, sample_rows
from factory_brain.adapters.postgres.partitions import DAY_MS, SAMPLES, WAIT_S, Partitions
from factory_brain.domain.samples import Columns
from shared.clock import Clock, SystemClock
from shared.messages.bodies import SampleBatch, Snippet
from shared.telemetry import logger

log = logger("historian")
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
_RAW = (
    "SELECT at, value, quality FROM sample_raw WHERE tag_no = (SELECT no FROM tag_name "
    "WHERE tag = $1) AND at > $2 AND at <= $3 ORDER BY at DESC LIMIT $4"
)
_SUMMED = (
    "SELECT at, sum / nullif(good, 0) AS value, CASE WHEN good * 2 > count THEN 0 ELSE 1 END "
    "AS quality, min, max FROM {} WHERE tag_no = (SELECT no FROM tag_name WHERE tag = $1) "
    "AND at > $2 AND at <= $3 ORDER BY at DESC LIMIT $4"
)
Numbers = dict[str, int]


class SampleStore:
    """Writes and reads samples."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock | None = None) -> None:
        self._pool, self._clock = pool, clock or SystemClock()
        self.partitions = Partitions(pool)
        self.refused = 0
        """Samples of a day to come or of too many invented days: not stored."""
        self._numbers: Numbers = {}

    async def insert(self, connection: asyncpg.Connection, batches: list[Columns]) -> None:
        """Store samples; a repeated (tag, time) keeps the first."""
        numbers = await self._numbered({name for each in batches for name in each.names})
        times, values, tags, qualities = array("q"), array("d"), array("i"), b""
        for each in batches:
            times += each.times
            values += each.values
            own = [numbers[name] for name in each.names]
            tags.extend([own[index] for index in each.tags])
        qualities = b"".join(each.qualities for each in batches)
        rows = Columns([], tags, times, values, qualities)
        rows = await self._within(rows)
        if not rows.times:
            return
        await self._copy(connection, rows)
        await connection.executemany(
            "INSERT INTO rollup_dirty (since, until, tags) VALUES ($1, $2, $3)", _marks(rows)
        )

    async def _numbered(self, names: set[str]) -> Numbers:
        """The numbers of tags; new ones are committed at once, whatever becomes of the caller."""
        known = self._numbers
        new = sorted(name for name in names if name not in known)
        if new:
            async with self._pool.acquire(timeout=WAIT_S) as connection:
                await connection.execute(
                    "INSERT INTO tag_name (tag) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING",
                    new,
                )
                found = await connection.fetch(
                    "SELECT tag, no FROM tag_name WHERE tag = ANY($1)", new
                )
            known.update({row["tag"]: row["no"] for row in found})
        return known

    async def _within(self, rows: Columns) -> Columns:
        """Without what no partition is made for; makes the partitions of the rest."""
        latest = self._clock.now_ms() + DAY_MS
        first, last = min(rows.times, default=0), max(rows.times, default=0)
        whole = SAMPLES.start(first) == SAMPLES.start(last)
        days = {first} if whole else {SAMPLES.start(at) for at in rows.times}
        without = await self.partitions.ensure(SAMPLES, [at for at in days if 0 <= at <= latest])
        if last <= latest and first >= 0 and not without:
            return rows
        keep = [
            0 <= at <= latest and SAMPLES.start(at) not in without for at in rows.times
        ]  # fmt: skip
        self.refused += keep.count(False)
        log.warning("samples_refused", count=keep.count(False), first=first, last=last)

        def kept(column: Any) -> list[Any]:
            return [value for value, wanted in zip(column, keep, strict=True) if wanted]

        return Columns(
            [], array("i", kept(rows.tags)), array("q", kept(rows.times)),
            array("d", kept(rows.values)), bytes(kept(rows.qualities)),
        )  # fmt: skip

    async def _copy(self, connection: asyncpg.Connection, rows: Columns) -> None:
        data = sample_rows(rows.times, rows.values, rows.tags, rows.qualities)
        try:
            async with connection.transaction():
                await _copy_into(connection, "sample_raw", data)
        except asyncpg.UniqueViolationError:  # rare: a source repeated a time stamp
            await connection.execute(
                "CREATE TEMP TABLE IF NOT EXISTS sample_staged (n bigserial, at bigint, "
                "value double precision, tag_no integer, quality smallint) ON COMMIT DELETE ROWS"
            )
            await _copy_into(connection, "sample_staged", data)
            await connection.execute(
                "INSERT INTO sample_raw (at, value, tag_no, quality) SELECT at, value, tag_no, "
                "quality FROM sample_staged ORDER BY n ON CONFLICT DO NOTHING"
            )
            await connection.execute("TRUNCATE sample_staged")
        except asyncpg.CheckViolationError:  # dropped by somebody since it was made
            self.partitions.forget()
            await self.partitions.ensure(SAMPLES, rows.times)
            await _copy_into(connection, "sample_raw", data)

    async def read(self, tag: str, since: int, until: int, limit: int) -> list[asyncpg.Record]:
        """The newest `limit` samples of a tag in (since, until], oldest first."""
        return (await self._pool.fetch(_RAW, tag, since, until, limit))[::-1]

    async def trend(self, tag: str, since: int, until: int, limit: int) -> tuple[str, list[Any]]:
        """(resolution, rows): raw samples where they fit into `limit`, else minutes, else hours.

        Rows of minutes and hours carry their average as value, their min and max, and the time at
        which they begin. Asked without a beginning it is the newest samples.
        """
        rows = await self.read(tag, since, until, limit + 1)
        kept_since = await self._oldest_raw()
        if since <= 0 or (len(rows) <= limit and since >= kept_since):
            return "raw", rows[-limit:]
        for resolution, table, step in (
            ("minute", "sample_minute", MINUTE_MS),
            ("hour", "sample_hour", HOUR_MS),
        ):
            if (until - since) // step <= limit or table == "sample_hour":
                query = _SUMMED.format(table)
                found = await self._pool.fetch(query, tag, since - step, until, limit)
                if found:
                    newer = [row for row in rows if row["at"] >= found[0]["at"] + step]
                    return resolution, [*found[::-1], *map(_as_sum, newer)][-limit:]
        return "raw", rows[-limit:]

    async def _oldest_raw(self) -> int:
        closed = await self.partitions.closed(SAMPLES, self._clock.now_ms() + 2 * DAY_MS)
        return closed[0] if closed else 0

    async def window(self, tag: str, since: int, until: int) -> list[tuple[int, float]]:
        """Good samples in [since, until], with the value standing at `since` first."""
        before = await self.last_before(tag, since)
        rows = await self.read(tag, since, until, 100_000)
        good = [(r["at"], r["value"]) for r in rows if r["quality"] == 0 and r["value"] is not None]
        if before is not None and before["quality"] == 0 and before["value"] is not None:
            good.insert(0, (since, before["value"]))
        return good

    async def last_before(self, tag: str, at: int) -> asyncpg.Record | None:
        """The last sample of a tag up to `at` (changes only are stored)."""
        return await self._pool.fetchrow(_RAW, tag, -1, at, 1)

    async def newest(self, tags: list[str]) -> dict[str, tuple[int, float | None, int]]:
        """(time, value, quality) of each tag that has one."""
        rows = await self._pool.fetch(
            "SELECT t.tag, s.at, s.value, s.quality FROM tag_name t, LATERAL (SELECT at, value, "
            "quality FROM sample_raw WHERE tag_no = t.no ORDER BY at DESC LIMIT 1) s "
            "WHERE t.tag = ANY($1::text[])",
            tags,
        )
        return {row["tag"]: (row["at"], row["value"], row["quality"]) for row in rows}

    async def highest(self, tags: list[str], since: int) -> dict[str, float]:
        """The highest good value of each tag since a time, the one standing then included."""
        rows = await self._pool.fetch(
            "SELECT t.tag, greatest((SELECT max(value) FROM sample_raw WHERE tag_no = t.no "
            "AND at > $2 AND quality = 0), (SELECT value FROM sample_raw WHERE tag_no = t.no "
            "AND at <= $2 AND quality = 0 ORDER BY at DESC LIMIT 1)) AS value "
            "FROM tag_name t WHERE t.tag = ANY($1::text[])",
            tags, since,
        )  # fmt: skip
        return {row["tag"]: row["value"] for row in rows if row["value"] is not None}

    async def insert_snippet(
        self, connection: asyncpg.Connection, edge: str, snippet: Snippet
    ) -> None:
        """Store what a raise took along; a repetition changes nothing."""
        rows = snippet.samples
        await connection.execute(
            "INSERT INTO snippet (occurrence, alarm, edge, raised_at, since, until, truncated, "
            'names, tags, times, "values", qualities) '
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
            snippet.occurrence, snippet.alarm, edge, snippet.raised_at, snippet.since,
            snippet.until, snippet.truncated, rows.names, rows.tags, rows.times, rows.values,
            rows.qualities,
        )  # fmt: skip

    async def has_snippet(self, occurrence: str) -> bool:
        """Whether an occurrence took its samples along."""
        query = "SELECT EXISTS (SELECT FROM snippet WHERE occurrence = $1)"
        return await self._pool.fetchval(query, occurrence)

    async def snippet(self, occurrence: str) -> Snippet | None:
        """What an occurrence took along."""
        row = await self._pool.fetchrow("SELECT * FROM snippet WHERE occurrence = $1", occurrence)
        if row is None:
            return None
        columns = SampleBatch(
            names=row["names"], tags=row["tags"], times=row["times"], values=row["values"],
            qualities=row["qualities"],
        )  # fmt: skip
        return Snippet(
            alarm=row["alarm"], occurrence=occurrence, raised_at=row["raised_at"],
            since=row["since"], until=row["until"], samples=columns, truncated=row["truncated"],
        )  # fmt: skip

    async def prune_snippets(self, before: int) -> None:
        """Delete snippets that ended before a time; they are few."""
        await self._pool.execute("DELETE FROM snippet WHERE until < $1", before)


def _marks(rows: Columns) -> list[tuple[int, int, list[int]]]:
    """(first, last, tags) of what is new, day by day: one sample of a clock that was never set
    must not have half a century summarised."""
    first, last = min(rows.times), max(rows.times)
    if SAMPLES.start(first) == SAMPLES.start(last):
        return [(first, last, list(set(rows.tags)))]
    days: dict[int, tuple[list[int], set[int]]] = {}
    for at, tag in zip(rows.times, rows.tags, strict=True):
        times, tags = days.setdefault(SAMPLES.start(at), ([], set()))
        times.append(at)
        tags.add(tag)
    return [(min(times), max(times), list(tags)) for times, tags in days.values()]


def _as_sum(row: asyncpg.Record) -> dict[str, Any]:
    """A sample that is not summarised yet, in the form of those that are."""
    return {**row, "min": row["value"], "max": row["value"]}


async def _copy_into(connection: asyncpg.Connection, table: str, data: bytes) -> None:
    await connection.copy_to_table(
        table, source=memoryview(data), columns=SAMPLE_COLUMNS, format="binary",
    )  # fmt: skip
