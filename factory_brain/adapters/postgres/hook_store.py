"""Inbound links in PostgreSQL: messages and their answers, alarms, events on their way.

A link's row is locked first in every transaction, so that its events are counted in one order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

import asyncpg
import msgspec

from factory_brain.domain.link_alarms import LinkAlarm
from shared.alarm.states import AlarmState
from shared.ids import new_epoch
from shared.postgres.pool import Connection


class HookStore:
    """Rows of inbound links."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def transaction(self, link: str) -> AsyncIterator[Connection]:
        """A transaction in which this link is ours alone."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(
                "INSERT INTO hook_source (link, epoch, seq) VALUES ($1, $2, 0) "
                "ON CONFLICT (link) DO UPDATE SET seq = hook_source.seq",
                link, new_epoch(),
            )  # fmt: skip
            yield connection

    async def answer(self, tx: Connection, link: str, message: str) -> dict[str, Any] | None:
        """The answer that this message was given."""
        return await tx.fetchval(
            "SELECT answer FROM hook_message WHERE link = $1 AND id = $2", link, message
        )

    async def remember(
        self, tx: Connection, link: str, message: str, answer: dict[str, Any], at: int
    ) -> None:
        """Keep a message's id with its answer."""
        await tx.execute(
            "INSERT INTO hook_message (link, id, answer, at) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (link, id) DO UPDATE SET answer = excluded.answer, at = excluded.at",
            link, message, answer, at,
        )  # fmt: skip

    async def alarm(self, tx: Connection, alarm: str) -> LinkAlarm | None:
        """One alarm."""
        data = await tx.fetchval("SELECT data FROM hook_alarm WHERE alarm = $1", alarm)
        if data is None:
            return None
        return LinkAlarm(**(data | {"state": AlarmState.from_dict(data["state"])}))

    async def count_alarms(self, tx: Connection, link: str) -> int:
        """How many alarms a link has."""
        number: Any = await tx.fetchval("SELECT count(*) FROM hook_alarm WHERE link = $1", link)
        return number

    async def put_alarm(self, tx: Connection, alarm: LinkAlarm) -> None:
        """Write one alarm."""
        data = asdict(alarm) | {"state": alarm.state.to_dict()}
        await tx.execute(
            "INSERT INTO hook_alarm (alarm, link, data, shelved_until) VALUES ($1, $2, $3, $4) "
            "ON CONFLICT (alarm) DO UPDATE SET data = $3, shelved_until = $4",
            alarm.alarm, alarm.link, data, alarm.state.shelved_until,
        )  # fmt: skip

    async def shelves_over(self, now: int) -> list[tuple[str, str]]:
        """(link, alarm) of shelves whose time is over."""
        rows = await self._pool.fetch(
            "SELECT link, alarm FROM hook_alarm WHERE shelved_until <= $1 LIMIT 100", now
        )
        return [(row["link"], row["alarm"]) for row in rows]

    async def append(self, tx: Connection, link: str, events: list[bytes]) -> int:
        """Count events and keep them until they are in the journal; the last one's number."""
        last: Any = await tx.fetchval(
            "UPDATE hook_source SET seq = seq + $2 WHERE link = $1 RETURNING seq", link, len(events)
        )
        first = last - len(events) + 1
        await tx.executemany(
            "INSERT INTO hook_event (link, seq, event) VALUES ($1, $2, $3)",
            [(link, seq, event) for seq, event in enumerate(events, first)],
        )
        return last

    async def waiting(self) -> list[str]:
        """Links with events that are not in the journal yet."""
        rows = await self._pool.fetch("SELECT DISTINCT link FROM hook_event")
        return [row["link"] for row in rows]

    async def next(self, link: str, limit: int) -> tuple[str, int, list[msgspec.Raw]] | None:
        """(epoch, first, events) of what waits, in order."""
        rows = await self._pool.fetch(
            "SELECT s.epoch, e.seq, e.event FROM hook_event e JOIN hook_source s USING (link) "
            "WHERE e.link = $1 ORDER BY e.seq LIMIT $2",
            link, limit,
        )  # fmt: skip
        if not rows:
            return None
        return rows[0]["epoch"], rows[0]["seq"], [msgspec.Raw(row["event"]) for row in rows]

    async def committed(self, link: str, through: int) -> None:
        """They are in the journal."""
        await self._pool.execute(
            "DELETE FROM hook_event WHERE link = $1 AND seq <= $2", link, through
        )

    async def new_fact(self, tx: Connection, fact: str, at: int) -> bool:
        """Note a fact; False if it was applied before."""
        tag = await tx.execute(
            "INSERT INTO hook_fact (id, at) VALUES ($1, $2) ON CONFLICT DO NOTHING", fact, at
        )
        return tag.endswith(" 1")

    async def links(self) -> list[str]:
        """All links that ever reported."""
        return [row["link"] for row in await self._pool.fetch("SELECT link FROM hook_source")]

    async def overview(self) -> dict[str, tuple[int, int | None, int]]:
        """Link -> (events counted, time of the newest message, alarms)."""
        rows = await self._pool.fetch(
            "SELECT s.link, s.seq, (SELECT max(at) FROM hook_message m WHERE m.link = s.link) "
            "AS at, (SELECT count(*) FROM hook_alarm a WHERE a.link = s.link) AS alarms "
            "FROM hook_source s"
        )
        return {row["link"]: (row["seq"], row["at"], row["alarms"]) for row in rows}

    async def prune(self, link: str, before: int, facts_before: int) -> None:
        """Forget message ids and facts of long ago."""
        await self._pool.execute(
            "DELETE FROM hook_message WHERE link = $1 AND at < $2", link, before
        )
        await self._pool.execute("DELETE FROM hook_fact WHERE at < $1", facts_before)
