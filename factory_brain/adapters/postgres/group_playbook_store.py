"""The group's pushes and tuned inputs in the brain's PostgreSQL; writes run in the caller's commit.

Called by `application/playbooks/from_group/`.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from factory_brain.application.playbooks.from_group.ports import Settled
from shared.errors import RetryableTransportError
from shared.messages.playbook_push import read
from shared.postgres.pool import Connection

LISTED = 100
_FAULTS = (
    asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, RetryableTransportError,
)  # fmt: skip
_UNSTORABLE = (
    asyncpg.DataError, asyncpg.ProgramLimitExceededError, ValueError,
    asyncpg.IntegrityConstraintViolationError,
)  # fmt: skip
"""Content is to blame; what a driver cannot even send is a ValueError as well."""
_FIELDS = tuple(Settled.__dataclass_fields__)
_COLUMNS = ", ".join(_FIELDS)
_SAVE = (
    f"INSERT INTO group_push ({_COLUMNS}) VALUES "
    f"({', '.join(f'${n + 1}' for n in range(len(_FIELDS)))}) ON CONFLICT (counter) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _FIELDS if name != "counter")
    + " WHERE group_push.id = excluded.id"
)


def _settled(row: asyncpg.Record | None) -> Settled | None:
    return None if row is None else Settled(**{name: row[name] for name in _FIELDS})


class PgGroupPlaybooks:
    """Implements `PushRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def newest(self, tx: Connection, /, rollbacks: bool) -> int:
        """The highest number that was ever taken up, of rollbacks or of all others."""
        query = "SELECT max(counter) FROM group_push WHERE (kind = 'rollback') = $1"
        return await tx.fetchval(query, rollbacks) or 0

    async def taken_back(self, tx: Connection, /, push: str, playbook: str) -> bool:
        """Whether a rollback named this push before it came."""
        rows = await tx.fetch(
            "SELECT payload FROM group_push WHERE kind = 'rollback' AND playbook = $1", playbook
        )
        return any(read(row["payload"]).restores == push for row in rows)

    def blames(self, error: Exception) -> bool:
        """Whether a push itself is to blame for an error, and not the database."""
        return isinstance(error, _UNSTORABLE) or not isinstance(error, _FAULTS)

    async def at(self, tx: Connection, /, counter: int) -> Settled | None:
        """What has this number."""
        return _settled(
            await tx.fetchrow(f"SELECT {_COLUMNS} FROM group_push WHERE counter = $1", counter)
        )

    async def get(self, tx: Connection, /, push: str) -> Settled | None:
        """One push; nobody else changes it before the transaction ends."""
        return _settled(
            await tx.fetchrow(f"SELECT {_COLUMNS} FROM group_push WHERE id = $1 FOR UPDATE", push)
        )

    async def of_draft(self, tx: Connection, /, draft: str) -> Settled | None:
        """The push that a draft was made of."""
        return _settled(
            await tx.fetchrow(
                f"SELECT {_COLUMNS} FROM group_push WHERE draft = $1 FOR UPDATE", draft
            )
        )

    async def waiting(self, tx: Connection, /) -> list[Settled]:
        """What waits for a person."""
        rows = await tx.fetch(
            f"SELECT {_COLUMNS} FROM group_push WHERE status = 'waiting' ORDER BY counter"
        )
        return [found for row in rows if (found := _settled(row)) is not None]

    async def save(self, tx: Connection, /, settled: Settled) -> None:
        """Keep a push as it stands now."""
        await tx.execute(_SAVE, *(getattr(settled, name) for name in _FIELDS))

    async def listed(self) -> list[Settled]:
        """What waits first, then the newest."""
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM group_push ORDER BY (status = 'waiting') DESC, counter DESC "
            f"LIMIT {LISTED}"
        )
        return [found for row in rows if (found := _settled(row)) is not None]

    async def one(self, push: str) -> Settled | None:
        """One push, to look at."""
        return _settled(
            await self._pool.fetchrow(f"SELECT {_COLUMNS} FROM group_push WHERE id = $1", push)
        )

    async def inputs(self, tx: Connection, /, playbook: str) -> dict[str, tuple[Any, str]]:
        """input -> the group's value, and the push that brought it."""
        rows = await tx.fetch(
            "SELECT name, value, push FROM group_input WHERE playbook = $1 FOR UPDATE", playbook
        )
        return {r["name"]: (r["value"]["value"], r["push"]) for r in rows if "value" in r["value"]}

    async def set_input(
        self, tx: Connection, /, playbook: str, name: str, value: dict[str, Any], push: str, at: int
    ) -> None:
        """Keep the group's value of an input; `{}` takes it back."""
        await tx.execute(
            "INSERT INTO group_input (playbook, name, value, push, at) VALUES ($1, $2, $3, $4, $5) "
            "ON CONFLICT (playbook, name) DO UPDATE SET value = $3, push = $4, at = $5",
            playbook, name, value, push, at,
        )  # fmt: skip
