"""Runs and their journal in PostgreSQL: leases by SKIP LOCKED, every write under its fence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from factory_brain.application.playbooks.ports import Delivery, FencedError, NewRun, RunRecord
from shared.clock import Clock
from shared.ids import uuid7
from shared.playbook.fragment import HEARD
from shared.playbook.run import Effect, Record
from shared.postgres.audit import audit

LIVE = "status IN ('running', 'waiting')"
SEND_AGAIN_MS = 25_000
"""A delivery taken by an engine that died is free again after this."""


def _run(row: asyncpg.Record) -> RunRecord:
    names = RunRecord.__dataclass_fields__
    return RunRecord(**{name: row[name] for name in names})


class PgRunStore:
    """Implements the engine's `RunStore`."""

    def __init__(self, pool: asyncpg.Pool, clock: Clock) -> None:
        self._pool, self._clock = pool, clock

    async def save_version(
        self, digest: str, playbook: str, version: int, doc: Any, at: int
    ) -> None:
        """Keep a released document."""
        await self._pool.execute(
            "INSERT INTO playbook_version (digest, playbook, version, semantics, document, at) "
            "VALUES ($1, $2, $3, 1, $4, $5) ON CONFLICT DO NOTHING",
            digest, playbook, version, doc, at,
        )  # fmt: skip

    async def document(self, digest: str) -> Any:
        """A released document."""
        return await self._pool.fetchval(
            "SELECT document FROM playbook_version WHERE digest = $1", digest
        )

    async def create(self, run: NewRun) -> bool:
        """Start a run once; False if this occurrence or key has one already."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                tag = await connection.execute(
                    "INSERT INTO run (id, digest, playbook, version, key, alarm, occurrence, "
                    "context, status, started_at, deadline_at, wake_at, lease_until, fence) "
                    "VALUES ($1,$2,$3,$4,$5,$6,$7,$8,'running',$9,$10,$11,0,0) "
                    "ON CONFLICT ON CONSTRAINT run_once_per_occurrence DO NOTHING",
                    run.id, run.digest, run.playbook, run.version, run.key, run.alarm,
                    run.occurrence, run.context, run.at, run.deadline_at,
                    run.at if run.wake_at is None else run.wake_at,
                )  # fmt: skip
                if run.occurrence is None and tag.endswith("1"):  # by hand
                    who = str(run.context.get("started_by", ""))
                    told = {"playbook": run.playbook, "version": run.version, "alarm": run.alarm}
                    await audit(connection, run.at, who, "start_playbook", run.id, told)
        except asyncpg.UniqueViolationError:  # a live run of this key
            return False
        return tag.endswith("1")

    async def live_run(self, playbook: str, key: str) -> str | None:
        """The live run of a key."""
        return await self._pool.fetchval(
            f"SELECT id FROM run WHERE playbook = $1 AND key = $2 AND {LIVE}", playbook, key
        )

    async def claim(self, owner: str, now: int, lease_ms: int, limit: int) -> list[RunRecord]:
        """Take due runs whose lease is free, each with a higher fence."""
        rows = await self._pool.fetch(
            "UPDATE run SET owner = $1, lease_until = $3, fence = fence + 1 WHERE id IN "
            f"(SELECT id FROM run WHERE {LIVE} AND wake_at <= $2 AND lease_until < $2 "
            "ORDER BY wake_at LIMIT $4 FOR UPDATE SKIP LOCKED) RETURNING *",
            owner, now, now + lease_ms, limit,
        )  # fmt: skip
        return [_run(row) for row in rows]

    async def renew(self, run: RunRecord, until: int) -> None:
        """Prolong the lease."""
        await self._fenced(
            self._pool, "UPDATE run SET lease_until = $3 WHERE id = $1 AND fence = $2",
            run.id, run.fence, until,
        )  # fmt: skip

    async def release(
        self, run: RunRecord, status: str, wake_at: int | None, ask: Any, ended_at: int | None
    ) -> None:
        """Give the run back with its state; an answer that came meanwhile wakes it at once."""
        await self._fenced(
            self._pool,
            "UPDATE run SET status = $3, lease_until = 0, owner = NULL, ask = $5, ended_at = $6, "
            "wake_at = CASE WHEN EXISTS (SELECT 1 FROM signal s WHERE s.run = $1 AND NOT EXISTS "
            "(SELECT 1 FROM journal j WHERE j.run = $1 AND j.path = s.path AND "
            "j.phase IN ('done', 'failed'))) THEN 0 ELSE $4::bigint END "
            "WHERE id = $1 AND fence = $2",
            run.id, run.fence, status, wake_at, ask, ended_at,
        )  # fmt: skip

    @staticmethod
    async def _fenced(where: Any, statement: str, *args: Any) -> None:
        if (await where.execute(statement, *args)).endswith(" 0"):
            raise FencedError

    async def journal(self, run: str) -> dict[str, Record]:
        """Newest record of every path."""
        return {path: record for path, record, _ in await self.entries(run)}

    async def entries(self, run: str) -> list[tuple[str, Record, int]]:
        """Every journal row (path, record, order), oldest first; what an edge did alone first."""
        rows = await self._pool.fetch(
            "SELECT e.body->>'path' AS path, e.body->>'phase' AS phase, "
            "coalesce((e.body->'data')::jsonb, '{}'::jsonb) "
            "|| jsonb_build_object($2::text, e.received_at) AS data, e.time AS at, 0 AS n "
            "FROM event e JOIN run r ON r.occurrence = e.occurrence "
            "WHERE r.id = $1 AND e.type = 'fragment.step' AND e.body->>'playbook' = r.playbook "
            "ORDER BY e.time, e.id",
            run, HEARD,
        )  # fmt: skip
        rows += await self._pool.fetch(
            "SELECT path, phase, data, at, n FROM journal WHERE run = $1 ORDER BY n", run
        )
        return [(r["path"], Record(r["phase"], r["at"], r["data"]), r["n"]) for r in rows]

    async def write(self, run: RunRecord, effects: list[Effect], now: int) -> None:
        """Journal effects in one commit; a delivery and a notification ride along."""
        async with self._pool.acquire() as connection, connection.transaction():
            held = await connection.fetchval(
                "SELECT true FROM run WHERE id = $1 AND fence = $2 FOR UPDATE", run.id, run.fence
            )
            if not held:
                raise FencedError
            for effect in effects:
                await connection.execute(
                    "INSERT INTO journal (run, path, attempt, phase, data, at, n) "
                    "VALUES ($1::text, $2, $6, $3, $4, $5, (SELECT coalesce(max(n), 0) + 1 "
                    "FROM journal WHERE run = $1::text)) ON CONFLICT DO NOTHING",
                    run.id, effect.path, effect.phase, dict(effect.data), now,
                    int(effect.data.get("attempt", 1)),
                )  # fmt: skip
                if effect.kind == "notify":
                    await self._notification(connection, run, effect.data, now)
                elif effect.kind == "webhook" and effect.phase in ("intent", "done"):
                    await self._delivery(connection, run, effect, now)

    async def _notification(
        self, connection: Any, run: RunRecord, data: Mapping[str, Any], now: int
    ) -> None:
        await connection.execute(
            'INSERT INTO notification (id, run, at, channel, "to", message) '
            "VALUES ($1, $2, $3, $4, $5, $6)",
            uuid7(self._clock), run.id, now, data["channel"], data["to"], data["message"],
        )  # fmt: skip

    async def _delivery(self, connection: Any, run: RunRecord, effect: Effect, now: int) -> None:
        data = effect.data
        body = {"type": data["type"], "data": data["data"], "time": now}
        await connection.execute(
            "INSERT INTO delivery (id, run, path, endpoint, body, schedule, attempt, due, status, "
            "detach) VALUES ($1,$2,$3,$4,$5,$6,0,$7,'due',$8) ON CONFLICT DO NOTHING",
            f"{run.id}:{effect.path}", run.id, effect.path, data["endpoint"], body,
            data["schedule"], now + data["schedule"][0], data["detach"],
        )  # fmt: skip

    async def answers(self, run: str) -> dict[str, dict[str, Any]]:
        """Answers that have arrived, by path."""
        rows = await self._pool.fetch("SELECT path, data FROM signal WHERE run = $1", run)
        return {row["path"]: row["data"] for row in rows}

    async def wake_for(self, occurrence: str, playbook: str, at: int) -> None:
        """Something has become known about an occurrence: its live run looks at it."""
        await self._pool.execute(
            f"UPDATE run SET wake_at = least(wake_at, $3) "
            f"WHERE occurrence = $1 AND playbook = $2 AND {LIVE}",
            occurrence, playbook, at,
        )  # fmt: skip

    async def answer(self, run: str, path: str, data: Any, at: int) -> bool:
        """Record an answer and wake the run; False if there was one already."""
        async with self._pool.acquire() as connection, connection.transaction():
            if not await self._signal(connection, run, path, data, at):
                return False
            told = {"step": path, "answer": data.get("answer"), "comment": data.get("comment", "")}
            await audit(connection, at, data.get("by", ""), "answer_task", run, told)
            return True

    @staticmethod
    async def _signal(connection: Any, run: str, path: str, data: Any, at: int) -> bool:
        tag = await connection.execute(
            "INSERT INTO signal (run, path, data, at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT DO NOTHING",
            run, path, data, at,
        )  # fmt: skip
        await connection.execute(
            f"UPDATE run SET wake_at = least(wake_at, $2) WHERE id = $1 AND {LIVE}", run, at
        )
        return tag.endswith("1")

    async def get(self, run: str) -> RunRecord | None:
        """One run."""
        row = await self._pool.fetchrow("SELECT * FROM run WHERE id = $1", run)
        return _run(row) if row else None

    async def newest(self, limit: int, before: tuple[int, str] | None = None) -> list[RunRecord]:
        """Newest runs first, of those before this start and id."""
        at, name = before or (2**63 - 1, "")
        rows = await self._pool.fetch(
            "SELECT * FROM run WHERE (started_at, id) < ($2, $3) "
            "ORDER BY started_at DESC, id DESC LIMIT $1",
            limit, at, name,
        )  # fmt: skip
        return [_run(row) for row in rows]

    async def next_due(self) -> int | None:
        """When the next run or delivery is due."""
        return await self._pool.fetchval(
            f"SELECT min(greatest(wake_at, lease_until)) FROM run WHERE {LIVE}"
        )

    async def next_delivery(self) -> int | None:
        """When the next delivery is due."""
        return await self._pool.fetchval("SELECT min(due) FROM delivery WHERE status = 'due'")

    async def fence(self, device: str, epoch: str) -> int:
        """The next fence of a device in an edge epoch."""
        return await self._pool.fetchval(
            "INSERT INTO device_fence (device, epoch, fence) VALUES ($1, $2, 1) "
            "ON CONFLICT (device) DO UPDATE SET fence = device_fence.fence + 1, epoch = $2 "
            "RETURNING fence",
            device, epoch,
        )  # fmt: skip

    async def due_deliveries(self, now: int, limit: int) -> list[Delivery]:
        """Webhooks that are due, pushed back a little so that only one engine sends them."""
        rows = await self._pool.fetch(
            "UPDATE delivery SET due = $3 WHERE id IN (SELECT id FROM delivery "
            "WHERE status = 'due' AND due <= $1 ORDER BY due LIMIT $2 FOR UPDATE SKIP LOCKED) "
            "RETURNING id, run, path, endpoint, body, attempt, schedule, detach",
            now, limit, now + SEND_AGAIN_MS,
        )  # fmt: skip
        return [Delivery(**dict(row)) for row in rows]

    async def delivered(self, delivery: Delivery, error: str | None, now: int) -> None:
        """Note a delivery's end or its next try; settle the path of one that is awaited."""
        attempt = delivery.attempt + 1
        ended = error is None or attempt >= len(delivery.schedule)
        status = "delivered" if error is None else "dead" if ended else "due"
        due = now if ended else now + delivery.schedule[attempt]
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "UPDATE delivery SET status = $2, attempt = $3, due = $4, error = $5 "
                "WHERE id = $1 AND status = 'due'",
                delivery.id, status, attempt, due, error,
            )  # fmt: skip
            if not ended or delivery.detach:
                return
            data = {} if error is None else {"kind": "webhook_failed", "reason": error}
            phase = "done" if error is None else "failed"
            # A signal, not a journal row: only the run's owner writes its journal.
            await self._signal(
                connection, delivery.run, delivery.path, {"phase": phase, "data": data}, now
            )
