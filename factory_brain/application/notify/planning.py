"""Messages planned: for whom, by which channel, now or gathered; and what was gathered, told.

Whatever is planned is a row and a line of the log in one transaction: nothing is lost between.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from factory_brain.application.notify.directory import Directory
from factory_brain.application.notify.facts import summary_facts
from factory_brain.application.notify.ports import Entry, FindOccurrences, Message, Said, Store
from factory_brain.application.ports import Transaction
from factory_brain.domain.notify.plan import choose, plan
from shared.clock import Clock
from shared.ids import uuid7

SAID_PRIORITY = {"call": 1, "urgent": 2, "console": 3}
SAID_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Draft:
    """A message without its addressee."""

    kind: str
    priority: int
    facts: dict[str, Any]
    case_id: str | None = None
    n: int = 0
    occurrence: str = ""
    alarm: str = ""
    version: int = 0
    edge: str = ""
    kinds: tuple[Any, ...] = ()


class Planning:
    """Turns what is to be told into rows."""

    def __init__(
        self, clock: Clock, store: Store, directory: Directory, occurrences: FindOccurrences
    ) -> None:
        self._clock, self._store = clock, store
        self._directory, self._occurrences = directory, occurrences

    async def tell(self, tx: Transaction, people: Sequence[str], draft: Draft) -> list[Message]:
        """Plan a message to each person; what is held says so in the log."""
        now = self._clock.now_ms()
        messages = [await self._message(tx, person, draft, now) for person in people]
        entries = [
            Entry(
                "queued" if each.status == "queued" else "held", each.person, each.reason, each.id,
                each.kind, "", each.occurrence, each.alarm, each.priority,
            )
            for each in messages
        ]  # fmt: skip
        await self._store.add(tx, messages, entries, now)
        return messages

    async def _message(self, tx: Transaction, person: str, draft: Draft, now: int) -> Message:
        message = Message(
            uuid7(self._clock), person, draft.kind, draft.priority, draft.facts, now, now,
            case_id=draft.case_id, n=draft.n, occurrence=draft.occurrence, alarm=draft.alarm,
            version=draft.version, edge=draft.edge, kinds=draft.kinds,
        )  # fmt: skip
        spec, file = self._directory.person(person), self._directory.file
        if spec is None:
            return message  # the sender says that nobody knows this person
        choice = choose(spec.channels, draft.kinds, draft.priority, self._directory.zone(spec), now)
        recent = await self._store.recent(tx, person, now - file.limits.within)
        planned = plan(choice, draft.priority, recent, file, now)
        return replace(
            message, status=planned.status, due=planned.due, channel=planned.channel,
            reason=planned.reason,
        )  # fmt: skip

    async def gather(self) -> bool:
        """Tell one person what was gathered, if some of it is due; whether there was any."""
        now = self._clock.now_ms()
        async with self._store.planning() as tx:
            members = await self._store.gathered(tx, now)
            if not members:
                return False
            person, worst = members[0].person, members[0].priority
            spec, file = self._directory.person(person), self._directory.file
            channel = 0
            if spec is not None:
                zone = self._directory.zone(spec)
                choice = choose(spec.channels, (), worst, zone, now)
                if choice.channel is None:
                    await self._store.wait_longer(tx, person, choice.quiet_until or now + 60_000)
                    return True
                channel = choice.channel
            standing = await self._standing({m.occurrence for m in members} - {""})
            facts = summary_facts(members, standing, file.summaries.top)
            summary = Message(
                uuid7(self._clock), person, "summary", worst, facts, now, now, channel=channel,
                edge=members[0].edge,
            )  # fmt: skip
            await self._store.summarise(tx, members, summary, now)
        return True

    async def _standing(self, occurrences: set[str]) -> set[str]:
        found = await self._occurrences(sorted(occurrences)) if occurrences else []
        return {each.occurrence for each in found if each.view.state.active}

    async def playbooks(self) -> bool:
        """Hand what playbooks said to those who are named; whether there was any."""
        now = self._clock.now_ms()
        async with self._store.planning() as tx:
            said = await self._store.untold(tx, SAID_AT_ONCE)
            for each in said:
                await self._said(tx, each, now)
            await self._store.note_told(tx, [each.id for each in said], now)
        return bool(said)

    async def _said(self, tx: Transaction, said: Said, now: int) -> None:
        # Who is asked by role at the console is not called up at home for it.
        roles = said.channel != "console"
        people = self._directory.addressed(said.to, roles=roles, at=now)
        facts = {
            "name": {"zh": said.playbook, "en": said.playbook}, "message": dict(said.message),
            "alarm": said.alarm, "occurrence": said.occurrence,
        }  # fmt: skip
        draft = Draft("playbook", SAID_PRIORITY.get(said.channel, 3), facts, alarm=said.alarm)
        await self.tell(tx, people, draft)
