"""Passages, genealogy and what stood meanwhile, by index; outside any lock. Writes nothing."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from factory_brain.application.units.ports import Active, BatchStay, Passage, Relation, Wanted
from factory_brain.domain.units.spans import FAR, Limits, Span

HOUR_MS = 3_600_000
_FIELDS = "unit, station, asset, entered_at, left_at, batch, source, attributes, reported_at"
_OF = ", ".join(f"p.{name}" for name in _FIELDS.split(", "))
_MATCH = (
    "($4::text[] IS NULL OR p.station = ANY($4)) AND ($5::text IS NULL OR p.batch = $5) "
    "AND ($6::text IS NULL OR p.unit = $6)"
)
_AFTER = "(p.entered_at, p.station, p.unit) > ($1::bigint, $2::text, $3::text)"
# OFFSET 0: span by span through the index of stays, whatever the planner thinks of many spans.
_DURING = (
    f"SELECT DISTINCT {_OF} FROM unnest($7::bigint[], $8::bigint[]) AS w (since, until), LATERAL "
    "(SELECT * FROM unit_passage s WHERE int8range(s.entered_at, s.left_at, '[]') "
    "&& int8range(w.since, w.until, '[)') OFFSET 0) p "
    f"WHERE {_MATCH} AND {_AFTER} ORDER BY p.entered_at, p.station, p.unit LIMIT $9"
)
_LISTED = (
    f"SELECT {_OF} FROM unit_passage p WHERE p.entered_at >= $7 AND p.entered_at < $8 "
    f"AND {_MATCH} AND {_AFTER} ORDER BY p.entered_at, p.station, p.unit LIMIT $9"
)
_BATCH = (
    "SELECT station, count(DISTINCT unit) AS units, min(entered_at) AS first_at, "
    "CASE WHEN bool_or(left_at IS NULL) THEN NULL ELSE max(left_at) END AS last_at "
    "FROM unit_passage WHERE batch = $1 GROUP BY station ORDER BY min(entered_at), station"
)
_RELATED = (
    "WITH RECURSIVE up (parent, child, kind, at, station, source, depth) AS ("
    "SELECT r.*, 1 FROM unit_relation r WHERE r.child = $1 UNION "
    "SELECT r.*, up.depth + 1 FROM unit_relation r JOIN up ON r.child = up.parent "
    "WHERE up.depth < 16), "
    "down (parent, child, kind, at, station, source, depth) AS ("
    "SELECT r.*, 1 FROM unit_relation r WHERE r.parent = $1 UNION "
    "SELECT r.*, down.depth + 1 FROM unit_relation r JOIN down ON r.parent = down.child "
    "WHERE down.depth < 16) "
    "SELECT DISTINCT parent, child, kind, at, station, source FROM (SELECT * FROM up UNION ALL "
    "SELECT * FROM down) both_ways ORDER BY at, parent, child LIMIT 1000"
)
# An alarm stands once at a time: before a period only its newest can reach into it.
_STOOD = (
    "SELECT DISTINCT ON (o.raised_at, o.occurrence) o.occurrence, o.alarm, o.edge, o.raised_at, "
    "o.returned_at, (o.transition->>'clock_uncertainty_ms')::float8 AS unsure, "
    "(o.transition->>'clock_offset_ms')::float8 AS clock "
    "FROM unnest($1::text[]) AS a (alarm), LATERAL ("
    "(SELECT * FROM occurrence WHERE alarm = a.alarm AND raised_at >= $2 AND raised_at <= $3) "
    "UNION ALL (SELECT * FROM occurrence WHERE alarm = a.alarm AND raised_at < $2 "
    "ORDER BY raised_at DESC LIMIT 5)) o "
    "WHERE o.returned_at IS NULL OR o.returned_at >= $2 ORDER BY o.raised_at, o.occurrence "
    "LIMIT 5000"
)
# Neighbouring minutes are one stretch: less their number they are all the same.
_OUT = (
    "SELECT min(at), max(at) + 60000 FROM (SELECT at, at / 60000 - row_number() OVER (ORDER BY at) "
    "AS stretch FROM sample_minute WHERE tag_no = (SELECT no FROM tag_name WHERE tag = $1) "
    "AND at >= $4 AND at < $5 AND (max > $3::float8 OR min < $2::float8)) m "
    "GROUP BY stretch ORDER BY 1 LIMIT $6"
)
_FRESH = (
    "SELECT coalesce((SELECT max(at) FROM sample_minute WHERE tag_no = t.no), "
    "(SELECT min(at) FROM sample_raw WHERE tag_no = t.no)) FROM tag_name t WHERE t.tag = $1"
)
_SAMPLES = (
    "SELECT at, CASE WHEN quality = 0 THEN value END AS value FROM sample_raw WHERE tag_no = "
    "(SELECT no FROM tag_name WHERE tag = $1) AND at >= $2 AND at < $3 ORDER BY at LIMIT $4"
)


def _passage(row: asyncpg.Record) -> Passage:
    return Passage(*(row[name] for name in _FIELDS.split(", ")))


class UnitReadsPg:
    """Implements `UnitReads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def during(
        self, spans: Sequence[Span], wanted: Wanted, after: tuple[int, str, str] | None, limit: int
    ) -> list[Passage]:
        """Stays that overlap any of the spans, widened by how unsure they are."""
        rows = await self._pool.fetch(
            _DURING, *(after or (-1, "", "")),
            *self._match(wanted), [span.start - span.unsure for span in spans],
            [span.end + span.unsure for span in spans], limit,
        )  # fmt: skip
        return [_passage(row) for row in rows]

    async def listed(
        self, wanted: Wanted, after: tuple[int, str, str] | None, limit: int
    ) -> list[Passage]:
        """Stays that begin in the period."""
        rows = await self._pool.fetch(
            _LISTED, *(after or (-1, "", "")), *self._match(wanted), wanted.since, wanted.until,
            limit,
        )  # fmt: skip
        return [_passage(row) for row in rows]

    def _match(self, wanted: Wanted) -> tuple[list[str] | None, str | None, str | None]:
        stations = None if wanted.stations is None else list(wanted.stations)
        return stations, wanted.batch, wanted.unit

    async def of_unit(self, unit: str, limit: int) -> list[Passage]:
        """A unit's whole way."""
        rows = await self._pool.fetch(
            f"SELECT {_FIELDS} FROM unit_passage WHERE unit = $1 ORDER BY entered_at, station "
            "LIMIT $2", unit, limit,
        )  # fmt: skip
        return [_passage(row) for row in rows]

    async def of_batch(self, batch: str) -> list[BatchStay]:
        """Where a batch was, by station."""
        if not batch:
            return []
        return [BatchStay(*row.values()) for row in await self._pool.fetch(_BATCH, batch)]

    async def relations(self, unit: str) -> list[Relation]:
        """The genealogy of a unit, up and down."""
        return [Relation(*row.values()) for row in await self._pool.fetch(_RELATED, unit)]

    async def occurrences(self, alarms: Sequence[str], since: int, until: int) -> list[Active]:
        """Occurrences of these alarms that stood at some moment in [since, until]."""
        rows = await self._pool.fetch(_STOOD, list(alarms), since, until)
        return [
            Active(
                row["occurrence"], row["alarm"], row["edge"], row["raised_at"], row["returned_at"],
                None if row["unsure"] is None else round(row["unsure"]), round(row["clock"] or 0),
            )
            for row in rows
        ]  # fmt: skip

    async def minutes_out(
        self, tag: str, limits: Limits, since: int, until: int, most: int
    ) -> tuple[list[tuple[int, int]], int | None]:
        """(stretches that hold samples out of limits, from when on nothing is rolled up yet)."""
        rows = await self._pool.fetch(
            _OUT, tag, limits.below, limits.above, since - HOUR_MS, until, most
        )
        fresh = await self._pool.fetchval(_FRESH, tag)
        return [(row[0], row[1]) for row in rows], fresh

    async def samples(
        self, tag: str, since: int, until: int, limit: int
    ) -> tuple[list[tuple[int, float | None]], bool]:
        """(samples of [since, until), whether there are more than `limit` of them)."""
        rows = await self._pool.fetch(_SAMPLES, tag, since, until, limit + 1)
        more = len(rows) > limit
        if not more:
            rows = [*rows, *await self._pool.fetch(_SAMPLES, tag, until, FAR, 1)]
        return [(row["at"], row["value"]) for row in rows[: None if not more else limit]], more
