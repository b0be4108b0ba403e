"""Notifications in PostgreSQL: cases on their ladders, messages, the delivery log.

Called by `application/notify`; decides nothing. Several brains share the tables.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from factory_brain.adapters.postgres.notify_outbox import (
    LOG,
    MESSAGE,
    MESSAGE_NAMES,
    NotifyOutbox,
    line,
    message_of,
    plain,
)
from factory_brain.application.notify.ports import CaseRow, Entry, Message, Said
from factory_brain.domain.notify.ladder import Case
from shared.postgres.audit import audit
from shared.postgres.pool import Connection

PLANNING_LOCK = 1_635_083_371
IN_A_SUMMARY = 1_000
_CASE = (
    "id", "occurrence", "alarm", "ladder", "base", "status", "why", "round", "step", "told",
    "stepped_at", "nag_at", "due", "ack_until", "unreached", "ack_over", "answered",
)  # fmt: skip
_RESTART = ", ".join(
    f"{name} = excluded.{name}"
    for name in ("version", "at", "priority", "rule", *_CASE[4:])
    if name != "told"  # tellings are numbered through
)


class NotifyStore(NotifyOutbox):
    """Rows of notifications."""

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
        """Look at them now; each case knows for itself when an acknowledgement expires.

        Whoever takes several cases takes them in the order of their ids: else two wait for good.
        """
        await (tx or self._pool).execute(
            "WITH these AS (SELECT id FROM notify_case WHERE occurrence = ANY($1::text[]) "
            "ORDER BY id FOR UPDATE) UPDATE notify_case c SET due = $2 FROM these "
            "WHERE c.id = these.id AND c.status <> 'ended'",
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
            "WITH these AS (SELECT id FROM notify_case WHERE occurrence = $1 "
            "ORDER BY id FOR UPDATE) UPDATE notify_case c SET answered = true, due = $2 "
            "FROM these WHERE c.id = these.id AND c.status = 'running' AND c.ack_over",
            occurrence, now,
        )  # fmt: skip

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
        marks = ", ".join(f"${index + 1}" for index in range(len(MESSAGE_NAMES)))
        if messages:
            await tx.executemany(
                f"INSERT INTO notify_message ({MESSAGE}) VALUES ({marks})",
                [tuple(plain(each, name) for name in MESSAGE_NAMES) for each in messages],
            )
        if entries:
            await tx.executemany(LOG, [line(each, now) for each in entries])

    async def gathered(self, tx: Connection, now: int) -> list[Message]:
        """What was gathered for the person whose due time is the oldest, the worst of it first.

        Of a flood so much as one transaction should hold; the rest is the next summary's.
        """
        rows = await tx.fetch(
            f"SELECT {MESSAGE} FROM notify_message WHERE status = 'gathered' AND person = ("
            "SELECT person FROM notify_message WHERE status = 'gathered' AND due <= $1 "
            "ORDER BY due LIMIT 1) ORDER BY priority, at LIMIT $2 FOR UPDATE",
            now, IN_A_SUMMARY,
        )  # fmt: skip
        return [message_of(row) for row in rows]

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

    async def wait_longer(self, tx: Connection, person: str, due: int) -> None:
        """It is still quiet: gather on."""
        await tx.execute(
            "UPDATE notify_message SET due = $2 WHERE person = $1 AND status = 'gathered'",
            person, due,
        )  # fmt: skip

    async def next_due(self) -> dict[str, int | None]:
        """When each kind of work is next due."""
        row = await self._pool.fetchrow(
            "SELECT (SELECT min(due) FROM notify_case WHERE due IS NOT NULL) AS cases, "
            "(SELECT min(due) FROM notify_message WHERE status = 'queued') AS queued, "
            "(SELECT min(due) FROM notify_message WHERE status = 'gathered') AS gathered, "
            "(SELECT 0 FROM notification WHERE told_at IS NULL LIMIT 1) AS said"
        )
        return dict(row) if row else {}

    async def bring_forward(self, ms: int) -> None:
        """The clock was set back by `ms`: what waits for a time of the day before is due as then.

        The wall clock's hours of quiet are asked again when it is due.
        """
        async with self.planning() as tx:
            await tx.execute(
                "WITH these AS (SELECT id FROM notify_case WHERE status <> 'ended' "
                "ORDER BY id FOR UPDATE) UPDATE notify_case c SET base = base - $1, "
                "stepped_at = stepped_at - $1, nag_at = nag_at - $1, due = due - $1, "
                "ack_until = ack_until - $1 FROM these WHERE c.id = these.id",
                ms,
            )
            await tx.execute(
                "UPDATE notify_message SET due = due - $1 WHERE status IN ('queued', 'gathered')",
                ms,
            )

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
        row = await self._pool.fetchrow(
            f"SELECT {MESSAGE} FROM notify_message WHERE id = $1", message
        )
        return message_of(row) if row else None

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
            await connection.execute(LOG, *line(entry, now))
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
