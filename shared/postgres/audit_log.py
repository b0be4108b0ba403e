"""Reads the audit log page by page, and the anchors of its chain.

Called by the REST interface, `andon audit` and the anchor task.
"""

from __future__ import annotations

from typing import Any

import asyncpg

from shared.postgres.audit_verify import Anchor

_SHOWN = (
    "id", "at", "zone", "actor", "action", "target", "tier", "site", "address", "before", "after",
    "why", "data", "hash",
)  # fmt: skip


class AuditLog:
    """The audit log of one tier, to be read."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def entries(
        self, *, limit: int = 100, before_id: int | None = None, actor: str | None = None,
        action: str | None = None, target: str | None = None, since: int | None = None,
        until: int | None = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Entries, the newest first."""
        wanted = (
            ("id <", before_id), ("actor =", actor), ("action =", action), ("target =", target),
            ("at >=", since), ("at <", until),
        )  # fmt: skip
        given = [(test, value) for test, value in wanted if value is not None]
        tests = [f"{test} ${n}" for n, (test, _) in enumerate(given, 2)]
        rows = await self._pool.fetch(
            f"SELECT {', '.join(_SHOWN)} FROM audit "
            + (f"WHERE {' AND '.join(tests)} " if tests else "")
            + "ORDER BY id DESC LIMIT $1",
            limit, *(value for _, value in given),
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def anchors(self) -> list[Anchor]:
        """The anchors kept beside the log, oldest first."""
        rows = await self._pool.fetch("SELECT * FROM audit_anchor ORDER BY id")
        return [anchor_from(row) for row in rows]


def anchor_from(row: Any) -> Anchor:
    """An anchor as a row keeps it."""
    return Anchor(
        row["tier"], row["site"], row["id"], row["hash"], row["at"], bytes(row["signature"])
    )
