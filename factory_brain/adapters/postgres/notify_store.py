"""Notifications in PostgreSQL: cases on their ladders, messages, the delivery log.

Called by `application/notify`; decides nothing. Several brains share the tables.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from factory_brain.application.notify.ports import CaseRow, Entry, Message, Said
from factory_brain.domain.notify.ladder import Case
from shared.postgres.audit import audit
from shared.postgres.pool import Connection

PLANNING_LOCK = 1_635_083_371
_CASE = (
    "id", "occurrence", "alarm", "ladder", "base", "status", "why", "round", "step", "told",
    "stepped_at", "nag_at", "due", "ack_until", "unreached", "ack_over", "answered",
)  # fmt: skip
_MESSAGE = (
    "id", "person", "kind", "priority", "facts", "at", "due", "status", "reason", "channel",
    "attempt", "case_id", "n", "occurrence", "alarm", "version", "edge", "kinds", "confirmed_at",
)  # fmt: skip
_M = ", ".join(_MESSAGE)
_LOG = (
    "INSERT INTO notify_log (at, outcome, message, person, kind, channel, occurrence, alarm, "
    "priority, reason, latency_ms) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
)
_RESTART = ", ".join(
    f"{name} = excluded.{name}"
    for name in ("version", "at", "priority", "rule", *_CASE[4:])
    if name != "told"  # tellings are numbered through
)


class NotifyStore:
    """Rows of notifications."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def planning(self) -> AsyncIterator[Connection]:
        """A transaction in which nobody else plans: limits are counted right."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", PLANNING_LOCK)
            yield connection

    # cases

    async def add_cases(self, tx: Connection, rows: Sequence[CaseRow]) -> None:
        """Put occurrences on ladders; one that is there already stays where it is."""
        names = (*_CASE, "rule", "edge", "priority", "version", "at")
        marks = ", ".join(f"${index + 1}" for index in range(len(names)))
        ordered = sorted(rows, key=lambda row: row.case.id)
        await tx.executemany(
            f"INSERT INTO notify_case AS c ({', '.join(names)}) VALUES ({marks}) "
            f"ON CONFLICT (id) DO UPDATE SET {_RESTART} WHERE c.version < excluded.version",
            [
                (
                    *(getattr(row.case, name) for name in _CASE),
                    row.rule, row.edge, row.priority, row.version, row.at,
                )
                for row in ordered
            ],
        )  # fmt: skip

    async def poke(self, tx: Connection | None, occurrences: Sequence[str], now: int) -> None:
        """Look at them now; each case knows for itself when an acknowledgement expires."""
        await (tx or self._pool).execute(
            "UPDATE notify_case SET due = $2 WHERE occurrence = ANY($1::text[]) "
            "AND status <> 'ended'",
            sorted(set(occurrences)), now,
        )  # fmt: skip

    async def due_cases(self, tx: Connection, now: int, limit: int) -> list[CaseRow]:
        """Cases that are due, locked; another brain's are left to it."""
        rows = await tx.fetch(
            "SELECT * FROM notify_case WHERE due <= $1 ORDER BY priority, due LIMIT $2 "
            "FOR UPDATE SKIP LOCKED",
            now, limit,
        )  # fmt: skip
        return [
            CaseRow(
                Case(**{name: row[name] for name in _CASE}), row["rule"], row["edge"],
                row["priority"], row["version"], row["at"],
            )
            for row in rows
        ]  # fmt: skip

    async def save_case(self, tx: Connection, case: Case) -> None:
        """Write where a case stands."""
        names = _CASE[4:]
        sets = ", ".join(f"{name} = ${index + 2}" for index, name in enumerate(names))
        values = [getattr(case, name) for name in names]
        await tx.execute(f"UPDATE notify_case SET {sets} WHERE id = $1", case.id, *values)

    async def answered(self, occurrence: str, now: int) -> None:
        """Somebody answered for an alarm whose acknowledgement had expired."""
        await self._pool.execute(
            "UPDATE notify_case SET answered = true, due = $2 "
            "WHERE occurrence = $1 AND status = 'running' AND ack_over",
            occurrence, now,
        )  # fmt: skip

    async def unreached(self, case_id: str, n: int, now: int) -> bool:
        """If nothing of this telling came or may still come through: the next step, at once."""
        tag = await self._pool.execute(
            "UPDATE notify_case SET unreached = true, due = $3 WHERE id = $1 "
            "AND status = 'running' AND NOT EXISTS (SELECT FROM notify_message WHERE case_id = $1 "
            "AND n = $2 AND status IN ('queued', 'sent', 'summarised'))",
            case_id, n, now,
        )  # fmt: skip
        return tag.endswith(" 1")

    async def running(self, case_id: str) -> bool:
        """Whether a case is still on its ladder."""
        return bool(
            await self._pool.fetchval(
                "SELECT status = 'running' FROM notify_case WHERE id = $1", case_id
            )
        )

    async def told(self, tx: Connection, case_id: str) -> list[str]:
        """Everybody who was told of a case."""
        rows = await tx.fetch(
            "SELECT DISTINCT person FROM notify_message WHERE case_id = $1 "
            "AND status IN ('queued', 'sent') ORDER BY person",
            case_id,
        )  # fmt: skip
        return [row["person"] for row in rows]

    # messages

    async def recent(self, tx: Connection, person: str, since: int) -> int:
        """How many messages a person was sent singly."""
        found: Any = await tx.fetchval(
            "SELECT count(*) FROM notify_message WHERE person = $1 AND at > $2 "
            "AND status IN ('queued', 'sent', 'failed') AND kind <> 'summary'",
            person, since,
        )  # fmt: skip
        return found

    async def add(
        self, tx: Connection, messages: Sequence[Message], entries: Sequence[Entry], now: int
    ) -> None:
        """Add messages and lines of the log."""
        marks = ", ".join(f"${index + 1}" for index in range(len(_MESSAGE)))
        if messages:
            await tx.executemany(
                f"INSERT INTO notify_message ({_M}) VALUES ({marks})",
                [tuple(_plain(each, name) for name in _MESSAGE) for each in messages],
            )
        if entries:
            await tx.executemany(_LOG, [_line(each, now) for each in entries])

    async def claim(self, now: int, until: int, limit: int) -> list[Message]:
        """Messages to be sent now, ours until `until`; the highest priority first."""
        rows = await self._pool.fetch(
            "UPDATE notify_message SET due = $2 WHERE id IN (SELECT id FROM notify_message "
            "WHERE status = 'queued' AND due <= $1 ORDER BY priority, due LIMIT $3 "
            f"FOR UPDATE SKIP LOCKED) AND status = 'queued' RETURNING {_M}",
            now, until, limit,
        )  # fmt: skip
        return sorted((_message(row) for row in rows), key=lambda each: (each.priority, each.at))

    async def settle(self, message: Message, entry: Entry, now: int) -> None:
        """What became of an attempt, with its line in the log."""
        ended = now if message.status in ("sent", "failed", "held") else None
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "UPDATE notify_message SET status = $2, due = $3, reason = $4, channel = $5, "
                "attempt = $6, ended_at = $7 WHERE id = $1",
                message.id, message.status, message.due, message.reason, message.channel,
                message.attempt, ended,
            )  # fmt: skip
            await connection.execute(_LOG, *_line(entry, now))

    async def gathered(self, tx: Connection, now: int) -> list[Message]:
        """All that was gathered for the person whose due time is the oldest."""
        rows = await tx.fetch(
            f"SELECT {_M} FROM notify_message WHERE status = 'gathered' AND person = ("
            "SELECT person FROM notify_message WHERE status = 'gathered' AND due <= $1 "
            "ORDER BY due LIMIT 1) ORDER BY priority, at FOR UPDATE",
            now,
        )
        return [_message(row) for row in rows]

    async def summarise(
        self, tx: Connection, members: Sequence[Message], summary: Message, now: int
    ) -> None:
        """Replace what was gathered by one message; each keeps its line in the log."""
        await tx.execute(
            "UPDATE notify_message SET status = 'summarised', due = NULL, summary = $2, "
            "ended_at = $3 WHERE id = ANY($1::text[])",
            [each.id for each in members], summary.id, now,
        )  # fmt: skip
        entries = [
            Entry(
                "summarised", each.person, each.reason, each.id, each.kind, "", each.occurrence,
                each.alarm, each.priority,
            )
            for each in members
        ]  # fmt: skip
        queued = Entry("queued", summary.person, "", summary.id, summary.kind, "", "", "",
                       summary.priority)  # fmt: skip
        await self.add(tx, [summary], [*entries, queued], now)

    async def wait_longer(self, tx: Connection, members: Sequence[Message], due: int) -> None:
        """It is still quiet: gather on."""
        await tx.execute(
            "UPDATE notify_message SET due = $2 WHERE id = ANY($1::text[])",
            [each.id for each in members], due,
        )  # fmt: skip

    async def next_due(self) -> dict[str, int | None]:
        """When each kind of work is next due."""
        row = await self._pool.fetchrow(
            "SELECT (SELECT min(due) FROM notify_case WHERE due IS NOT NULL) AS cases, "
            "(SELECT min(due) FROM notify_message WHERE status = 'queued') AS queued, "
            "(SELECT min(due) FROM notify_message WHERE status = 'gathered') AS gathered, "
            "(SELECT min(at) FROM notification WHERE told_at IS NULL) AS said"
        )
        return dict(row) if row else {}

    # playbooks

    async def untold(self, tx: Connection, limit: int) -> list[Said]:
        """What playbooks said and nobody was handed yet, locked."""
        rows = await tx.fetch(
            'SELECT n.id, n."to", n.channel, n.message, r.playbook, r.alarm, r.occurrence '
            "FROM notification n LEFT JOIN run r ON r.id = n.run WHERE n.told_at IS NULL "
            "ORDER BY n.at LIMIT $1 FOR UPDATE OF n SKIP LOCKED",
            limit,
        )
        return [
            Said(
                row["id"], tuple(row["to"]), row["channel"], row["message"],
                row["playbook"] or "", row["alarm"] or "", row["occurrence"] or "",
            )
            for row in rows
        ]  # fmt: skip

    async def note_told(self, tx: Connection, ids: Sequence[str], now: int) -> None:
        """It was handed to those who are named."""
        await tx.execute(
            "UPDATE notification SET told_at = $2 WHERE id = ANY($1::text[])", list(ids), now
        )

    # answers

    async def key(self) -> bytes:
        """The key of links in messages, made at the first start."""
        return await self._pool.fetchval(
            "INSERT INTO notify_key (id, key) VALUES (1, $1) "
            "ON CONFLICT (id) DO UPDATE SET id = 1 RETURNING key",
            secrets.token_bytes(32),
        )

    async def message(self, message: str) -> Message | None:
        """One message."""
        row = await self._pool.fetchrow(f"SELECT {_M} FROM notify_message WHERE id = $1", message)
        return _message(row) if row else None

    async def confirm(self, message: Message, entry: Entry, actor: str, now: int) -> bool:
        """Note that its person answered; False if that was so already."""
        async with self._pool.acquire() as connection, connection.transaction():
            tag = await connection.execute(
                "UPDATE notify_message SET confirmed_at = $2 "
                "WHERE id = $1 AND confirmed_at IS NULL",
                message.id, now,
            )  # fmt: skip
            if not tag.endswith(" 1"):
                return False
            await connection.execute(_LOG, *_line(entry, now))
            data = {"person": message.person, "alarm": message.alarm, "result": entry.reason}
            target = message.occurrence or message.id
            await audit(connection, now, actor, "notification_confirmed", target, data)
        return True

    async def confirmed_since(self, since: int) -> dict[str, int]:
        """Edge -> when somebody last answered for it whose channels have not failed since."""
        rows = await self._pool.fetch(
            "SELECT m.edge, max(m.confirmed_at) AS at FROM notify_message m "
            "WHERE m.confirmed_at > $1 AND NOT EXISTS (SELECT FROM notify_message f "
            "WHERE f.person = m.person AND f.status = 'failed' AND f.at > m.at "
            "AND f.ended_at > m.confirmed_at) GROUP BY m.edge",
            since,
        )
        return {row["edge"]: row["at"] for row in rows}


def _plain(message: Message, name: str) -> Any:
    value = getattr(message, name)
    if name == "kinds":
        return list(value)
    return dict(value) if name == "facts" else value


def _message(row: asyncpg.Record) -> Message:
    fields = {name: row[name] for name in _MESSAGE}
    return Message(**{**fields, "kinds": tuple(row["kinds"])})


def _line(entry: Entry, now: int) -> tuple[Any, ...]:
    return (
        now, entry.outcome, entry.message, entry.person, entry.kind, entry.channel,
        entry.occurrence, entry.alarm, entry.priority, entry.reason, entry.latency_ms,
    )  # fmt: skip
