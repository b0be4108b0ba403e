"""The group's messages in the brain's PostgreSQL; writes run in the caller's transaction.

Called by `application/group_mail.py`; a message is kept once, by its id.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from shared.messages.mail import GroupMessage
from shared.postgres.pool import Connection

LISTED = 100


class PgMailStore:
    """Implements `MailRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def keep(self, tx: Connection, /, messages: Sequence[GroupMessage], at: int) -> list[str]:
        """Keep those that are new; returns which."""
        rows = await tx.fetch(
            "INSERT INTO group_message (id, text, priority, author, at, expires_at, received_at, "
            "acked_by, reply) SELECT n.i, n.t, n.p, n.a, n.w, n.e, $7, '', '' FROM unnest("
            "$1::text[], $2::text[], $3::integer[], $4::text[], $5::bigint[], $6::bigint[]) "
            "AS n(i, t, p, a, w, e) ON CONFLICT DO NOTHING RETURNING id",
            [m.id for m in messages], [m.text for m in messages], [m.priority for m in messages],
            [m.author for m in messages], [m.at for m in messages],
            [m.expires_at for m in messages], at,
        )  # fmt: skip
        return [row["id"] for row in rows]

    async def acknowledge(
        self, tx: Connection, /, message: str, actor: str, reply: str, at: int
    ) -> bool | None:
        """Whether it was not acknowledged before; None: there is none such."""
        row = await tx.fetchrow(
            "SELECT acked_at FROM group_message WHERE id = $1 FOR UPDATE", message
        )
        if row is None:
            return None
        if row["acked_at"] is not None:
            return False
        await tx.execute(
            "UPDATE group_message SET acked_at = $2, acked_by = $3, reply = $4 WHERE id = $1",
            message, at, actor, reply,
        )  # fmt: skip
        return True

    async def listed(self, now: int) -> list[asyncpg.Record]:
        """Those that wait for somebody and have not expired, then the newest others."""
        return await self._pool.fetch(
            "SELECT * FROM group_message ORDER BY (acked_at IS NULL AND expires_at > $1) DESC, "
            f"at DESC, id DESC LIMIT {LISTED}",
            now,
        )

    async def forget(self, before: int) -> None:
        """Delete what is older and has expired: its bag is gone for long."""
        await self._pool.execute(
            "DELETE FROM group_message WHERE at < $1 AND expires_at < $1", before
        )
