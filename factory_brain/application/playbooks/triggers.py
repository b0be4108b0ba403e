"""What starts playbooks: follows the journal, incidents, events and the clock, each once.

Runs in every brain; a round's firings and its place in the journal are one commit under one lock.
It decides nothing that `domain/triggers` decides, and runs no playbook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.playbooks.starting import Turn, wanted
from factory_brain.application.playbooks.trigger_ports import (
    Feed,
    Held,
    OccurrenceReads,
    TriggerStore,
)
from factory_brain.application.playbooks.trigger_times import TriggerTimes
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.triggers import occasions
from factory_brain.domain.triggers.firing import Firing, firing_id
from factory_brain.domain.triggers.index import Entry
from shared.clock import Clock
from shared.errors import StoreError
from shared.messages.bodies import AlarmTransition
from shared.site.loader import Site
from shared.telemetry import logger

log = logger("triggers")
BATCH = 500
AT_ONCE = 100
IDLE_S = 1.0
AGAIN_S = 0.05


class Told(Protocol):
    """One event of the journal."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def time(self) -> int:
        """When it happened."""
        ...

    @property
    def late(self) -> bool:
        """Whether it came late."""
        ...

    @property
    def body(self) -> Any:
        """The wire struct."""
        ...


class Triggers:
    """Starts the runs of one factory."""

    def __init__(
        self, site: Site, clock: Clock, store: TriggerStore, releases: Releases,
        alarms: OccurrenceReads, feed: Feed,
    ) -> None:  # fmt: skip
        self._site, self._clock, self._store, self._releases = site, clock, store, releases
        self._alarms, self._feed = alarms, feed
        self._looked = -1
        """What had changed by the last look at what stands."""
        self.times = TriggerTimes(site, clock, store, releases, alarms)
        self.on_started: list[Callable[[], None]] = []
        """Told after a commit that runs may begin."""
        self.on_cancelled: list[Callable[[str], None]] = []
        """Told after a commit each run that was told to end."""
        self.on_told: list[Callable[[Mapping[str, str]], Awaitable[None]]] = []
        """Told which occurrences have which run now."""

    def wake(self) -> None:
        """Something may have ended, come or become due."""
        self._feed.wake()

    async def run(self) -> None:
        """Follow for ever; look first at what stands, which may be older than a release."""
        await self._feed.next(1)  # from here on nothing is missed
        while True:
            try:
                await self.catch_up()
                while await self.round():
                    pass
            except StoreError as error:  # another brain was faster: nothing of this round stands
                log.info("trigger_round_undone", error=str(error))
                await asyncio.sleep(AGAIN_S)
                continue
            await self._feed.wait(await self._pause())

    async def _pause(self) -> float:
        now, due = self._clock.now_ms(), await self._store.next_due()
        minute = 60_000 - now % 60_000 if self._releases.index.crons else 60_000
        wait = min(minute, max(due - now, 0) if due is not None else 60_000)
        return min(max(wait / 1000, 0.005), IDLE_S)

    async def round(self) -> bool:
        """Decide about what is new and due; whether there was anything."""
        events = await self._feed.next(BATCH)
        due = await self.times.due()
        if not events and not due and not await self._store.restless(self._clock.now_ms()):
            return False
        picked = self._picked(events)
        names = {e.body.occurrence for e, _ in picked if isinstance(e.body, AlarmTransition)}
        found = {each.occurrence: each for each in await self._alarms.several(sorted(names))}
        async with self._store.transaction() as tx:
            if events:
                await self._feed.done(tx, events)
            turn = Turn(tx, self._store, self._releases, self._site, self._clock)
            offers = self._offers(picked, found)
            await turn.know(firing.id for _, firing in offers)
            for entry, firing in offers:
                await self._take(tx, turn, entry, firing, found.get(firing.occurrence or ""))
            await self._beside(tx, turn)
            if len(events) < BATCH:  # what the journal still has may say that an alarm has dipped
                await self.times.take(tx, turn)
            await turn.pump()
            await turn.finish()
        await self._after(turn)
        return bool(events) or bool(turn.started)

    async def catch_up(self) -> None:
        """Look at what stands if since the last look more may be answered than before.

        A release, one that is put back, an input, a binding of the site: no transition tells of
        them, and an alarm that stands must not wait for its next one.
        """
        changes = self._releases.changes
        if changes != self._looked:
            await self.look(await self._alarms.open_occurrences())
            self._looked = changes

    async def look(self, standing: Iterable[Occurrence]) -> None:
        """Answer alarms that stand and whose raise no trigger has answered; once for each."""
        index = self._releases.index
        found = [each for each in standing if occasions.visible(each.view.state)]
        offers = [
            (entry, self._of_alarm(entry, each.transition, "", each))
            for each in found for entry in index.alarms.get(each.alarm, ())
            if entry.trigger.transition == "raised"
        ]  # fmt: skip
        if not offers:
            return
        by_name = {each.occurrence: each for each in found}
        async with self._store.transaction() as tx:
            turn = Turn(tx, self._store, self._releases, self._site, self._clock)
            await turn.know(firing.id for _, firing in offers)
            for entry, firing in offers:
                await self._take(tx, turn, entry, firing, by_name[firing.occurrence or ""])
            await turn.finish()
        await self._after(turn)

    async def by_hand(self, entry: Entry, firing: Firing) -> str | None:
        """Start a playbook for a person; the run that it started, waits for or joined."""
        async with self._store.transaction() as tx:
            turn = Turn(tx, self._store, self._releases, self._site, self._clock)
            await turn.know([firing.id])
            if turn.knows(firing.id):  # the same request again
                return firing.id
            fired = await turn.fire(entry, firing)
            await turn.finish()
        await self._after(turn)
        return fired.run

    async def _after(self, turn: Turn) -> None:
        if turn.started:
            for started in self.on_started:
                started()
        for run in turn.cancelled:
            for cancelled in self.on_cancelled:
                cancelled(run)
        if turn.runs:
            for listener in self.on_told:
                await listener(turn.runs)

    def _picked(self, events: Sequence[Told]) -> list[tuple[Told, list[Entry]]]:
        """Those that a trigger answers, by name alone."""
        index, found = self._releases.index, []
        for event in events:
            body = event.body
            if isinstance(body, AlarmTransition):
                entries = index.alarms.get(body.alarm)
                if entries:
                    found.append((event, entries))
            elif index.events:
                happened = occasions.of_event(body, event.id, event.time)
                named = happened.names if happened else ()
                entries = [entry for name in named for entry in index.events.get(name, ())]
                if entries:
                    found.append((event, entries))
        return found

    def _offers(
        self, picked: Iterable[tuple[Told, list[Entry]]], found: dict[str, Occurrence]
    ) -> list[tuple[Entry, Firing]]:
        offers: list[tuple[Entry, Firing]] = []
        for event, entries in picked:
            body = event.body
            if isinstance(body, AlarmTransition):
                now = found.get(body.occurrence)
                offers += [
                    (entry, self._of_alarm(entry, body, event.id, now, event.time))
                    for entry in entries if occasions.fits(entry.trigger, body)
                ]  # fmt: skip
            else:
                happened = occasions.of_event(body, event.id, event.time)
                assert happened is not None
                offers += [(entry, self.of_event(entry, happened)) for entry in entries]
        return offers

    def _of_alarm(
        self, entry: Entry, body: AlarmTransition, event: str, found: Occurrence | None,
        at: int = 0,
    ) -> Firing:  # fmt: skip
        raised = found.raised_at if found else body.raised_at or body.source_time or at
        happened = raised if entry.trigger.transition == "raised" else body.source_time or at
        age = self._clock.now_ms() - occasions.now_at(body, happened)
        source = occasions.source_of(entry.trigger, body, event)
        return Firing(
            firing_id(self._site.info.site, entry.book.playbook, entry.trigger.id, source),
            entry.book.playbook, entry.trigger.id, occasions.now_at(body, happened),
            occasions.of_alarm(body, raised), occurrence=body.occurrence,
            stale_ms=age if age > entry.book.stale_after else None,
        )  # fmt: skip

    def of_event(self, entry: Entry, happened: occasions.Happened) -> Firing:
        """The firing of a trigger by something that is no alarm's."""
        by = "incident" if entry.trigger.incident else "event"
        age = self._clock.now_ms() - happened.at
        site = self._site.info.site
        return Firing(
            firing_id(site, entry.book.playbook, entry.trigger.id, happened.id),
            entry.book.playbook, entry.trigger.id, happened.at, happened.seen, by,
            chain=happened.chain, stale_ms=age if age > entry.book.stale_after else None,
            extra={"drill": True} if _of_drill(happened) else {},
        )  # fmt: skip

    async def _take(
        self, tx: Any, turn: Turn, entry: Entry, firing: Firing, found: Occurrence | None
    ) -> None:
        """Weigh one firing of an event of the journal."""
        if turn.knows(firing.id) or not wanted(entry, firing, self._releases.inputs(entry.book)):
            return
        if firing.occurrence is not None:
            stands = occasions.standing(entry.trigger, found)
            late = turn.now - firing.at - entry.trigger.hold > occasions.LATE_MS
            if stands == "hidden" and entry.trigger.transition == "raised":
                return  # answered when it is not hidden any more
            if stands in ("dipped", "hidden") or (stands == "gone" and late):
                turn.note(entry, firing, "dipped" if stands == "dipped" else "gone")
                return
            if entry.trigger.hold:
                due = firing.at + entry.trigger.hold
                names = (entry.book.playbook, entry.trigger.id, firing.occurrence)
                held = self._store.hold(tx, Held(firing.id, *names, due, firing))
                await turn.kept(entry, firing, held)
                return
        await turn.offer(entry, firing)

    async def _beside(self, tx: Any, turn: Turn) -> None:
        """Incidents and the events of playbooks: no part of the journal."""
        index = self._releases.index
        for moved in await self._store.incidents(tx, AT_ONCE):
            word = occasions.incident_moved(moved.before, moved.status, moved.priority)
            name = f"{moved.id}:{moved.changed}"
            happened = occasions.Happened(name, (), moved.at, moved.seen)
            for entry in index.incidents:
                if entry.trigger.incident == word:
                    await self._offer_event(turn, entry, self.of_event(entry, happened))
        for event in await self._store.emitted(tx, AT_ONCE):
            seen = occasions.event_view(event.event, event.id, event.at, event.data)
            happened = occasions.Happened(event.id, (), event.at, seen, event.chain + 1)
            for entry in index.events.get(event.event, ()):
                await self._offer_event(turn, entry, self.of_event(entry, happened))

    async def _offer_event(self, turn: Turn, entry: Entry, firing: Firing) -> None:
        await turn.know([firing.id])
        if wanted(entry, firing, self._releases.inputs(entry.book)):
            await turn.offer(entry, firing)


def _of_drill(happened: occasions.Happened) -> bool:
    """Whether a playbook's event comes from a drill: what it starts is one too."""
    return happened.chain > 0 and happened.seen.get("data", {}).get("drill") is True
