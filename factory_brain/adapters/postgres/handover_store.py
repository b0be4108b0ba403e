"""Hand-over reports in PostgreSQL: written once, signed once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from factory_brain.application.handover import Handover

_COLUMNS = (
    "id, shift, next_shift, created_at, created_by, note, content, digest, counts, signed_at, "
    "signed_by, sign_note"
)


class HandoverStore:
    """Keeps what shifts have handed over."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection  # type: ignore[misc]

    async def insert(self, connection: asyncpg.Connection, report: Handover) -> None:
        """Keep a new one."""
        await connection.execute(
            f"INSERT INTO handover ({_COLUMNS}) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            report.id, report.shift, report.next_shift, report.created_at, report.created_by,
            report.note, report.content, report.digest, report.counts, report.signed_at,
            report.signed_by, report.sign_note,
        )  # fmt: skip

    async def get(self, report: str, tx: asyncpg.Connection | None = None) -> Handover | None:
        """One; locked if a transaction is given."""
        lock = " FOR UPDATE" if tx is not None else ""
        row = await (tx or self._pool).fetchrow(
            f"SELECT {_COLUMNS} FROM handover WHERE id = $1{lock}", report
        )
        return Handover(**row) if row else None

    async def sign(
        self, connection: asyncpg.Connection, report: str, by: str, note: str, at: int
    ) -> None:
        """Note who took it over."""
        await connection.execute(
            "UPDATE handover SET signed_by = $2, sign_note = $3, signed_at = $4 "
            "WHERE id = $1 AND signed_by IS NULL",
            report, by, note, at,
        )  # fmt: skip

    async def listed(self, limit: int, before: tuple[int, str] | None) -> list[Handover]:
        """Newest first, those before a position."""
        at, last = before or (1 << 62, "")
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM handover WHERE (created_at, id) < ($1, $2) "
            "ORDER BY created_at DESC, id DESC LIMIT $3",
            at, last, limit,
        )  # fmt: skip
        return [Handover(**row) for row in rows]
