"""The historian: slim samples by COPY, read back for trends and shadow verdicts."""

from __future__ import annotations

import asyncpg

from factory_brain.domain.samples import Row
from shared.messages.bodies import SampleBatch, Snippet


class SampleStore:
    """Writes and reads samples."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def insert(self, connection: asyncpg.Connection, rows: list[Row]) -> None:
        """Store samples; a repeated (tag, time) keeps the first."""
        unique = {(row[0], row[1]): row for row in rows}
        records = list(unique.values())
        columns = ["tag", "at", "value", "quality"]
        try:
            async with connection.transaction():
                await connection.copy_records_to_table("sample", records=records, columns=columns)
        except asyncpg.UniqueViolationError:  # the slow path, rare: a source repeated a time stamp
            await connection.executemany(
                "INSERT INTO sample (tag, at, value, quality) VALUES ($1, $2, $3, $4) "
                "ON CONFLICT DO NOTHING",
                records,
            )

    async def read(self, tag: str, since: int, until: int, limit: int) -> list[asyncpg.Record]:
        """The newest `limit` samples of a tag in (since, until], oldest first."""
        rows = await self._pool.fetch(
            "SELECT at, value, quality FROM sample WHERE tag = $1 AND at > $2 AND at <= $3 "
            "ORDER BY at DESC LIMIT $4",
            tag, since, until, limit,
        )  # fmt: skip
        return rows[::-1]

    async def window(self, tag: str, since: int, until: int) -> list[tuple[int, float]]:
        """Good samples in [since, until], with the value standing at `since` first."""
        before = await self.last_before(tag, since)
        rows = await self._pool.fetch(
            "SELECT at, value, quality FROM sample WHERE tag = $1 AND at > $2 AND at <= $3 "
            "ORDER BY at LIMIT 100000",
            tag, since, until,
        )  # fmt: skip
        good = [(r["at"], r["value"]) for r in rows if r["quality"] == 0 and r["value"] is not None]
        if before is not None and before["quality"] == 0 and before["value"] is not None:
            good.insert(0, (since, before["value"]))
        return good

    async def last_before(self, tag: str, at: int) -> asyncpg.Record | None:
        """The last sample of a tag up to `at` (changes only are stored)."""
        return await self._pool.fetchrow(
            "SELECT at, value, quality FROM sample WHERE tag = $1 AND at <= $2 "
            "ORDER BY at DESC LIMIT 1",
            tag, at,
        )  # fmt: skip

    async def newest(self, tags: list[str]) -> dict[str, tuple[int, float | None, int]]:
        """(time, value, quality) of each tag that has one."""
        rows = await self._pool.fetch(
            "SELECT t.tag, s.at, s.value, s.quality FROM unnest($1::text[]) AS t(tag), LATERAL "
            "(SELECT at, value, quality FROM sample WHERE tag = t.tag ORDER BY at DESC LIMIT 1) s",
            tags,
        )
        return {row["tag"]: (row["at"], row["value"], row["quality"]) for row in rows}

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

    async def prune(self, before: int) -> None:
        """Delete what is older than the retention."""
        await self._pool.execute("DELETE FROM sample WHERE at < $1", before)
        await self._pool.execute("DELETE FROM snippet WHERE until < $1", before)
