"""Attachments in PostgreSQL; a deleted one keeps its row and hash, not its content."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from factory_brain.application.attachments import Stored, Subject

_COLUMNS = "id, occurrence, incident, name, media_type, size, sha256, by, at"


class AttachmentStore:
    """Keeps files."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[asyncpg.Connection]:
        """A transaction that commits at the end of the block."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection  # type: ignore[misc]

    async def exists(self, connection: asyncpg.Connection, subject: Subject) -> bool:
        """Whether there is such an occurrence or incident; one upload to it at a time."""
        if subject.occurrence is not None:
            query, name = "SELECT 1 FROM occurrence WHERE occurrence = $1", subject.occurrence
        else:
            query, name = "SELECT 1 FROM incident WHERE id = $1", subject.incident
        if not await connection.fetchval(query, name):
            return False
        await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))", name)
        return True

    async def incident_asset(self, incident: str) -> str | None:
        """Where an incident is; None if there is none."""
        return await self._pool.fetchval("SELECT asset FROM incident WHERE id = $1", incident)

    async def count(self, connection: asyncpg.Connection, subject: Subject) -> int:
        """How many files a subject has."""
        found = await connection.fetchval(
            "SELECT count(*) FROM attachment WHERE deleted_at IS NULL AND "
            "(occurrence = $1 OR incident = $2)",
            subject.occurrence, subject.incident,
        )  # fmt: skip
        return found or 0

    async def insert(self, connection: asyncpg.Connection, stored: Stored, content: bytes) -> None:
        """Keep one."""
        await connection.execute(
            f"INSERT INTO attachment ({_COLUMNS}, content) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            stored.id, stored.occurrence, stored.incident, stored.name, stored.media_type,
            stored.size, stored.sha256, stored.by, stored.at, content,
        )  # fmt: skip

    async def listed(self, subject: Subject) -> list[Stored]:
        """A subject's files, oldest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM attachment WHERE deleted_at IS NULL AND "
            "(occurrence = $1 OR incident = $2) ORDER BY at, id",
            subject.occurrence, subject.incident,
        )  # fmt: skip
        return [Stored(**row) for row in rows]

    async def get(self, attachment: str) -> tuple[Stored, bytes] | None:
        """One with its content."""
        row = await self._pool.fetchrow(
            f"SELECT {_COLUMNS}, content FROM attachment WHERE id = $1 AND deleted_at IS NULL",
            attachment,
        )
        if row is None:
            return None
        fields = dict(row)
        content = fields.pop("content")
        return Stored(**fields), content

    async def remove(
        self, connection: asyncpg.Connection, attachment: str, by: str, at: int
    ) -> Stored | None:
        """Forget the content; the row stays."""
        row = await connection.fetchrow(
            "UPDATE attachment SET deleted_by = $2, deleted_at = $3, content = NULL "
            f"WHERE id = $1 AND deleted_at IS NULL RETURNING {_COLUMNS}",
            attachment, by, at,
        )  # fmt: skip
        return Stored(**row) if row else None
