"""The historian as early warning reads it: each tag's mean of each minute, from its summaries.

Called by the sending, the commissioning and the judging, one tag at a time; it writes nothing. The
summaries outlive the samples, so a plant's commissioning is still there when models come.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

import asyncpg

from factory_brain.application.warning.ports import Minutes

MINUTE_MS = 60_000
HOLD_MIN = 2
"""An edge repeats an unchanged value every minute: it stands for so many more, then is a hole."""
_NO = "SELECT no FROM tag_name WHERE tag = $1"
_MEANS = (
    "SELECT at, CASE WHEN good > 0 AND good * 2 >= count THEN sum / good END AS value "
    "FROM sample_minute WHERE tag_no = $1 AND at >= $2 AND at < $3 ORDER BY at"
)
_OLDEST = (
    "SELECT (SELECT min(s.at) FROM sample_minute s WHERE s.tag_no = t.no) AS at "
    "FROM tag_name t WHERE t.tag = ANY($1::text[])"
)


class WarningSamples:
    """Implements `Samples`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def minutes(self, tags: Sequence[str], since: int, count: int) -> Minutes:
        """`count` minutes from `since` on; a minute of mostly bad values is a hole."""
        columns = [await self._column(tag, since, count) for tag in tags]
        return Minutes(since, count, tuple(columns))

    async def _column(self, tag: str, since: int, count: int) -> array[float]:
        values = array("d", [float("nan")]) * count
        number = await self._pool.fetchval(_NO, tag)
        if number is None:
            return values
        rows = await self._pool.fetch(
            _MEANS, number, since - HOLD_MIN * MINUTE_MS, since + count * MINUTE_MS
        )
        for place, row in enumerate(rows):
            if row["value"] is None:
                continue
            first = (row["at"] - since) // MINUTE_MS
            after = first + 1 + HOLD_MIN
            if place + 1 < len(rows):
                after = min(after, (rows[place + 1]["at"] - since) // MINUTE_MS)
            for minute in range(max(0, first), min(count, after)):
                values[minute] = row["value"]
        return values

    async def oldest(self, tags: Sequence[str]) -> int | None:
        """When the youngest beginning of these tags' stored histories is; None: one has none."""
        rows = await self._pool.fetch(_OLDEST, list(tags))
        found = [row["at"] for row in rows if row["at"] is not None]
        return max(found) if len(found) == len(tags) else None
