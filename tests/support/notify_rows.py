"""Notifications without a brain: their rows, a clock that the test moves, a service that obeys it.

Loaded by tests/integration/test_notify_rows.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import asyncpg

from factory_brain.adapters.postgres.notify_reads import NotifyRows
from factory_brain.application.notify.cases import Cases
from factory_brain.application.notify.directory import Directory
from factory_brain.application.notify.planning import Planning
from factory_brain.application.notify.ports import CaseRow, Entry, Message, NotTaken
from factory_brain.application.notify.sending import Sending
from factory_brain.domain.notify.ladder import Case
from factory_brain.domain.rows import Occurrence
from shared.clock import ManualClock
from shared.site.notify import NotifyFile
from shared.site.site import Site

MIN, HOUR = 60_000, 3_600_000


def person_spec(name: str, *secrets: str) -> dict[str, Any]:
    """Somebody with a channel by each of these secrets."""
    channels = [{"kind": "apprise", "url": secret} for secret in secrets]
    return {"id": name, "name": {"zh": name, "en": name}, "channels": channels}


FILE = NotifyFile.model_validate({
    "people": [person_spec("a", "sms"), person_spec("b", "sms"), person_spec("c", "chat", "sms"),
               {"id": "d", "name": {"zh": "d", "en": "d"}, "channels": [{"kind": "log"}]}],
    "ladders": [{"id": "l", "steps": [{"notify": ["d"]}, {"after": "5m", "notify": ["d"]}]}],
    "retry": {"schedule": ["5s"]},
})  # fmt: skip


class Service:
    """Channels that do what the test says."""

    def __init__(self) -> None:
        self.answer: NotTaken | None = None
        self.begun: list[str] = []
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def send(self, channel: Any, letter: Any) -> NotTaken | None:
        """Take it, or not; by sms when the test lets it."""
        self.begun.append(f"{channel.url}/{letter.id}")
        if channel.url == "sms":
            await self.go_on.wait()
        return self.answer


class RowsWorld:
    """Rows, a clock that the test moves, and what sends."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool, self.clock, self.store = pool, ManualClock(), NotifyRows(pool)
        self.service, self.found = Service(), dict[str, Occurrence]()
        self.site = cast(
            Site, SimpleNamespace(
                notify=FILE, info=SimpleNamespace(timezone="UTC", roster={}), alarms={},
                assets=SimpleNamespace(path=lambda _: (), name=lambda _: None),
            ),
        )  # fmt: skip
        self.directory = Directory(self.site, self.clock, self.store)
        self.asked: list[list[str]] = []
        self.planning = Planning(self.clock, self.store, self.directory, self._several)

    async def _several(self, names: list[str]) -> list[Occurrence]:
        self.asked.append(names)
        return [self.found[name] for name in names if name in self.found]

    async def _one(self, name: str) -> Occurrence | None:
        return self.found.get(name)

    def sending(self, system: Callable[..., Any] | None = None) -> Sending:
        """What sends; links and the system's conditions are the test's."""

        async def ack_url(_: Message) -> str:
            return ""

        async def shown(*_: Any) -> None:
            return None

        links = cast(Any, SimpleNamespace(ack_url=ack_url, console_url=lambda _: ""))
        return Sending(
            self.clock, self.store, self.directory, self.service, links, system or shown
        )  # fmt: skip

    def cases(self) -> Cases:
        """What climbs ladders."""

        async def shown(*_: Any) -> None:
            return None

        return Cases(
            self.site, self.clock, self.store, self.planning, self.directory, self._one, shown
        )

    async def case(self, name: str, **more: Any) -> None:
        """An occurrence on its ladder whose first step was told."""
        now = self.clock.now_ms()
        case = Case(f"{name}/l", name, "A", "l", now, step=1, told=1, stepped_at=now,
                    due=now + 5 * MIN)  # fmt: skip
        async with self.pool.acquire() as tx, tx.transaction():
            row = CaseRow(replace(case, **more), "r", "e1", 1, 1, now)
            await self.store.add_cases(tx, [row])

    async def put(self, name: str, person: str = "a", **more: Any) -> Message:
        """A message in the queue."""
        now = self.clock.now_ms()
        message = replace(Message(name, person, "alarm", 1, {}, now, now), **more)
        async with self.store.planning() as tx:
            await self.store.add(tx, [message], (), now)
        return message

    async def claim(self, limit: int = 9) -> list[Message]:
        """What is due, in hand for a minute."""
        now = self.clock.now_ms()
        return await self.store.claim(now, now + MIN, limit)

    async def unreached(self) -> set[str]:
        """Occurrences whose next step does not wait."""
        rows = await self.pool.fetch(
            "SELECT occurrence FROM notify_case WHERE unreached AND due <= $1", self.clock.now_ms()
        )
        return {row["occurrence"] for row in rows}

    async def row(self, message: str) -> Any:
        """A message as it stands."""
        return await self.pool.fetchrow("SELECT * FROM notify_message WHERE id = $1", message)


def entry(message: Message, outcome: str) -> Entry:
    """A line of the log."""
    return Entry(outcome, message.person, "", message.id)
