"""Released playbooks in PostgreSQL, what is withdrawn, inputs that people set.

One release at a time over all brains; what is in is never changed (the database refuses).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from factory_brain.application.playbooks.authoring.ports import (
    GivenInput,
    Release,
    RunFigures,
    Withdrawn,
)
from shared.postgres.pool import Connection

LOCK = 0x9E1EA5E
"""The advisory lock of all that releases."""
_FIELDS = tuple(Release.__dataclass_fields__)
_COLUMNS = ", ".join(_FIELDS)
_FIGURES = (
    "SELECT p.playbook, (SELECT count(*) FROM run r WHERE r.playbook = p.playbook "
    "AND r.ended_at IS NULL) AS live, l.id AS last_run, l.status AS last_status, "
    "l.started_at AS last_at FROM (SELECT DISTINCT playbook FROM playbook_release) p "
    "LEFT JOIN LATERAL (SELECT id, status, started_at FROM run WHERE playbook = p.playbook "
    "ORDER BY started_at DESC LIMIT 1) l ON true"
)


def _release(row: asyncpg.Record) -> Release:
    return Release(**{name: row[name] for name in _FIELDS})


class PgReleaseStore:
    """Implements authoring's `ReleaseStore`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction in which nobody else releases, in any brain."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK)
            yield connection

    async def add(self, tx: Connection, release: Release) -> None:
        """Keep a release."""
        places = ", ".join(f"${n + 1}" for n in range(len(_FIELDS)))
        await tx.execute(
            f"INSERT INTO playbook_release ({_COLUMNS}) VALUES ({places})",
            *(getattr(release, name) for name in _FIELDS),
        )

    async def get(
        self, playbook: str, version: int, tx: Connection | None = None
    ) -> Release | None:
        """One release."""
        row = await (tx or self._pool).fetchrow(
            f"SELECT {_COLUMNS} FROM playbook_release WHERE playbook = $1 AND version = $2",
            playbook, version,
        )  # fmt: skip
        return None if row is None else _release(row)

    async def newest(self, playbook: str, tx: Connection | None = None) -> Release | None:
        """The release with the highest version."""
        row = await (tx or self._pool).fetchrow(
            f"SELECT {_COLUMNS} FROM playbook_release WHERE playbook = $1 "
            "ORDER BY version DESC LIMIT 1",
            playbook,
        )
        return None if row is None else _release(row)

    async def below(self, playbook: str, version: int, tx: Connection) -> Release | None:
        """The release with the highest version below this one."""
        row = await tx.fetchrow(
            f"SELECT {_COLUMNS} FROM playbook_release WHERE playbook = $1 AND version < $2 "
            "ORDER BY version DESC LIMIT 1",
            playbook, version,
        )  # fmt: skip
        return None if row is None else _release(row)

    async def newest_of_all(self) -> list[Release]:
        """That of every playbook, by name."""
        rows = await self._pool.fetch(
            f"SELECT DISTINCT ON (playbook) {_COLUMNS} FROM playbook_release "
            "ORDER BY playbook, version DESC"
        )
        return [_release(row) for row in rows]

    async def versions(self, playbook: str, limit: int, before: int | None = None) -> list[Release]:
        """Newest first."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM playbook_release WHERE playbook = $1 AND version < $2 "
            "ORDER BY version DESC LIMIT $3",
            playbook, (1 << 31) - 1 if before is None else before, limit,
        )  # fmt: skip
        return [_release(row) for row in rows]

    async def withdrawn(self) -> dict[str, Withdrawn]:
        """What people said last about each playbook that they ever withdrew."""
        rows = await self._pool.fetch(
            "SELECT playbook, withdrawn, by, reason, at FROM playbook_withdrawn"
        )
        return {
            row["playbook"]: Withdrawn(row["withdrawn"], row["by"], row["reason"], row["at"])
            for row in rows
        }

    async def set_withdrawn(self, tx: Connection, playbook: str, said: Withdrawn) -> None:
        """Keep what somebody said."""
        await tx.execute(
            "INSERT INTO playbook_withdrawn (playbook, withdrawn, by, reason, at) "
            "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (playbook) DO UPDATE SET "
            "withdrawn = excluded.withdrawn, by = excluded.by, reason = excluded.reason, "
            "at = excluded.at",
            playbook, said.withdrawn, said.by, said.reason, said.at,
        )  # fmt: skip

    async def inputs(self) -> dict[str, dict[str, GivenInput]]:
        """playbook -> input -> what was set."""
        rows = await self._pool.fetch("SELECT playbook, name, value, by, at FROM playbook_input")
        found: dict[str, dict[str, GivenInput]] = {}
        for row in rows:
            if "value" in row["value"]:
                given = GivenInput(row["name"], row["value"]["value"], row["by"], row["at"])
                found.setdefault(row["playbook"], {})[given.name] = given
        return found

    async def tuned(self) -> dict[str, dict[str, Any]]:
        """playbook -> input -> the group's value, which was taken over here."""
        found: dict[str, dict[str, Any]] = {}
        for row in await self._pool.fetch("SELECT playbook, name, value FROM group_input"):
            if "value" in row["value"]:
                found.setdefault(row["playbook"], {})[row["name"]] = row["value"]["value"]
        return found

    async def set_input(
        self, tx: Connection, playbook: str, given: GivenInput, cleared: bool
    ) -> None:
        """Keep a value, or that it was taken back."""
        await tx.execute(
            "INSERT INTO playbook_input (playbook, name, value, by, at) "
            "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (playbook, name) DO UPDATE SET "
            "value = excluded.value, by = excluded.by, at = excluded.at",
            playbook, given.name, {} if cleared else {"value": given.value}, given.by, given.at,
        )  # fmt: skip

    async def figures(self) -> dict[str, RunFigures]:
        """playbook -> its runs."""
        return {
            row["playbook"]: RunFigures(
                row["live"], row["last_run"], row["last_status"], row["last_at"]
            )
            for row in await self._pool.fetch(_FIGURES)
        }
