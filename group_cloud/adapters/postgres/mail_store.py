"""Messages to factories' desks in PostgreSQL; writes run in the caller's transaction.

Called by `application/dispatching/mail.py`; people's questions go through the scoped door.
"""

from __future__ import annotations

import asyncpg

from group_cloud.adapters.postgres.scoped import Scoped
from group_cloud.domain.scope import Scope
from shared.messages.bodies import MailReceipt
from shared.messages.mail import MOST, GroupMessage

LISTED = 200


class MailStore:
    """Implements `application/dispatching/mail.MailRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool, self._ask = pool, Scoped(pool)

    async def sees(self, scope: Scope, site: str) -> bool:
        """Whether a site is within."""
        return await self._ask.sees(scope, site)

    async def count(self, tx: asyncpg.Connection, /, site: str) -> int:
        """How many wait for a site, which stays locked."""
        await tx.execute("SELECT 1 FROM factory WHERE site = $1 FOR UPDATE", site)
        found = await tx.fetchval(
            "SELECT count(*) FROM desk_message WHERE site = $1 AND status = 'sent'", site
        )
        return int(found or 0)

    async def add(self, tx: asyncpg.Connection, /, site: str, made: GroupMessage) -> None:
        """Keep a message."""
        await tx.execute(
            "INSERT INTO desk_message (id, site, text, priority, author, at, expires_at, status, "
            "acked_by, reply) VALUES ($1, $2, $3, $4, $5, $6, $7, 'sent', '', '')",
            made.id, site, made.text, made.priority, made.author, made.at, made.expires_at,
        )  # fmt: skip

    async def waiting(self, now: int) -> dict[str, list[GroupMessage]]:
        """site -> what was sent and not received, oldest first; what has expired waits no more."""
        await self._pool.execute(
            "UPDATE desk_message SET status = 'expired' WHERE status = 'sent' AND expires_at <= $1",
            now,
        )
        rows = await self._pool.fetch(
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY site ORDER BY at, id) "
            "AS place FROM desk_message WHERE status = 'sent') held WHERE place <= $1 "
            "ORDER BY site, place",
            MOST,
        )
        found: dict[str, list[GroupMessage]] = {}
        for row in rows:
            found.setdefault(row["site"], []).append(
                GroupMessage(
                    id=row["id"], text=row["text"], priority=row["priority"],
                    author=row["author"], at=row["at"], expires_at=row["expires_at"],
                )
            )  # fmt: skip
        return found

    async def receipt(
        self, tx: asyncpg.Connection, /, site: str, told: MailReceipt, at: int
    ) -> bool:
        """What became of a message of that very site; once acknowledged it stays so."""
        if told.status == "received":
            done = await tx.execute(
                "UPDATE desk_message SET status = 'received', received_at = $3 WHERE id = $1 "
                "AND site = $2 AND status IN ('sent', 'expired')",
                told.message, site, told.at or at,
            )  # fmt: skip
        else:
            done = await tx.execute(
                "UPDATE desk_message SET status = 'acknowledged', acked_at = $3, acked_by = $4, "
                "reply = $5, received_at = coalesce(received_at, $3) WHERE id = $1 AND site = $2 "
                "AND status <> 'acknowledged'",
                told.message, site, told.at or at, told.actor[:200], told.reply[:2000],
            )  # fmt: skip
        return done != "UPDATE 0"

    async def listed(self, scope: Scope, site: str | None) -> list[asyncpg.Record]:
        """Newest first."""
        return await self._ask.fetch(
            scope,
            "SELECT * FROM desk_message m WHERE {mine:m} AND ($2::text IS NULL OR m.site = $2) "
            f"ORDER BY m.at DESC, m.id DESC LIMIT {LISTED}",
            site,
        )
