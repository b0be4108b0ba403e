"""Messages on their way: sent, tried again, by the next channel, or failed aloud.

Each is sent beside the others, and a service has only some of the places: one that hangs keeps
nobody waiting but its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from factory_brain.application.notify.directory import Directory
from factory_brain.application.notify.letters import Links
from factory_brain.application.notify.ports import (
    Channels,
    Entry,
    Letter,
    Message,
    NotTaken,
    Place,
    SetSystem,
    Store,
)
from factory_brain.domain.notify.plan import FOR_ONE_SERVICE, choose, retry_at, service_of
from factory_brain.domain.notify.wording import worded
from shared.clock import Clock
from shared.site.notify import PersonSpec
from shared.telemetry import logger

log = logger("notify")
LEASE_MS = 60_000
"""A message in hand is another's after this, should this brain end in the middle."""
AT_ONCE = 12
"""Several services hang at once when the way out of the plant is gone; the mail server may work."""
PATIENCE_S = 60
"""A service that asks to be left alone is heard for so long at most."""
IDLE_S = 2.0
LET_IN_S = 3.0
PASSING = ("alarm", "reminder")
"""Not worth a second try once the case is over."""


class Sending:
    """Sends what is queued."""

    def __init__(
        self, clock: Clock, store: Store, directory: Directory, channels: Channels, links: Links,
        system: SetSystem,
    ) -> None:  # fmt: skip
        self._clock, self._store, self._directory = clock, store, directory
        self._channels, self._links, self._system = channels, links, system
        self._wake = asyncio.Event()
        self._driving: dict[asyncio.Task[None], str] = {}
        """What is being sent, and by which service."""
        self._shown: dict[str, str | None] = {}
        self.on_unreached: list[Callable[[], None]] = []

    def wake(self) -> None:
        """Something is queued."""
        self._wake.set()

    async def run(self) -> None:
        """For ever: whatever is queued."""
        self._shown.clear()  # another brain may have led since
        try:
            while True:
                self._wake.clear()
                while len(self._driving) < AT_ONCE and await self._take():
                    pass
                await self._idle()
        finally:
            if self._driving:  # what is at the service's door is let in: else it is sent twice
                await asyncio.wait(self._driving, timeout=LET_IN_S)
            for task in self._driving:
                task.cancel()
            await asyncio.gather(*self._driving, return_exceptions=True)

    async def _take(self) -> bool:
        """Start one message, if one is due for whose service there is a place."""
        now = self._clock.now_ms()
        found = await self._store.claim(now, now + LEASE_MS, 1, self._full())
        for message in found:
            task = asyncio.create_task(self._safely(message))
            self._driving[task] = self._service(message)
            task.add_done_callback(self._driving.pop)
        return bool(found)

    def _service(self, message: Message) -> str:
        person = self._directory.person(message.person)
        if person is None or message.channel >= len(person.channels):
            return ""
        return service_of(person.channels[message.channel])

    def _full(self) -> list[Place]:
        """Channels of people by services that have all their places taken."""
        taken = Counter(self._driving.values())
        full = {name for name, n in taken.items() if name and n >= FOR_ONE_SERVICE}
        if not full:
            return []
        return [
            (person.id, index)
            for person in self._directory.file.people
            for index, channel in enumerate(person.channels)
            if service_of(channel) in full
        ]

    async def _idle(self) -> None:
        wait = IDLE_S  # whoever is done wakes us
        if len(self._driving) < AT_ONCE:
            due = await self._store.next_queued(self._full())
            if due is not None:
                wait = min(IDLE_S, (due - self._clock.now_ms()) / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wait, 0.02)):
                await self._wake.wait()

    async def _safely(self, message: Message) -> None:
        try:
            await self.deliver(message)
        except Exception:  # the lease ends by itself and it is claimed again: nothing is lost
            log.exception("message_interrupted", message=message.id)
        finally:
            self._wake.set()

    async def deliver(self, message: Message) -> None:
        """One attempt, and what becomes of the message by it."""
        person = self._directory.person(message.person)
        if person is None or message.channel >= len(person.channels):
            await self._failed(message, "", "unknown_person" if person is None else "no_channel")
            return
        again = message.attempt > 0 or message.channel > 0
        if again and await self._over(message):
            await self._settle(message, "held", "held", "", "alarm_over")
            return
        channel = person.channels[message.channel]
        refused = await self._channels.send(channel, await self._letter(message, person))
        if refused is None:
            if await self._settle(message, "sent", "sent", channel.kind, "") is not None:
                await self._complain(person.id, None)
            return
        log.warning(
            "notification_not_sent", person=person.id, channel=channel.kind, error=refused.why,
            attempt=message.attempt + 1,
        )  # fmt: skip
        await self._retry(message, person, refused)

    async def _over(self, message: Message) -> bool:
        """Whether its alarm has ended or was answered while the message waited."""
        if message.case_id is None or message.kind not in PASSING:
            return False
        return not await self._store.running(message.case_id)

    async def _letter(self, message: Message, person: PersonSpec) -> Letter:
        ack = await self._links.ack_url(message)
        console = self._links.console_url(message)
        words = worded(
            message.kind, message.facts, person.language, self._directory.zone(person), ack, console
        )
        facts = {
            **message.facts, "kind": message.kind, "person": person.id, "title": words.title,
            "text": words.text, "ack_url": ack,
        }  # fmt: skip
        return Letter(message.id, words.title, words.text, facts)

    async def _retry(self, message: Message, person: PersonSpec, refused: NotTaken) -> None:
        """The same channel later, the next one, or nothing more that can be done.

        A service that asks for a longer wait gets it, unless the person has another channel.
        """
        now, kind, error = (
            self._clock.now_ms(), person.channels[message.channel].kind, refused.why
        )  # fmt: skip
        due = retry_at(self._directory.file.retry.schedule, message.attempt + 1, now)
        asked = now + min(refused.retry_after_s or 0, PATIENCE_S) * 1000
        choice = choose(
            person.channels, message.kinds, message.priority, self._directory.zone(person), now,
            message.channel + 1,
        )  # fmt: skip
        if due is not None and (asked <= due or choice.channel is None):
            later = replace(message, attempt=message.attempt + 1)
            await self._settle(later, "queued", "retried", kind, error, max(due, asked))
            return
        if choice.channel is not None:
            other = replace(message, channel=choice.channel, attempt=0)
            await self._settle(other, "queued", "failed", kind, error, now)
        else:
            await self._failed(message, kind, error)

    async def _failed(self, message: Message, kind: str, error: str) -> None:
        """The ladders it was for go on by the same commit; the condition is shown after that."""
        hurried = await self._settle(message, "failed", "failed", kind, error)
        if hurried is None:
            return
        if hurried:
            for wake in self.on_unreached:
                wake()
        await self._complain(message.person, error)

    async def _settle(
        self, message: Message, status: str, outcome: str, kind: str, reason: str,
        due: int | None = None,
    ) -> int | None:  # fmt: skip
        """Write it down: the ladders that go on for it, None if another brain took it over."""
        now = self._clock.now_ms()
        entry = Entry(
            outcome, message.person, reason[:500], message.id, message.kind, kind,
            message.occurrence, message.alarm, message.priority, now - message.at,
        )  # fmt: skip
        hurried = await self._store.settle(
            replace(message, status=status, due=due, reason=reason[:500]), entry, now
        )
        if hurried is None:
            log.warning("notification_taken_over", message=message.id, outcome=outcome)
        return hurried

    async def _complain(self, person: str, error: str | None) -> None:
        """Show or take back the condition, when that is a change (or not known after a start)."""
        if person in self._shown and self._shown[person] == error:
            return
        await self._system(
            f"person-{person}", error is not None, {"subject": error} if error else {}
        )
        self._shown[person] = error
