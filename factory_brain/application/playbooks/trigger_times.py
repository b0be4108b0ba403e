"""Triggers that only time fires: alarms that must stand for a while, gathered ones, cron lines.

Called by `triggers.py` within its rounds; all of it is in the database, so a restart loses no time.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.playbooks.starting import Turn, wanted
from factory_brain.application.playbooks.trigger_ports import (
    Held,
    OccurrenceReads,
    TriggerStore,
)
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.triggers import occasions
from factory_brain.domain.triggers.firing import Firing, firing_id
from factory_brain.domain.triggers.index import Entry
from shared.clock import Clock
from shared.playbook.cron import MINUTE_MS, Cron
from shared.site.loader import Site

AT_ONCE = 500
SETTLE_MS = 5_000
"""So long a held alarm waits for what its edge still has to say; then it counts as standing."""
LOOK_BACK_MS = 31 * 24 * 3_600_000
"""Cron minutes that were missed are counted as far back."""


class TriggerTimes:
    """Fires what is due."""

    def __init__(
        self, site: Site, clock: Clock, store: TriggerStore, releases: Releases,
        alarms: OccurrenceReads,
    ) -> None:  # fmt: skip
        self._site, self._clock, self._store, self._releases = site, clock, store, releases
        self._alarms = alarms
        self._began = clock.now_ms()
        self._minute = -1
        self.heard: Callable[[str], bool] = lambda _: True
        """Whether all that an edge recorded is here, or it is known to be away."""

    async def due(self) -> bool:
        """Whether a minute has begun that cron triggers have not seen."""
        return bool(self._releases.index.crons) and self._minute != self._now_minute()

    def _now_minute(self) -> int:
        return self._clock.now_ms() // MINUTE_MS

    async def take(self, tx: Any, turn: Turn) -> None:
        """Fire what is due."""
        await self._held(tx, turn)
        for gathered in await self._store.due_windows(tx, turn.now, AT_ONCE):
            place = (gathered.playbook, gathered.trigger, gathered.by)
            await self._store.drop_window(tx, *place)
            entry = self._releases.index.by_name.get((gathered.playbook, gathered.trigger))
            if entry is not None and gathered.window.firing is not None:
                await turn.fire(entry, gathered.window.firing)
        if await self.due():
            minute = self._now_minute()
            for entry in self._releases.index.crons:
                await self._cron(tx, turn, entry)
            self._minute = minute

    async def _held(self, tx: Any, turn: Turn) -> None:
        due = await self._store.held(tx, turn.now, AT_ONCE)
        if not due:
            return
        found = await self._alarms.several(sorted({each.occurrence for each in due}))
        by_name = {each.occurrence: each for each in found}
        ended: list[str] = []
        for held in due:
            turn.undecided(held.id)
            if await self._one(turn, held, by_name.get(held.occurrence)):
                ended.append(held.id)
        await self._store.let_go(tx, ended)

    async def _one(self, turn: Turn, held: Held, found: Occurrence | None) -> bool:
        """Decide about one; False while its edge may still say that it has dipped."""
        entry = self._releases.index.by_name.get((held.playbook, held.trigger))
        if entry is None:
            return True  # withdrawn
        stands = occasions.standing(entry.trigger, found)
        if stands == "stands":
            since = max(held.due, self._began)
            if found and not self.heard(found.edge) and turn.now < since + SETTLE_MS:
                return False
            await turn.offer(entry, held.firing)
        elif stands == "hidden":
            if entry.trigger.transition != "raised":  # that one is offered anew when it shows
                turn.note(entry, held.firing, "gone")
        elif stands == "gone" and turn.now - held.due <= occasions.LATE_MS:
            await turn.offer(entry, held.firing)  # it stood for long enough
        else:
            turn.note(entry, held.firing, stands)
        return True

    async def _cron(self, tx: Any, turn: Turn, entry: Entry) -> None:
        line = entry.trigger.cron or ""
        name = f"cron/{entry.book.playbook}/{entry.trigger.id}"
        seen, now = await self._store.seen(tx, name), turn.now
        await self._store.set_seen(tx, name, now, line)
        if seen is None or seen[1] != line:
            return  # a line counts from its release
        zone = ZoneInfo(self._site.info.timezone)
        after = max(seen[0], now - LOOK_BACK_MS)
        due = [self._of_minute(entry, at) for at in Cron.parse(line).due(zone, after, now)]
        await turn.know(firing.id for firing in due)
        for firing in due[:-1]:
            turn.note(entry, firing, "missed")
        for firing in due[-1:]:
            if now - firing.at > entry.book.stale_after:
                turn.note(entry, firing, "missed")
            elif wanted(entry, firing, self._releases.inputs(entry.book)):
                await turn.offer(entry, firing)

    def _of_minute(self, entry: Entry, at: int) -> Firing:
        site, book = self._site.info.site, entry.book.playbook
        seen = {"id": "cron", "asset": "", "raised_at": at, "priority": None, "value": None}
        return Firing(
            firing_id(site, book, entry.trigger.id, f"cron:{at}"), book, entry.trigger.id, at,
            seen, "cron",
        )  # fmt: skip
