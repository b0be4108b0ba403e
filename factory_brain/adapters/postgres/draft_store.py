"""Drafts of playbooks in PostgreSQL, and what was said about them."""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from factory_brain.application.playbooks.authoring.ports import LIVE_DRAFTS, Draft, Remark
from shared.postgres.pool import Connection

_FIELDS = tuple(Draft.__dataclass_fields__)
_COLUMNS = ", ".join(_FIELDS)
_PUT = (
    f"INSERT INTO playbook_draft ({_COLUMNS}) VALUES "
    f"({', '.join(f'${n + 1}' for n in range(len(_FIELDS)))}) ON CONFLICT (id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _FIELDS[1:])
)


def _draft(row: asyncpg.Record) -> Draft:
    return Draft(**{name: row[name] for name in _FIELDS})


class PgDraftStore:
    """Implements authoring's `DraftStore`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, tx: Connection, draft: Draft) -> None:
        """Keep a draft as it is now."""
        await tx.execute(_PUT, *(getattr(draft, name) for name in _FIELDS))

    async def get(self, draft: str, tx: Connection | None = None) -> Draft | None:
        """One draft; with `tx`, nobody else changes it before that ends."""
        lock = " FOR UPDATE" if tx is not None else ""
        row = await (tx or self._pool).fetchrow(
            f"SELECT {_COLUMNS} FROM playbook_draft WHERE id = $1{lock}", draft
        )
        return None if row is None else _draft(row)

    async def listed(
        self, statuses: Sequence[str], playbook: str | None, limit: int,
        before: tuple[int, str] | None,
    ) -> list[Draft]:  # fmt: skip
        """Newest change first."""
        at, last = before or ((1 << 62), "")
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS} FROM playbook_draft WHERE status = ANY($1::text[]) "
            "AND ($2::text IS NULL OR playbook = $2) AND (changed_at, id) < ($3, $4) "
            "ORDER BY changed_at DESC, id DESC LIMIT $5",
            list(statuses), playbook, at, last, limit,
        )  # fmt: skip
        return [_draft(row) for row in rows]

    async def count_live(self) -> int:
        """Drafts that are neither released nor discarded."""
        return await self._pool.fetchval(
            "SELECT count(*) FROM playbook_draft WHERE status = ANY($1::text[])", list(LIVE_DRAFTS)
        )

    async def remark(self, tx: Connection, remark: Remark) -> None:
        """Keep what was said."""
        await tx.execute(
            "INSERT INTO playbook_remark (id, draft, at, by, kind, revision, text) "
            "VALUES ($1, $2, $3, $4, $5, $6, $7)",
            remark.id, remark.draft, remark.at, remark.by, remark.kind, remark.revision,
            remark.text,
        )  # fmt: skip

    async def remarks(self, draft: str, limit: int) -> list[Remark]:
        """Oldest first."""
        rows = await self._pool.fetch(
            "SELECT id, draft, at, by, kind, revision, text FROM playbook_remark "
            "WHERE draft = $1 ORDER BY at, id LIMIT $2",
            draft, limit,
        )  # fmt: skip
        return [Remark(**dict(row)) for row in rows]
