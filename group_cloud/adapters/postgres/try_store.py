"""Settings that people try, in PostgreSQL.

Called by the desk of tries and by the histories; rows only, it judges nothing.
"""

from __future__ import annotations

import asyncpg
import msgspec

from group_cloud.application.histories import Question
from group_cloud.application.trying import MOST_OPEN, Tried
from group_cloud.domain.evidence import Point
from shared.alarm.shadow import setting_data, setting_of
from shared.messages.bodies import TrialAnswer


class TryStore:
    """Implements `TryRows`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def ask(self, tried: Tried, actor: str, forget_before: int) -> None:
        """Keep a question, or ask it anew; old ones are forgotten."""
        question = Question(tried.id, tried.point, tried.current, tried.proposed)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO setting_try (id, site, edge, alarm, current, proposed, digest, "
                "asked_by, asked_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
                "ON CONFLICT (id) DO UPDATE SET asked_by = $8, asked_at = $9, answered_at = NULL, "
                "body = NULL",
                tried.id, tried.point.site, tried.point.edge, tried.point.alarm,
                setting_data(tried.current), setting_data(tried.proposed), question.digest,
                actor, tried.asked_at,
            )  # fmt: skip
            await connection.execute("DELETE FROM setting_try WHERE asked_at < $1", forget_before)

    async def get(self, name: str) -> Tried | None:
        """One of them."""
        row = await self._pool.fetchrow("SELECT * FROM setting_try WHERE id = $1", name)
        if row is None:
            return None
        return Tried(
            row["id"], Point(row["site"], row["edge"], row["alarm"]), setting_of(row["current"]),
            setting_of(row["proposed"]), row["asked_at"], row["answered_at"], row["body"],
        )  # fmt: skip

    async def open(self, since: int) -> list[Question]:
        """What was asked since and is not answered, the newest first."""
        rows = await self._pool.fetch(
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY site ORDER BY asked_at DESC) "
            "AS place FROM setting_try WHERE asked_at > $1 AND answered_at IS NULL) t "
            "WHERE place <= $2 ORDER BY asked_at DESC",
            since, MOST_OPEN,
        )  # fmt: skip
        return [
            Question(
                row["id"], Point(row["site"], row["edge"], row["alarm"]),
                setting_of(row["current"]), setting_of(row["proposed"]),
            )
            for row in rows
        ]  # fmt: skip

    async def sites(self, since: int) -> list[str]:
        """Factories that were asked since."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT site FROM setting_try WHERE asked_at > $1", since
        )
        return [row["site"] for row in rows]

    async def keep(self, tx: asyncpg.Connection, /, told: TrialAnswer, at: int) -> bool:
        """Keep an answer of the factory that was asked; whether it was one."""
        return bool(
            await tx.fetchval(
                "UPDATE setting_try SET answered_at = $3, body = $4 WHERE id = $1 AND digest = $2 "
                "AND site = $5 AND edge = $6 AND alarm = $7 RETURNING true",
                told.proposal, told.digest, at, msgspec.to_builtins(told), told.site, told.edge,
                told.alarm,
            )
        )  # fmt: skip
