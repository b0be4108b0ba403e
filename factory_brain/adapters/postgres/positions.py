"""Positions for proofs: watermarks, gaps, quarantined events, counts of what is stored."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

NEWEST = 40
"""Epochs' lanes that are counted; of older ones the watermark says enough."""
COUNTED = 200_000
"""Lanes with more positions than this are not counted: it would walk over months of the journal."""
COUNT_S = 5.0
PROBE_S = 2.0
_FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class Positions:
    """Reads the receiver's tables; the probe of writing has connections of its own."""

    def __init__(self, pool: asyncpg.Pool, vital: asyncpg.Pool) -> None:
        self._pool, self._vital = pool, vital
        self._probe: asyncio.Future[bool] | None = None

    async def read(self) -> dict[str, Any]:
        """Everything that says whether something was lost, doubled or refused."""
        found = await self._pool.fetch(
            "SELECT source, epoch, lane, seq, quarantined FROM watermark "
            "ORDER BY updated_at DESC LIMIT 200"
        )
        watermarks: list[dict[str, Any]] = [{**dict(row), "events": None} for row in found]
        await self._count(watermarks)
        gaps = await self._pool.fetch("SELECT * FROM gap ORDER BY at DESC LIMIT 200")
        quarantined = await self._pool.fetch(
            "SELECT source, epoch, lane, seq, reason, at FROM quarantined "
            "ORDER BY id DESC LIMIT 200"
        )
        return {
            "watermarks": watermarks,
            "gaps": [dict(row) for row in gaps],
            "quarantined": [dict(row) for row in quarantined],
        }

    async def _count(self, watermarks: list[dict[str, Any]]) -> None:
        """Count what is stored of the newest lanes while there is time; null: not counted."""
        try:
            async with asyncio.timeout(COUNT_S):
                for row in watermarks[:NEWEST]:
                    if row["seq"] <= COUNTED:
                        row["events"] = await self._pool.fetchval(
                            "SELECT count(*) FROM event "
                            "WHERE source = $1 AND epoch = $2 AND lane = $3",
                            row["source"], row["epoch"], row["lane"],
                        )  # fmt: skip
        except TimeoutError:
            return  # the rest stays uncounted

    async def writable(self) -> bool:
        """Whether the database takes writes now; who asks while somebody does shares the answer."""
        if self._probe is None or self._probe.done():
            self._probe = asyncio.ensure_future(self._write())
        return await asyncio.shield(self._probe)

    async def _write(self) -> bool:
        try:
            async with self._vital.acquire(timeout=PROBE_S) as connection:
                await connection.execute(
                    "INSERT INTO system_condition (source, code, active, params, at) "
                    "VALUES ('brain', 'write_probe', false, '{}', 0) ON CONFLICT (source, code) "
                    "DO UPDATE SET at = system_condition.at + 1",
                    timeout=PROBE_S,
                )
        except _FAULTS:
            return False
        return True

    async def prune(self, before: int) -> None:
        """Delete digests of frames older than `before`."""
        await self._pool.execute("DELETE FROM frame_digest WHERE at < $1", before)
