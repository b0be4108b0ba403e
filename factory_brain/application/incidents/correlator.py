"""Follows the journal and keeps incidents up to date: each event once, one brain at a time.

Runs in every brain; whoever gets the lock does the round, the others find nothing left to do.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from math import ceil
from typing import Any, Protocol

from factory_brain.application.incidents.ports import Incidents, Told
from factory_brain.application.incidents.rules import SiteRules
from factory_brain.application.incidents.understanding import Understanding
from factory_brain.application.ports import Transaction
from shared.clock import Clock
from shared.errors import StoreError
from shared.messages.bodies import AlarmTransition
from shared.telemetry import logger

log = logger("incidents")
BATCH = 2000
AGE_MS = 10_000
"""So often it is looked at what only time changes."""
PACE = 4
"""A round is followed by a rest of so many times its length: a storm takes a fifth of a core."""
MIN_REST_S, MAX_REST_S = 0.1, 2.0


class Feed(Protocol):
    """This consumer's way through the journal."""

    async def wait(self, timeout_s: float = 1.0) -> None:
        """Until something was committed, or the time is over."""
        ...

    async def next(self, limit: int = 500) -> list[Any]:
        """Committed events that have not been done."""
        ...

    async def done(self, tx: Transaction, events: Sequence[Any]) -> None:
        """They are done when `tx` commits."""
        ...


class Correlator:
    """Makes incidents of alarms."""

    def __init__(self, rules: SiteRules, clock: Clock, store: Incidents, feed: Feed) -> None:
        self._rules, self._clock, self._store, self._feed = rules, clock, store, feed
        self._seeded = False
        self._aged: int | None = None
        self.on_round: list[Callable[[], None]] = []
        """Called after each commit that may have changed something."""

    async def run(self) -> None:
        """Follow the journal for ever."""
        while True:
            await self._feed.wait(1.0)
            began = self._clock.mono_ms()
            try:
                await self.round()
            except StoreError as error:  # another brain was faster: nothing of this round stands
                log.info("incident_round_undone", error=str(error))
            took = (self._clock.mono_ms() - began) / 1000
            await asyncio.sleep(min(max(PACE * took, MIN_REST_S), MAX_REST_S))

    async def round(self) -> int:
        """Understand what is new; returns how many events that was."""
        events = await self._feed.next(BATCH)
        now = self._clock.now_ms()
        due = self._aged is None or not 0 <= now - self._aged < AGE_MS
        if not events and not due and self._seeded:
            return 0
        async with self._store.transaction() as tx:
            if not await self._store.try_lock(tx):
                return 0
            await self._feed.done(tx, events)
            names = dict.fromkeys(each.occurrence for each in events if each.occurrence)
            if not self._seeded:
                names |= dict.fromkeys(await self._store.strangers(tx))
            work = Understanding(self._store, tx, self._rules.now(now), self._rules.common, now)
            if names:
                await work.take(names, told(events))
            if due:
                await work.age()
            await work.finish()
        self._seeded = True
        self._aged = now if due else self._aged
        for listener in self.on_round:
            listener()
        return len(events)


def told(events: Iterable[Any]) -> dict[str, Told]:
    """occurrence -> what its earliest transition among these says of its clock."""
    found: dict[str, Told] = {}
    for event in events:
        body = event.body
        if not isinstance(body, AlarmTransition) or body.clock_offset_ms is None:
            continue
        unsure = body.clock_uncertainty_ms
        rounded = None if unsure is None else ceil(unsure)
        new = Told(body.version, round(body.clock_offset_ms), rounded)
        held = found.get(body.occurrence)
        if held is None or new.version < held.version:
            found[body.occurrence] = new
    return found
