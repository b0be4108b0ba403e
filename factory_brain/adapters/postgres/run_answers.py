"""What comes to a run from outside: answers, words of people, news of its occurrence.

Each is one transaction under the lock of the run's row, so that two at once have one winner, and
counts as news that the run's owner notices before it commits anything else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from factory_brain.application.playbooks.ports import LIVE_STATES
from shared.postgres.audit import audit
from shared.postgres.pool import Connection
from shared.redaction import clean

LIVE = f"status IN ({', '.join(repr(state) for state in LIVE_STATES)})"
SETTLED = "('done', 'failed', 'skipped', 'reconciled', 'compensated')"
_NEWS = f"UPDATE run SET news = news + 1, wake_at = least(wake_at, $2) WHERE id = $1 AND {LIVE}"


async def signal(tx: Connection, run: str, path: str, data: Mapping[str, Any], at: int) -> bool:
    """Note what ends a wait, once, as news of its run; False if there was one already."""
    tag = await tx.execute(
        "INSERT INTO signal (run, path, data, at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        run, path, clean(dict(data)), at,
    )  # fmt: skip
    await tx.execute(_NEWS, run, at)
    return tag.endswith("1")


class RunAnswers:
    """A part of `PgRunStore`."""

    _pool: asyncpg.Pool

    async def answers(self, run: str) -> dict[str, dict[str, Any]]:
        """Answers that have arrived, by path."""
        rows = await self._pool.fetch("SELECT path, data FROM signal WHERE run = $1", run)
        return {row["path"]: row["data"] for row in rows}

    async def answer(
        self, run: str, path: str, data: Mapping[str, Any], at: int, quorum: int = 1
    ) -> str:
        """Record what a person chose and wake the run.

        `taken`: it counts (`noted`: more people must choose the same); `answered`: there was an
        answer already; `over`: the question is settled or the run has ended.
        """
        who, choice = str(data.get("by", "")), str(data.get("answer", ""))
        async with self._pool.acquire() as connection, connection.transaction():
            live = await connection.fetchval(
                f"SELECT {LIVE} FROM run WHERE id = $1 FOR UPDATE", run
            )
            if not live or await connection.fetchval(
                f"SELECT true FROM journal WHERE run = $1 AND path = $2 AND phase IN {SETTLED} "
                "LIMIT 1",
                run, path,
            ):  # fmt: skip
                given = await connection.fetchval(
                    "SELECT true FROM signal WHERE run = $1 AND path = $2", run, path
                )
                return "answered" if given else "over"
            told = {"step": path, "answer": choice, "comment": data.get("comment", "")}
            if quorum > 1:
                votes = await self._vote(connection, run, path, told, who, at)
                if not votes:
                    return "answered"
                if sum(vote["answer"] == choice for vote in votes) < quorum:
                    await audit(connection, at, who, "answer_task", run, told)
                    return "noted"
                data = {**data, "votes": votes}
            if not await signal(connection, run, path, data, at):
                return "answered"
            await audit(connection, at, who, "answer_task", run, told)
            return "taken"

    @staticmethod
    async def _vote(
        tx: Connection, run: str, path: str, told: Mapping[str, str], who: str, at: int
    ) -> list[dict[str, Any]]:
        """All voices so far; none if the question is answered, or this person has chosen."""
        if await tx.fetchval("SELECT true FROM signal WHERE run = $1 AND path = $2", run, path):
            return []
        tag = await tx.execute(
            "INSERT INTO vote (run, path, who, answer, comment, at) VALUES ($1,$2,$3,$4,$5,$6) "
            "ON CONFLICT DO NOTHING",
            run, path, who, told["answer"], told["comment"], at,
        )  # fmt: skip
        if not tag.endswith(" 1"):
            return []
        rows = await tx.fetch(
            "SELECT who AS by, answer, comment FROM vote WHERE run = $1 AND path = $2 "
            "ORDER BY at, who",
            run, path,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def votes(self, run: str, path: str) -> dict[str, str]:
        """Who has chosen what so far."""
        rows = await self._pool.fetch(
            "SELECT who, answer FROM vote WHERE run = $1 AND path = $2", run, path
        )
        return {row["who"]: row["answer"] for row in rows}

    # words of people

    async def tell(
        self, run: str, word: str, data: Mapping[str, Any] | None, actor: str, at: int, action: str
    ) -> bool:
        """Note a word (`cancel`, `suspend`), or take it back with None; False: the run is over."""
        async with self._pool.acquire() as connection, connection.transaction():
            change = "control - $3::text" if data is None else "control || $3::jsonb"
            tag = await connection.execute(
                f"UPDATE run SET control = {change}, news = news + 1, "
                "wake_at = least(wake_at, $2) WHERE id = $1 AND ended_at IS NULL",
                run, at, word if data is None else {word: clean(dict(data))},
            )  # fmt: skip
            if not tag.endswith(" 1"):
                return False
            # One that waits for its turn has nothing to end in good order.
            await connection.execute(
                "UPDATE run SET status = 'cancelled', ended_at = $2 "
                "WHERE id = $1 AND status = 'queued' AND control ? 'cancel'",
                run, at,
            )  # fmt: skip
            why = {"reason": data.get("reason", "")} if data else {}
            await audit(connection, at, actor, action, run, why)
            return True

    async def terminate(self, run: str, actor: str, reason: str, at: int) -> bool:
        """End a run at once; a command under way stays recorded as unknown."""
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute(
                "UPDATE run SET status = 'cancelled', ended_at = $2, fence = fence + 1, "
                "owner = NULL, lease_until = 0, asks = '[]', watch = '[]', news = news + 1 "
                "WHERE id = $1 AND ended_at IS NULL",
                run, at,
            )  # fmt: skip
            if not tag.endswith(" 1"):
                return False
            await connection.execute(
                "INSERT INTO journal (run, path, attempt, phase, data, at, n) "
                "SELECT run, path, attempt, 'unknown', data || '{\"kind\": \"terminated\"}', "
                "$2::bigint, "
                "(SELECT max(n) FROM journal WHERE run = $1) + 1 FROM (SELECT DISTINCT ON (path) * "
                "FROM journal WHERE run = $1 ORDER BY path, n DESC) newest "
                "WHERE phase = 'intent' AND data ? 'device' ON CONFLICT DO NOTHING",
                run, at,
            )  # fmt: skip
            data = {
                "status": "cancelled", "terminated": True, "by": actor, "reason": reason,
                "metrics": {},
            }  # fmt: skip
            await connection.execute(
                "INSERT INTO journal (run, path, attempt, phase, data, at, n) "
                "SELECT $1::text, '/outcome', 1, 'done', $3::jsonb, $2::bigint, "
                "coalesce(max(n), 0) + 1 FROM journal "
                "WHERE run = $1::text ON CONFLICT DO NOTHING",
                run, at, clean(data),
            )  # fmt: skip
            await audit(connection, at, actor, "terminate_run", run, {"reason": reason})
            return True

    # news

    async def poke(self, runs: Sequence[str], at: int) -> None:
        """Let live runs look again; nothing is news."""
        await self._pool.execute(
            "UPDATE run SET wake_at = least(wake_at, $2) WHERE id IN (SELECT id FROM run "
            f"WHERE id = ANY($1::text[]) AND lease_until = 0 AND {LIVE} ORDER BY id FOR UPDATE)",
            list(runs), at,
        )  # fmt: skip

    async def wake_for(self, occurrence: str, playbook: str | None, at: int) -> None:
        """Something has become known about an occurrence: its live runs look at it."""
        await self._pool.execute(
            "UPDATE run SET news = news + 1, wake_at = least(wake_at, $3) WHERE id IN "
            "(SELECT id FROM run WHERE occurrence = $1 AND ($2::text IS NULL OR playbook = $2) "
            f"AND {LIVE} ORDER BY id FOR UPDATE)",
            occurrence, playbook, at,
        )  # fmt: skip
