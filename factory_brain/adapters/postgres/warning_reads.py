"""What people and alarms have said of a line, as early warning labels windows by it.

Called by the sending, the commissioning and the judging; rows only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg

from factory_brain.domain.shadow import DAY_MS, HOUR_MS, line_of
from factory_brain.domain.warning import AFTER_MS, DRILLED_MS, Happened, Record, Span
from shared.site.assets import AssetTree

MOST, MOST_ALARMS = 5_000, 20_000
LONGEST_VERDICT_MS = 4 * HOUR_MS
"""A verdict on a warning speaks of its first windows, however long it stood."""
_FAULTS = (
    "SELECT id, asset, start, \"end\", 'true' AS label FROM plant_fault "
    f'WHERE NOT withdrawn AND "end" > $1 ORDER BY start, id LIMIT {MOST}'
)
_LONGEST_MS = 30 * DAY_MS
"""What was raised longer ago than this before a span is not looked for in it."""
_SAID = (
    "SELECT occurrence AS id, transition->>'asset' AS asset, raised_at AS start, "
    'coalesce(returned_at, $2) AS "end", label FROM occurrence '
    f"WHERE label IS NOT NULL AND label <> '' AND raised_at > $1 - {_LONGEST_MS} "
    f"AND (returned_at IS NULL OR returned_at > $1) ORDER BY raised_at LIMIT {MOST}"
)
_WARNINGS = (
    'SELECT occurrence AS id, line, since AS start, coalesce(returned_at, $2) AS "end", label, '
    f"least(coalesce(returned_at, label_at), since + {LONGEST_VERDICT_MS}) AS until "
    f"FROM early_warning WHERE since > $1 - {_LONGEST_MS} "
    f"AND (returned_at IS NULL OR returned_at > $1) AND line = $3 ORDER BY since LIMIT {MOST}"
)
_UNJUDGED = (
    "SELECT transition->>'asset' AS asset, raised_at, returned_at FROM occurrence "
    f"WHERE coalesce(label, '') = '' AND raised_at < $2 AND raised_at > $1 - {_LONGEST_MS} "
    f"AND (returned_at IS NULL OR returned_at > $1) ORDER BY raised_at LIMIT {MOST_ALARMS}"
)
_ALARMED = (
    "SELECT transition->>'asset' AS asset, raised_at, returned_at FROM occurrence "
    f"WHERE raised_at < $2 AND raised_at > $1 - {_LONGEST_MS} "
    f"AND (returned_at IS NULL OR returned_at > $1) ORDER BY raised_at LIMIT {MOST_ALARMS}"
)
_DRILLS = (
    "SELECT context->'alarm'->>'asset' AS asset, started_at, ended_at FROM run "
    "WHERE started_at < $2 AND (ended_at IS NULL OR ended_at > $1) "
    f"AND context->>'drill' = 'true' ORDER BY started_at LIMIT {MOST}"
)


class WarningReads:
    """Implements `Reads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def record(self, assets: AssetTree, line: str, since: int, now: int) -> Record:
        """Faults, judged occurrences and warnings, drills and what nobody has judged of a line.

        Of a span that begins `since`: what ended shortly before it reaches into it.
        """
        since -= AFTER_MS
        faults = await self._pool.fetch(_FAULTS, since)
        said = await self._pool.fetch(_SAID, since, now)
        warnings = await self._pool.fetch(_WARNINGS, since, now, line)
        judged = [row for row in warnings if row["label"]]
        unjudged = [(row["start"], row["end"]) for row in warnings if not row["label"]]
        for rows in (said, warnings):
            if len(rows) == MOST:  # what was not read may have been real
                unjudged.append((rows[-1]["start"], now))
        unjudged += await self._stood(_UNJUDGED, assets, line, since, now)
        return Record(
            tuple(_of(faults, assets, line)),
            # A warning's verdict speaks of its first hours; as an alarm it stood all its time.
            (*_of(said, assets, line), *(_whole(row, line, "end") for row in judged)),
            tuple(_whole(row, line, "until") for row in judged),
            tuple(await self.drills(assets, line, since, now)), tuple(unjudged),
        )  # fmt: skip

    async def alarmed(self, assets: AssetTree, line: str, since: int, until: int) -> list[Span]:
        """When alarms of a line stood; one that still stands does so to the end."""
        return await self._stood(_ALARMED, assets, line, since, until)

    async def _stood(
        self, query: str, assets: AssetTree, line: str, since: int, until: int
    ) -> list[Span]:
        rows = await self._pool.fetch(query, since, until)
        found = [
            (row["raised_at"], until if row["returned_at"] is None else row["returned_at"])
            for row in rows if line_of(assets, row["asset"] or "") == line
        ]  # fmt: skip
        if len(rows) == MOST_ALARMS:  # what was not read may have stood
            found.append((rows[-1]["raised_at"], until))
        return found

    async def drills(self, assets: AssetTree, line: str, since: int, until: int) -> list[Span]:
        """Drills of playbooks that ran for this line, or for none that they name.

        Those that reach into the span or into the time before it in which a drill still counts.
        """
        since -= DRILLED_MS
        rows = await self._pool.fetch(_DRILLS, since, until)
        found = [
            (row["started_at"], until if row["ended_at"] is None else row["ended_at"])
            for row in rows if not row["asset"] or line_of(assets, row["asset"]) == line
        ]  # fmt: skip
        if len(rows) == MOST:
            found.append((rows[-1]["started_at"], until))
        return found


def _of(rows: Iterable[Any], assets: AssetTree, line: str) -> Iterable[Happened]:
    for row in rows:
        if line_of(assets, row["asset"] or "") == line:
            yield Happened(row["id"], row["asset"], row["start"], row["end"], row["label"])


def _whole(row: Any, line: str, end: str) -> Happened:
    return Happened(row["id"], line, row["start"], row[end], row["label"])
