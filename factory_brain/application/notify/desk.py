"""What people do with notifications: read the log, see who has duty, enter leave, try a channel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from factory_brain.application.notify.directory import Directory, OnCall
from factory_brain.application.notify.letters import Links
from factory_brain.application.notify.planning import Draft, Planning
from factory_brain.application.notify.ports import Entered, LogFilter, Store
from factory_brain.application.ports import Audit
from factory_brain.domain.notify.duty import Override
from shared.clock import Clock
from shared.errors import Rejected
from shared.ids import uuid7

LONGEST_MS = 366 * 86_400_000


class NotifyDesk:
    """Notifications as people handle them."""

    def __init__(
        self, clock: Clock, store: Store, directory: Directory, planning: Planning, links: Links,
        audit: Audit, wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._clock, self._store, self._directory = clock, store, directory
        self._planning, self.links, self._audit, self._wake = planning, links, audit, wake

    @property
    def directory(self) -> Directory:
        """The people of the site."""
        return self._directory

    def now(self) -> int:
        """The time."""
        return self._clock.now_ms()

    def answered(self) -> None:
        """Somebody answered: ladders may stop."""
        self._wake()

    async def log(self, wanted: LogFilter, limit: int) -> list[dict[str, Any]]:
        """Lines of the log, newest first."""
        return await self._store.log(wanted, limit)

    async def on_call(self, at: int) -> list[OnCall]:
        """Who has duty on every roster at `at`."""
        await self._directory.refresh(now=True)
        names = [each.id for each in self._directory.file.rosters]
        found = [self._directory.on_call(name, at) for name in names]
        return [each for each in found if each is not None]

    async def try_out(self, person: str, channel: int | None, actor: str) -> str | Rejected:
        """Send somebody a test message; its id."""
        spec = self._directory.person(person)
        if spec is None:
            return Rejected("no_such_person", {"person": person})
        if channel is not None and channel >= len(spec.channels):
            return Rejected("unknown_channel", {"person": person, "channel": channel})
        kinds = () if channel is None else (spec.channels[channel].kind,)
        now = self._clock.now_ms()
        async with self._store.planning() as tx:
            draft = Draft("test", 1, {"by": actor}, kinds=kinds)
            messages = await self._planning.tell(tx, [person], draft)
            await self._audit(
                tx, now, actor, "notification_test", person, {"message": messages[0].id}
            )
        self._wake()
        return messages[0].id

    async def enter(
        self, roster: str, since: int, until: int, instead_of: str | None, by: str | None,
        why: str, actor: str,
    ) -> str | Rejected:  # fmt: skip
        """Enter leave or a swap; its id."""
        known = self._directory.on_call(roster, since)
        if known is None:
            return Rejected("unknown_roster", {"roster": roster})
        for name in (instead_of, by):
            if name is not None and self._directory.person(name) is None:
                return Rejected("no_such_person", {"person": name})
        if instead_of is None and by is None:
            return Rejected("override_empty", {})
        if not since < until <= since + LONGEST_MS:
            return Rejected("override_times", {})
        override = Override(uuid7(self._clock), since, until, instead_of, by)
        before = {"on_duty": known.duty.person}
        await self._store.add_override(
            Entered(override, roster, why, actor, self._clock.now_ms(), before)
        )
        await self._directory.refresh(now=True)
        return override.id

    async def cancel(self, roster: str, override: str, actor: str) -> bool:
        """Take leave or a swap back."""
        done = await self._store.cancel_override(roster, override, actor, self._clock.now_ms())
        await self._directory.refresh(now=True)
        return done
