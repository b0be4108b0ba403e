"""Summaries that outlive the raw rows: samples by minute and hour, alarms by day; retention.

Run by the brain's housekeeping. Samples are summarised where they were marked as new, from the raw
rows, so a late sample corrects its minute; running it twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import asyncpg

from factory_brain.adapters.postgres.partitions import (
    DAY_MS,
    EVENTS,
    HOURS,
    MINUTES,
    SAMPLES,
    Partitions,
)
from factory_brain.domain.lived_days import LEAP_MS, kept_since
from shared.postgres.pool import Connection
from shared.telemetry import logger

log = logger("rollups")
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
MARKS = 2000
"""Marks taken at a time."""
SETTLED_MS = 600_000
"""A day's journal counts as closed when this long has passed since its end."""
_COLUMNS = "tag_no, at, count, good, sum, min, max, last, last_at"
_KEEP = (
    "ON CONFLICT (tag_no, at) DO UPDATE SET count = excluded.count, good = excluded.good, "
    "sum = excluded.sum, min = excluded.min, max = excluded.max, last = excluded.last, "
    "last_at = excluded.last_at WHERE excluded.count >= {0}.count"
)
"""Never from fewer rows than before: raw ones may have been dropped since."""
_MINUTES = (
    f"INSERT INTO sample_minute ({_COLUMNS}) SELECT tag_no, at / {MINUTE_MS} * {MINUTE_MS}, "
    "count(*), count(value) FILTER (WHERE quality = 0), sum(value) FILTER (WHERE quality = 0), "
    "min(value) FILTER (WHERE quality = 0), max(value) FILTER (WHERE quality = 0), "
    "(array_agg(value ORDER BY at DESC))[1], max(at) FROM sample_raw "
    "WHERE tag_no = ANY($1::integer[]) AND at >= $2 AND at < $3 GROUP BY 1, 2 "
    + _KEEP.format("sample_minute")
)
_HOURS = (
    f"INSERT INTO sample_hour ({_COLUMNS}) SELECT tag_no, at / {HOUR_MS} * {HOUR_MS}, "
    "sum(count), sum(good), sum(sum), min(min), max(max), "
    "(array_agg(last ORDER BY at DESC))[1], max(last_at) FROM sample_minute "
    "WHERE tag_no = ANY($1::integer[]) AND at >= $2 AND at < $3 GROUP BY 1, 2 "
    + _KEEP.format("sample_hour")
)
_TAKE = (
    "DELETE FROM rollup_dirty WHERE id IN (SELECT id FROM rollup_dirty ORDER BY id LIMIT $1 "
    "FOR UPDATE SKIP LOCKED) RETURNING since, until, tags"
)
_ALARM_DAY = (
    "INSERT INTO alarm_day (received_day, alarm, day, raised, annunciated, returned, "
    f"acknowledged) SELECT $1, alarm, time / {DAY_MS}, "
    "count(*) FILTER (WHERE body->>'kind' = 'raised'), "
    "count(*) FILTER (WHERE body->>'annunciate' = 'true'), "
    "count(*) FILTER (WHERE body->>'kind' = 'returned'), "
    "count(*) FILTER (WHERE body->>'kind' = 'acknowledged') "
    "FROM event WHERE received_at >= $2 AND received_at < $3 AND alarm IS NOT NULL "
    "AND body->>'t' = 'alarm' GROUP BY 2, 3"
)


@dataclass(frozen=True, slots=True)
class Retention:
    """For how many days each kind of data is kept."""

    events: int = 400
    samples: int = 7
    minutes: int = 90
    hours: int = 1830


@dataclass(slots=True)
class _Span:
    since: int
    until: int
    tags: set[int] = field(default_factory=set)


class Rollups:
    """Summarises and forgets."""

    def __init__(self, pool: asyncpg.Pool, partitions: Partitions, keep: Retention) -> None:
        self._pool, self._partitions, self._keep = pool, partitions, keep

    async def samples(self) -> int:
        """Summarise what was marked; returns how many marks were taken."""
        taken = 0
        while True:
            async with self._pool.acquire() as connection, connection.transaction():
                marks = await connection.fetch(_TAKE, MARKS)
                for span in _spans((m["since"], m["until"], m["tags"]) for m in marks):
                    await self._summarise(connection, span)
            taken += len(marks)
            if len(marks) < MARKS:
                return taken

    async def _summarise(self, connection: Connection, span: _Span) -> None:
        tags, since, until = sorted(span.tags), span.since, span.until
        hours = (since // HOUR_MS * HOUR_MS, (until // HOUR_MS + 1) * HOUR_MS)
        for table in (MINUTES, HOURS):
            await self._partitions.ensure(table, range(hours[0], hours[1], HOUR_MS))
        minutes = (since // MINUTE_MS * MINUTE_MS, (until // MINUTE_MS + 1) * MINUTE_MS)
        await connection.execute(_MINUTES, tags, *minutes, timeout=300)
        await connection.execute(_HOURS, tags, *hours, timeout=300)

    async def alarm_days(self, now: int) -> int:
        """Count the alarms of closed days of the journal; returns how many days were new.

        Rows are kept by the day of receiving, so late ones add to their own day by themselves.
        """
        done = {
            row["received_day"]
            for row in await self._pool.fetch("SELECT received_day FROM alarm_day_done")
        }
        new = 0
        for start in await self._partitions.closed(EVENTS, now - SETTLED_MS):
            day = start // DAY_MS
            if day in done:
                continue
            async with self._pool.acquire() as connection, connection.transaction():
                tag = await connection.execute(
                    "INSERT INTO alarm_day_done (received_day) VALUES ($1) ON CONFLICT DO NOTHING",
                    day,
                )
                if tag.endswith(" 1"):
                    await connection.execute(_ALARM_DAY, day, start, start + DAY_MS, timeout=600)
                    new += 1
        return new

    async def forget(self, now: int) -> list[str]:
        """Drop the partitions that are past their days; summaries are made before."""
        keep, lived = self._keep, await self._lived(now)
        dropped: list[str] = []
        for table, days in (
            (EVENTS, keep.events),
            (SAMPLES, keep.samples),
            (MINUTES, keep.minutes),
            (HOURS, keep.hours),
        ):
            before = kept_since(lived, now, days * DAY_MS)
            dropped += await self._partitions.drop_before(table, before)
        return dropped

    async def before(self, now: int, days: int) -> int:
        """What is older than this is past its days; a leap of the clock makes nothing older."""
        return kept_since(await self._lived(now), now, days * DAY_MS)

    async def leapt(self, now: int) -> int:
        """By how many days the clock has leapt within the last week of running; none: 0."""
        return (now - LEAP_MS - kept_since(await self._lived(now), now, LEAP_MS)) // DAY_MS

    async def _lived(self, now: int) -> list[int]:
        """The journal's days up to now: one for each day on which a brain ran."""
        return await self._partitions.closed(EVENTS, now)


def _spans(marks: Iterable[tuple[int, int, list[int]]]) -> list[_Span]:
    """Marks joined where they touch, an hour at most: each row is read about once."""
    spans: list[_Span] = []
    for since, until, tags in sorted(marks, key=lambda mark: mark[:2]):
        near = spans[-1] if spans else None
        if (
            near is None
            or since > near.until + MINUTE_MS
            or max(until, near.until) - near.since > HOUR_MS
        ):
            near = _Span(since, until)
            spans.append(near)
        near.until = max(near.until, until)
        near.tags.update(tags)
    return spans
