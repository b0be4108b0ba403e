"""Playbooks' webhooks on their way: due, delivered, dead; replayed by a person.

The rules of Standard Webhooks: the same id over retries, what the receiver asks for is heard, and
one that is gone is told nothing any more. A part of `PgRunStore`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from factory_brain.adapters.postgres.run_answers import signal
from factory_brain.application.playbooks.ports import Delivered, Delivery
from shared.postgres.audit import audit
from shared.redaction import cleaned

SEND_AGAIN_MS = 25_000
"""A delivery taken by an engine that died is free again after this."""
GONE = 410
LOOK_AT = 200
"""Of so many that are due those are picked whose endpoints have room."""


class RunDeliveries:
    """A part of `PgRunStore`."""

    _pool: asyncpg.Pool

    async def next_delivery(self, busy: Sequence[str] = ()) -> int | None:
        """When the next delivery is due, but for those to `busy` endpoints."""
        return await self._pool.fetchval(
            "SELECT due FROM delivery WHERE status = 'due' AND endpoint <> ALL($1::text[]) "
            "ORDER BY due LIMIT 1",
            list(busy),
        )

    async def due_deliveries(
        self, now: int, limit: int, sending: Mapping[str, int], each: int
    ) -> list[Delivery]:
        """Webhooks that are due, pushed back a little so that only one engine sends them."""
        full = [endpoint for endpoint, number in sending.items() if number >= each]
        rows = await self._pool.fetch(
            "WITH ripe AS MATERIALIZED (SELECT id, endpoint, due FROM delivery "
            "WHERE status = 'due' AND due <= $1 AND endpoint <> ALL($4::text[]) "
            "ORDER BY due LIMIT $5 FOR UPDATE SKIP LOCKED), "
            "placed AS (SELECT ripe.id, due, coalesce(s.number, 0) + row_number() "
            "OVER (PARTITION BY ripe.endpoint ORDER BY due, ripe.id) AS place FROM ripe "
            "LEFT JOIN unnest($6::text[], $7::int[]) AS s(endpoint, number) "
            "ON s.endpoint = ripe.endpoint), "
            "picked AS MATERIALIZED (SELECT id FROM placed WHERE place <= $8 "
            "ORDER BY due LIMIT $2) "
            "UPDATE delivery SET due = $3 WHERE id IN (SELECT id FROM picked) "
            "RETURNING id, run, path, endpoint, body, attempt, schedule, detach, at",
            now, limit, now + SEND_AGAIN_MS, full, LOOK_AT,
            list(sending), list(sending.values()), each,
        )  # fmt: skip
        return [Delivery(**dict(row)) for row in rows]

    async def delivered(self, delivery: Delivery, answer: Delivered, now: int) -> None:
        """Note a delivery's end or its next try; settle the path of one that is awaited."""
        attempt, gone = delivery.attempt + 1, answer.status == GONE
        error = None if answer.error is None else cleaned(answer.error)
        ended = error is None or gone or attempt >= len(delivery.schedule)
        status = "delivered" if error is None else "dead" if ended else "due"
        due = now if ended else retry_at(delivery, attempt, now, answer.retry_after_s)
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "UPDATE delivery SET status = $2, attempt = $3, due = $4, error = $5 "
                "WHERE id = $1 AND status = 'due'",
                delivery.id, status, attempt, due, error,
            )  # fmt: skip
            if gone:
                await connection.execute(
                    "INSERT INTO endpoint_off (endpoint, at, reason) VALUES ($1, $2, $3) "
                    "ON CONFLICT DO NOTHING",
                    delivery.endpoint, now, error,
                )  # fmt: skip
            if not ended or delivery.detach:
                return
            data = {} if error is None else {"kind": "webhook_failed", "reason": error}
            phase = "done" if error is None else "failed"
            # A signal, not a journal row: only the run's owner writes its journal.
            await signal(
                connection, delivery.run, delivery.path, {"phase": phase, "data": data}, now
            )

    async def endpoints_off(self) -> set[str]:
        """Endpoints that want nothing any more."""
        rows = await self._pool.fetch("SELECT endpoint FROM endpoint_off")
        return {row["endpoint"] for row in rows}

    async def dead_deliveries(
        self, limit: int, before: tuple[int, str] | None = None
    ) -> list[dict[str, Any]]:
        """Webhooks that nobody took, those given up last first."""
        due, last = before or ((1 << 62), "")
        rows = await self._pool.fetch(
            "SELECT id, run, path, endpoint, attempt, at, due, error, "
            "coalesce(body->>'type', '') AS type, length(body::text) AS size FROM delivery "
            "WHERE status = 'dead' AND (due, id) < ($2, $3) ORDER BY due DESC, id DESC LIMIT $1",
            limit, due, last,
        )  # fmt: skip
        return [dict(row) for row in rows]

    async def replay_delivery(self, delivery: str, actor: str, now: int) -> bool:
        """Send a dead one again, under its id, to an endpoint that is thereby on again."""
        async with self._pool.acquire() as connection, connection.transaction():
            endpoint = await connection.fetchval(
                "UPDATE delivery SET status = 'due', attempt = 0, at = $2, due = $2, detach = true "
                "WHERE id = $1 AND status = 'dead' RETURNING endpoint",
                delivery, now,
            )  # fmt: skip
            if endpoint is None:
                return False
            await connection.execute("DELETE FROM endpoint_off WHERE endpoint = $1", endpoint)
            told = {"count": 1, "ids": [delivery]}
            await audit(connection, now, actor, "delivery_replayed", endpoint, told)
            return True


def retry_at(delivery: Delivery, attempt: int, now: int, asked_s: int | None) -> int:
    """When try number `attempt` (from 0) is made: by its schedule, which counts from the first."""
    planned = delivery.at + delivery.schedule[attempt]
    return max(planned, now + (asked_s or 0) * 1000)
