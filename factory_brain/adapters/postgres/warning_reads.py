"""What people and alarms have said of a line, as early warning labels windows by it.

Called by the sending, the commissioning and the judging; rows only.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import asyncpg

from factory_brain.domain.shadow import DAY_MS, HOUR_MS, line_of
from factory_brain.domain.warning import Happened, Record, Span
from shared.site.assets import AssetTree

MOST, MOST_ALARMS = 5_000, 20_000
LONGEST_VERDICT_MS = 4 * HOUR_MS
"""A verdict on a warning speaks of its first windows, however long it stood."""
_FAULTS = (
    "SELECT id, asset, start, \"end\", 'true' AS label FROM plant_fault "
    f'WHERE NOT withdrawn AND "end" > $1 ORDER BY start, id LIMIT {MOST}'
)
_SAID = (
    "SELECT occurrence AS id, transition->>'asset' AS asset, raised_at AS start, "
    'coalesce(returned_at, raised_at) AS "end", label FROM occurrence '
    f"WHERE label IS NOT NULL AND label <> '' AND raised_at >= $1 ORDER BY raised_at LIMIT {MOST}"
)
_VERDICTS = (
    "SELECT occurrence AS id, line, since AS start, "
    f'least(coalesce(returned_at, label_at), since + {LONGEST_VERDICT_MS}) AS "end", label '
    f"FROM early_warning WHERE label <> '' AND since >= $1 AND line = $2 ORDER BY since "
    f"LIMIT {MOST}"
)
_ALARMED = (
    "SELECT transition->>'asset' AS asset, raised_at, returned_at FROM occurrence "
    f"WHERE raised_at < $2 AND raised_at > $1 - {30 * DAY_MS} "
    f"AND (returned_at IS NULL OR returned_at > $1) ORDER BY raised_at LIMIT {MOST_ALARMS}"
)
_DRILLS = "SELECT context FROM run WHERE ended_at IS NULL AND context->>'drill' = 'true' LIMIT 100"


class WarningReads:
    """Implements `Reads`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def record(self, assets: AssetTree, line: str, since: int) -> Record:
        """Faults, judged occurrences and judged warnings of a line."""
        faults = await self._pool.fetch(_FAULTS, since)
        said = await self._pool.fetch(_SAID, since)
        verdicts = await self._pool.fetch(_VERDICTS, since, line)
        return Record(
            tuple(_of(faults, assets, line)), tuple(_of(said, assets, line)),
            tuple(
                Happened(row["id"], line, row["start"], row["end"], row["label"])
                for row in verdicts
            ),
        )  # fmt: skip

    async def alarmed(self, assets: AssetTree, line: str, since: int, until: int) -> list[Span]:
        """When alarms of a line stood; one that still stands does so to the end."""
        rows = await self._pool.fetch(_ALARMED, since, until)
        found = [
            (row["raised_at"], until if row["returned_at"] is None else row["returned_at"])
            for row in rows if line_of(assets, row["asset"] or "") == line
        ]  # fmt: skip
        if len(rows) == MOST_ALARMS:  # what was not read may have stood
            found.append((rows[-1]["raised_at"], until))
        return found

    async def drilling(self, assets: AssetTree, line: str) -> bool:
        """Whether a drill of a playbook runs for this line, or for none that it names."""
        rows = await self._pool.fetch(_DRILLS)
        drilled = [str((row["context"].get("alarm") or {}).get("asset") or "") for row in rows]
        return any(not asset or line_of(assets, asset) == line for asset in drilled)


def _of(rows: Iterable[Any], assets: AssetTree, line: str) -> Iterable[Happened]:
    for row in rows:
        if line_of(assets, row["asset"] or "") == line:
            yield Happened(row["id"], row["asset"], row["start"], row["end"], row["label"])
