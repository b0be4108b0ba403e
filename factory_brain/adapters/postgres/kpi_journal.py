"""The alarm journal as the figures read it: transitions of a period, and what led up to it.

Called by the live figures, the period figures and the export, so that all three see the same
rows in the same order. Reads only.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
import msgspec

from factory_brain.domain.kpi_rows import EVERYTHING, Entry, Scope
from shared.alarm.kpi.limits import KpiLimits
from shared.alarm.kpi.records import Record, kind_of

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PAGE, FEW = 2000, 500
"""Rows that are read at once at most; after fewer than `FEW` the next slice is longer."""
SKEW_MS = 86_400_000
"""How far an edge's clock may run ahead of its events' arrival and the rows still be found."""
_COLUMNS = "e.time, e.source, e.seq, e.occurrence, e.body::text AS body"
_ORDER = " ORDER BY e.time, e.source, e.epoch, e.lane, e.seq"
_PERIOD = (
    f"SELECT {_COLUMNS} FROM event e WHERE e.time >= $1 AND e.time < $2 "
    "AND e.received_at >= $3 AND e.alarm IS NOT NULL AND ($4::text[] IS NULL OR e.alarm = ANY($4)) "
    "AND ($5::text IS NULL OR e.source = $5)" + _ORDER
)
_OVERLAPPING = (
    "SELECT occurrence FROM occurrence WHERE open AND raised_at < $1 UNION "
    "SELECT occurrence FROM occurrence WHERE returned_at >= $1 AND raised_at < $1"
)
_BEFORE = (
    f"SELECT {_COLUMNS} FROM event e WHERE e.occurrence = ANY($1) AND e.time < $2 "
    "AND ($3::text[] IS NULL OR e.alarm = ANY($3)) AND ($4::text IS NULL OR e.source = $4)" + _ORDER
)
_TOUCHED = (
    "SELECT ((time + $1::bigint) / $2::bigint) * $2::bigint AS bin, received_at / 10000 AS slot, "
    "count(*) AS n FROM event WHERE received_at >= $3 AND received_at < $4 AND alarm IS NOT NULL "
    "AND time >= $5::bigint - $1::bigint GROUP BY 1, 2"
)


class _Said(msgspec.Struct, frozen=True):
    """The few fields of a transition that the figures need."""

    t: str = ""
    alarm: str = ""
    kind: str = ""
    annunciate: bool = False
    state: dict[str, Any] = {}
    priority: int = 0
    tag: str = ""
    side: str = ""
    version: int = 0
    raised_at: int = 0


_said = msgspec.json.Decoder(_Said).decode


class KpiJournal:
    """Reads transitions by their own time."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def entries(
        self, since: int, until: int, limits: KpiLimits, scope: Scope = EVERYTHING
    ) -> AsyncIterator[list[Entry]]:
        """What lies in `[since, until)` by rounded time, in order, in batches."""
        half = limits.resolution_ms // 2
        low, high = since - half, until - half
        alarms = None if scope.alarms is None else sorted(scope.alarms)
        at, span = low, HOUR_MS
        while at < high:
            # Slice by slice: no connection is held while somebody reads slowly, and a storm's
            # slice is read in pages, each ending where a millisecond ends.
            end, began = min(at + span, high), at
            asked = (at - SKEW_MS, alarms, scope.source)
            rows = await self._pool.fetch(_PERIOD + " LIMIT $6", at, end, *asked, PAGE)
            if len(rows) < PAGE:
                at = end
                span = min(span * 2, DAY_MS) if len(rows) < FEW else span
            elif rows[0]["time"] == rows[-1]["time"]:
                at = rows[0]["time"] + 1
                rows = await self._pool.fetch(_PERIOD, at - 1, at, *asked)
            else:
                at = rows[-1]["time"]
                rows = [row for row in rows if row["time"] < at]
                span = max(1000, 2 * (at - began))
            if found := _in_order(rows, limits):
                yield found

    async def before(self, since: int, limits: KpiLimits, scope: Scope = EVERYTHING) -> list[Entry]:
        """The past of the occurrences that reach into a period: tells what stands at its start."""
        names = [row["occurrence"] for row in await self._pool.fetch(_OVERLAPPING, since)]
        if not names:
            return []
        alarms = None if scope.alarms is None else sorted(scope.alarms)
        half = limits.resolution_ms // 2
        rows = await self._pool.fetch(_BEFORE, names, since - half, alarms, scope.source)
        return _in_order(rows, limits)

    async def touched(
        self, received_since: int, received_until: int, oldest: int, limits: KpiLimits
    ) -> dict[tuple[int, int], int]:
        """How much came in that time, by (interval of its own time, ten seconds of arrival)."""
        since = received_since // 10_000 * 10_000
        rows = await self._pool.fetch(
            _TOUCHED, limits.resolution_ms // 2, limits.window_ms, since, received_until, oldest
        )
        return {(row["bin"], row["slot"]): row["n"] for row in rows}


def _in_order(rows: Iterable[asyncpg.Record], limits: KpiLimits) -> list[Entry]:
    """Of one millisecond, an occurrence's changes in the order in which the edge made them."""
    held = [entry for row in rows if (entry := _entry(row, limits)) is not None]
    return [each[3] for each in sorted(held, key=lambda e: (e[3].time, e[0], e[1], e[2]))]


def _entry(row: asyncpg.Record, limits: KpiLimits) -> tuple[int, int, int, Entry] | None:
    try:
        said = _said(row["body"])
    except msgspec.ValidationError:
        return None  # of a version that this one does not know
    kind = kind_of(said.kind, said.annunciate, said.state) if said.t == "alarm" else None
    if kind is None:
        return None
    time = limits.rounded(row["time"] * 1_000_000)
    record = Record(time, said.alarm, kind, str(said.priority))
    entry = Entry(
        row["time"], record, said.tag or said.alarm, said.side or "ALARM", row["source"],
        row["occurrence"] or "",
    )  # fmt: skip
    return said.raised_at, said.version, row["seq"], entry
