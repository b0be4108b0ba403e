"""Linked devices in PostgreSQL: notices in order, presence, what devices said.

Called by the devices' service; a device's row numbers its notices, so that none is missed.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from factory_brain.application.links.ports import Notice
from shared.postgres.accounts import audit
from shared.postgres.pool import Connection

_NOTICE = "device, seq, id, body, expires_at, attempts, sent_at"


def _notice(row: asyncpg.Record) -> Notice:
    return Notice(
        row["device"], row["id"], row["body"], row["expires_at"], row["seq"], row["attempts"],
        row["sent_at"],
    )  # fmt: skip


class DeviceStore:
    """Rows of linked devices."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, tx: Connection | None, notices: list[Notice], now: int) -> None:
        """Number and keep notices; known ones stay as they are."""
        if tx is not None:
            await self._put(tx, notices, now)
            return
        async with self._pool.acquire() as connection, connection.transaction():
            await self._put(connection, notices, now)

    async def _put(self, tx: Connection, notices: list[Notice], now: int) -> None:
        for notice in sorted(notices, key=lambda each: each.device):  # one order of locks
            seq: Any = await tx.fetchval(
                "INSERT INTO link_device AS d (device, seq, online) VALUES ($1, 1, false) "
                "ON CONFLICT (device) DO UPDATE SET seq = d.seq + 1 RETURNING seq",
                notice.device,
            )
            tag = await tx.execute(
                "INSERT INTO device_notice (device, seq, id, body, at, expires_at, status, "
                "attempts) VALUES ($1, $2, $3, $4, $5, $6, 'waiting', 0) ON CONFLICT DO NOTHING",
                notice.device, seq, notice.id, notice.body, now, notice.expires_at,
            )  # fmt: skip
            if tag.endswith(" 0"):
                await tx.execute(
                    "UPDATE link_device SET seq = seq - 1 WHERE device = $1", notice.device
                )

    async def order(self, notice: Notice, actor: str, now: int) -> None:
        """Keep a person's notice, with its audit entry."""
        async with self._pool.acquire() as connection, connection.transaction():
            await self._put(connection, [notice], now)
            data = {"id": notice.id, "body": notice.body}
            await audit(connection, now, actor, "device_notice", notice.device, data)

    async def limit(self, device: str, most: int, now: int) -> int:
        """Drop the oldest beyond `most`, with a record; how many."""
        tag = await self._pool.execute(
            "UPDATE device_notice SET status = 'dropped', ended_at = $3 WHERE device = $1 "
            "AND status = 'waiting' AND seq <= (SELECT seq FROM device_notice WHERE device = $1 "
            "AND status = 'waiting' ORDER BY seq DESC OFFSET $2 LIMIT 1)",
            device, most, now,
        )  # fmt: skip
        return int(tag.split()[-1])

    async def oldest(self, device: str, now: int) -> Notice | None:
        """The oldest that waits; those whose time is over are ended first, with a record."""
        await self._pool.execute(
            "UPDATE device_notice SET status = 'expired', ended_at = $2 "
            "WHERE device = $1 AND status = 'waiting' AND expires_at <= $2",
            device, now,
        )  # fmt: skip
        row = await self._pool.fetchrow(
            f"SELECT {_NOTICE} FROM device_notice WHERE device = $1 AND status = 'waiting' "
            "ORDER BY seq LIMIT 1",
            device,
        )
        return _notice(row) if row else None

    async def sent(self, notice: Notice, now: int) -> None:
        """It was handed to the broker."""
        await self._pool.execute(
            "UPDATE device_notice SET attempts = attempts + 1, sent_at = $3 "
            "WHERE device = $1 AND seq = $2 AND status = 'waiting'",
            notice.device, notice.seq, now,
        )  # fmt: skip

    async def acknowledged(
        self, device: str, notice: str, answer: dict[str, Any], now: int
    ) -> bool:
        """The device has it; False if that is known, or it never was the device's."""
        tag = await self._pool.execute(
            "UPDATE device_notice SET status = 'acknowledged', ended_at = $4, answer = $3 "
            "WHERE device = $1 AND id = $2 AND status = 'waiting'",
            device, notice, answer, now,
        )  # fmt: skip
        return tag.endswith(" 1")

    async def presence(self, device: str, online: bool, now: int) -> None:
        """Whether it is there."""
        await self._pool.execute(
            "INSERT INTO link_device (device, seq, online, seen_at) VALUES ($1, 0, $2, $3) "
            "ON CONFLICT (device) DO UPDATE SET online = $2, seen_at = $3",
            device, online, now,
        )  # fmt: skip

    async def said(self, device: str, message: str) -> dict[str, Any] | None:
        """The answer to what a device said."""
        return await self._pool.fetchval(
            "SELECT answer FROM device_said WHERE device = $1 AND id = $2", device, message
        )

    async def keep_answer(self, device: str, message: str, answer: Any, now: int) -> None:
        """Keep the answer to what a device said."""
        await self._pool.execute(
            "INSERT INTO device_said (device, id, answer, at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT DO NOTHING",
            device, message, answer, now,
        )  # fmt: skip

    async def overview(self) -> dict[str, dict[str, Any]]:
        """Counts and presence of each."""
        found = {
            row["device"]: dict(row) for row in await self._pool.fetch("SELECT * FROM link_device")
        }
        rows = await self._pool.fetch(
            "SELECT device, status, count(*) AS number, min(at) AS oldest FROM device_notice "
            "GROUP BY 1, 2"
        )
        for row in rows:
            entry = found.setdefault(row["device"], {})
            entry[row["status"]] = row["number"]
            if row["status"] == "waiting":
                entry["oldest"] = row["oldest"]
        return found

    async def list(
        self, device: str, status: str | None, before: int | None, limit: int
    ) -> list[dict[str, Any]]:
        """Notices of a device, newest first."""
        rows = await self._pool.fetch(
            "SELECT seq, id, body, at, expires_at, status, attempts, sent_at, ended_at, answer "
            "FROM device_notice WHERE device = $1 AND ($2::text IS NULL OR status = $2) "
            "AND ($3::bigint IS NULL OR seq < $3) ORDER BY seq DESC LIMIT $4",
            device, status, before, limit,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def prune(self, before: int) -> None:
        """Forget what ended long ago."""
        await self._pool.execute(
            "DELETE FROM device_notice WHERE status <> 'waiting' AND ended_at < $1", before
        )
        await self._pool.execute("DELETE FROM device_said WHERE at < $1", before)
