"""Positions for proofs: watermarks, gaps, quarantined events, counts of what is stored."""

from __future__ import annotations

from typing import Any

import asyncpg


class Positions:
    """Reads the receiver's tables."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def read(self) -> dict[str, Any]:
        """Everything that says whether something was lost, doubled or refused."""
        watermarks = await self._pool.fetch(
            "SELECT w.source, w.epoch, w.lane, w.seq, w.quarantined, "
            "(SELECT count(*) FROM event e WHERE e.source = w.source AND e.epoch = w.epoch "
            "AND e.lane = w.lane) AS events FROM watermark w ORDER BY w.updated_at DESC LIMIT 200"
        )
        gaps = await self._pool.fetch("SELECT * FROM gap ORDER BY at DESC LIMIT 200")
        quarantined = await self._pool.fetch(
            "SELECT source, epoch, lane, seq, reason, at FROM quarantined "
            "ORDER BY id DESC LIMIT 200"
        )
        return {
            "watermarks": [dict(row) for row in watermarks],
            "gaps": [dict(row) for row in gaps],
            "quarantined": [dict(row) for row in quarantined],
        }

    async def writable(self) -> bool:
        """Whether the database takes writes now."""
        try:
            await self._pool.execute(
                "INSERT INTO system_condition (source, code, active, params, at) "
                "VALUES ('brain', 'write_probe', false, '{}', 0) ON CONFLICT (source, code) "
                "DO UPDATE SET at = system_condition.at + 1",
                timeout=2,
            )
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        return True

    async def prune(self, before: int) -> None:
        """Delete digests of frames older than `before`."""
        await self._pool.execute("DELETE FROM frame_digest WHERE at < $1", before)
