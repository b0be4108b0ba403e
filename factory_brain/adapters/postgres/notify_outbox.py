"""Messages on their way out, in PostgreSQL: taken in hand, and what became of each attempt.

Called by `application/notify/sending`; several brains share the rows, the newest claim counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from factory_brain.application.notify.ports import Entry, Message, Place
from shared.postgres.pool import Connection

MESSAGE_NAMES = (
    "id", "person", "kind", "priority", "facts", "at", "due", "status", "reason", "channel",
    "attempt", "case_id", "n", "occurrence", "alarm", "version", "edge", "kinds", "confirmed_at",
    "claims",
)  # fmt: skip
MESSAGE = ", ".join(MESSAGE_NAMES)
LOG = (
    "INSERT INTO notify_log (at, outcome, message, person, kind, channel, occurrence, alarm, "
    "priority, reason, latency_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
)
_NOT_FULL = (
    "AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::int[]) AS f(person, channel) "
    "WHERE f.person = m.person AND f.channel = m.channel) "
)
_HURRY = (
    "UPDATE notify_case c SET unreached = true, due = $3 WHERE c.id = ANY($1::text[]) "
    "AND c.status = 'running' AND EXISTS ("
    "SELECT FROM unnest($1::text[], $2::int[]) AS t(case_id, n) WHERE t.case_id = c.id "
    "AND NOT EXISTS (SELECT FROM notify_message m "
    "LEFT JOIN notify_message s ON s.id = m.summary WHERE m.case_id = c.id "
    "AND (m.n = t.n OR (m.n > t.n AND m.kind <> 'reminder')) AND (m.status IN ('queued', 'sent') "
    "OR (m.status = 'summarised' AND s.status IN ('queued', 'sent')))))"
)
"""Ladders of whose telling, or of a later step's, nothing came and nothing may still come."""


class NotifyOutbox:
    """Rows of messages that are to be sent."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def claim(
        self, now: int, until: int, limit: int, full: Sequence[Place] = ()
    ) -> list[Message]:
        """Messages to be sent now, ours until `until`; the highest priority first.

        What is chosen stands in a WITH: as a subquery it may be asked once for each row, and each
        time skip what it has locked, so that more are claimed than the limit says.
        """
        names = ", ".join(f"q.{name}" for name in MESSAGE_NAMES)
        rows = await self._pool.fetch(
            "WITH ours AS MATERIALIZED (SELECT m.id FROM notify_message m "
            f"WHERE m.status = 'queued' AND m.due <= $3 {_NOT_FULL}"
            "ORDER BY m.priority, m.due LIMIT $5 FOR UPDATE SKIP LOCKED) "
            "UPDATE notify_message q SET due = $4, claims = q.claims + 1 FROM ours "
            f"WHERE q.id = ours.id AND q.status = 'queued' RETURNING {names}",
            *_columns(full), now, until, limit,
        )  # fmt: skip
        return sorted((message_of(row) for row in rows), key=lambda each: (each.priority, each.at))

    async def next_queued(self, full: Sequence[Place]) -> int | None:
        """When a message is next due that would not go to `full`."""
        return await self._pool.fetchval(
            "SELECT m.due FROM notify_message m WHERE m.status = 'queued' "
            f"{_NOT_FULL}ORDER BY m.due LIMIT 1",
            *_columns(full),
        )

    async def settle(self, message: Message, entry: Entry, now: int) -> int | None:
        """What became of an attempt, with its line in the log and what it means for ladders.

        So many ladders go on at once for it; None: another claim has the message by now. What a
        person was sent stands in the log all the same.
        """
        ended = now if message.status in ("sent", "failed", "held") else None
        async with self._pool.acquire() as connection, connection.transaction():
            tellings = await _tellings(connection, message) if message.status == "failed" else []
            tag = await connection.execute(
                "UPDATE notify_message SET status = $2, due = $3, reason = $4, channel = $5, "
                "attempt = $6, ended_at = $7 WHERE id = $1 AND status = 'queued' AND claims = $8",
                message.id, message.status, message.due, message.reason, message.channel,
                message.attempt, ended, message.claims,
            )  # fmt: skip
            ours = tag.endswith(" 1")
            if ours or entry.outcome == "sent":
                await connection.execute(LOG, *line(entry, now))
            return await _hurry(connection, tellings, now) if ours else None


async def _tellings(tx: Connection, message: Message) -> list[tuple[str, int]]:
    """The (case, number) that a message tells of, or a summary's members do; the cases locked.

    They are locked before the message is written: of two that fail at once the later one sees the
    other, and the ladder goes on.
    """
    found = [] if message.case_id is None else [(message.case_id, message.n)]
    if message.kind == "summary":
        rows = await tx.fetch(
            "SELECT DISTINCT case_id, n FROM notify_message "
            "WHERE person = $1 AND summary = $2 AND case_id IS NOT NULL",
            message.person, message.id,
        )  # fmt: skip
        found += [(row["case_id"], row["n"]) for row in rows]
    if found:
        await tx.execute(
            "SELECT FROM notify_case WHERE id = ANY($1::text[]) ORDER BY id FOR UPDATE",
            [case for case, _ in found],
        )
    return found


async def _hurry(tx: Connection, tellings: Sequence[tuple[str, int]], now: int) -> int:
    """The next step at once where nothing came through; how many ladders."""
    if not tellings:
        return 0
    tag = await tx.execute(_HURRY, *_columns(tellings), now)
    return int(tag.rpartition(" ")[2])


def _columns(pairs: Sequence[tuple[str, int]]) -> tuple[list[str], list[int]]:
    return [name for name, _ in pairs], [number for _, number in pairs]


def plain(message: Message, name: str) -> Any:
    """One column of a message."""
    value = getattr(message, name)
    if name == "kinds":
        return list(value)
    return dict(value) if name == "facts" else value


def message_of(row: asyncpg.Record) -> Message:
    """The message of a row."""
    fields = {name: row[name] for name in MESSAGE_NAMES}
    return Message(**{**fields, "kinds": tuple(row["kinds"])})


def line(entry: Entry, now: int) -> tuple[Any, ...]:
    """A line of the log, as LOG takes it."""
    return (
        now, entry.outcome, entry.message, entry.person, entry.kind, entry.channel,
        entry.occurrence, entry.alarm, entry.priority, entry.reason, entry.latency_ms,
    )  # fmt: skip
