"""The samples that shadow counting reads, in pieces, and what it has counted.

Called by the shadow job. A day is read a few thousand rows at a time: neither this process nor
the event loop ever holds more than the columns of one tag.
"""

from __future__ import annotations

from array import array

import asyncpg

from factory_brain.application.shadow.ports import Done, Judged
from factory_brain.domain.shadow import LEAD_MS, Signal, coverage
from shared.postgres.pool import Connection
from shared.telemetry import logger

log = logger("shadow")
PIECE = 4_000
MOST_ROWS = 1_000_000
"""Samples of one tag and day: eleven a second. What is beyond is not counted, and said so."""
_PIECE = (
    "SELECT at, value, quality FROM sample_raw WHERE tag_no = $1 AND at >= $2 AND at < $3 "
    "ORDER BY at LIMIT $4"
)
_BEFORE = (
    "SELECT value FROM sample_raw WHERE tag_no = $1 AND at < $2 AND at >= $3 AND quality = 0 "
    "AND value IS NOT NULL ORDER BY at DESC LIMIT 1"
)
_STORED = (
    "SELECT t.tag, (SELECT coalesce(sum(h.count), 0) FROM sample_hour h WHERE h.tag_no = t.no "
    "AND h.at >= $2 AND h.at < $3)::bigint AS rows FROM tag_name t WHERE t.tag = ANY($1::text[])"
)
LOOK_BACK_MS = 86_400_000
"""So far before a span its first standing value is looked for."""


class ShadowDays:
    """Implements `Days`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def done(self, since_day: int) -> dict[tuple[str, int], Done]:
        """(alarm, day) -> what was counted."""
        rows = await self._pool.fetch("SELECT * FROM shadow_day WHERE day >= $1", since_day)
        return {
            (row["alarm"], row["day"]): Done(row["revision"], row["rows"], row["until"])
            for row in rows
        }

    async def put_day(
        self, tx: Connection, /, alarm: str, day: int, was: Done | None, done: Done, at: int
    ) -> bool:
        """Note a count; False if somebody has noted another one since it was `was`."""
        tag = await tx.execute(
            "INSERT INTO shadow_day AS d (alarm, day, revision, rows, until, at) "
            "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (alarm, day) DO UPDATE SET "
            "revision = $3, rows = $4, until = $5, at = $6 WHERE d.revision = $7",
            alarm, day, done.revision, done.rows, done.until, at, was.revision if was else -1,
        )  # fmt: skip
        return tag.endswith(" 1")

    async def stored(self, tags: list[str], since: int, until: int) -> dict[str, int]:
        """tag -> how many samples the summaries know of in [since, until)."""
        rows = await self._pool.fetch(_STORED, tags, since, until)
        return {row["tag"]: row["rows"] for row in rows}

    async def signal(
        self, tag: str, since: int, until: int, lead_ms: int = LEAD_MS
    ) -> Signal:  # fmt: skip
        """The samples of a tag from a while before `since` up to `until`."""
        number = await self._pool.fetchval("SELECT no FROM tag_name WHERE tag = $1", tag)
        start = since - lead_ms
        times, values = array("q"), array("d")
        marks, fine = array("q"), bytearray()
        if number is not None:
            standing = await self._pool.fetchval(_BEFORE, number, start, start - LOOK_BACK_MS)
            if standing is not None:
                times.append(start)
                values.append(standing)
        inside = 0
        while number is not None and len(marks) < MOST_ROWS:
            rows = await self._pool.fetch(_PIECE, number, start, until, PIECE)
            for at, value, quality in rows:
                marks.append(at)
                fine.append(quality == 0 and value is not None)
                inside += at >= since
                if quality == 0 and value is not None:
                    times.append(at)
                    values.append(value)
            if len(rows) < PIECE:
                break
            start = rows[-1]["at"] + 1
        if len(marks) >= MOST_ROWS:
            log.warning("shadow_samples_too_many", tag=tag, since=since, rows=len(marks))
        truncated = len(marks) >= MOST_ROWS
        seen = until if not truncated else marks[-1]
        share = coverage(marks, map(bool, fine), since, seen) * (seen - since) / (until - since)
        return Signal(since, until, times, values, inside, share, truncated)

    async def judged(self, fault_ids: list[str]) -> dict[tuple[str, str], Judged]:
        """(fault, alarm) -> what was said."""
        rows = await self._pool.fetch(
            "SELECT * FROM shadow_judged WHERE fault = ANY($1::text[])", fault_ids
        )
        return {
            (row["fault"], row["alarm"]): Judged(
                row["fault_revision"], row["revision"], row["rows"], row["coverage"]
            )
            for row in rows
        }

    async def put_verdict(
        self, tx: Connection, /, fault: str, alarm: str, was: Judged | None, said: Judged, at: int
    ) -> bool:
        """Note a verdict; False if somebody has noted another one since it was `was`."""
        tag = await tx.execute(
            "INSERT INTO shadow_judged AS j (fault, alarm, fault_revision, revision, rows, "
            "coverage, at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (fault, alarm) "
            "DO UPDATE SET fault_revision = $3, revision = $4, rows = $5, coverage = $6, at = $7 "
            "WHERE j.revision = $8",
            fault, alarm, said.fault_revision, said.revision, said.rows, said.coverage, at,
            was.revision if was else -1,
        )  # fmt: skip
        return tag.endswith(" 1")

    async def forget(self, before_day: int, before: int) -> None:
        """Delete what was noted of days and faults long past; the faults themselves stay."""
        await self._pool.execute("DELETE FROM shadow_day WHERE day < $1", before_day)
        await self._pool.execute(
            "DELETE FROM shadow_judged j USING plant_fault f "
            "WHERE f.id = j.fault AND f.recorded_at < $1",
            before,
        )
        await self._pool.execute("DELETE FROM outcome_told WHERE at < $1", before)
