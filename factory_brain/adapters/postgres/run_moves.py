"""Runs that are moved to another version, in PostgreSQL: taken from their owner by the fence."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from factory_brain.application.playbooks.ports import RunRecord
from shared.playbook.journal import Record
from shared.playbook.loader import Loaded
from shared.postgres.pool import Connection
from shared.redaction import clean

_NAMES = tuple(RunRecord.__dataclass_fields__)


def _record(row: asyncpg.Record | None) -> RunRecord | None:
    return None if row is None else RunRecord(**{name: row[name] for name in _NAMES})


class RunMoves:
    """Implements authoring's `MigrationStore`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection

    async def locked(self, tx: Connection, run: str) -> RunRecord | None:
        """A run that nobody writes before `tx` ends."""
        return _record(await tx.fetchrow("SELECT * FROM run WHERE id = $1 FOR UPDATE", run))

    async def seen(self, tx: Connection, run: str) -> RunRecord | None:
        """A run as it is at this moment."""
        return _record(await tx.fetchrow("SELECT * FROM run WHERE id = $1", run))

    async def journal(self, tx: Connection, run: str) -> dict[str, Record]:
        """The newest entry of each path."""
        rows = await tx.fetch(
            "SELECT path, phase, attempt, data, at, n FROM journal WHERE run = $1 ORDER BY n", run
        )
        return {
            row["path"]: Record(row["phase"], row["at"], row["data"], row["attempt"])
            for row in rows
        }

    async def document(self, tx: Connection, digest: str) -> Any:
        """A released document."""
        return await tx.fetchval("SELECT document FROM playbook_version WHERE digest = $1", digest)

    async def move(
        self, tx: Connection, run: str, target: Loaded, context: Mapping[str, Any],
        deadline_at: int, now: int,
    ) -> None:  # fmt: skip
        """Let the run go on with another document, free for whoever claims it."""
        book = target.playbook
        document = book.model_dump(mode="json", by_alias=True, exclude_unset=True)
        await tx.execute(
            "INSERT INTO playbook_version (digest, playbook, version, semantics, document, at) "
            "VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING",
            target.digest, book.playbook, book.version, document, now,
        )  # fmt: skip
        # The fence is raised: what the last owner still writes for the old text is void.
        await tx.execute(
            "UPDATE run SET digest = $2, version = $3, context = $4, deadline_at = $5, "
            "fence = fence + 1, owner = NULL, lease_until = 0, news = news + 1, "
            "wake_at = least(wake_at, $6) WHERE id = $1",
            run, target.digest, book.version, clean(dict(context)), deadline_at, now,
        )  # fmt: skip
