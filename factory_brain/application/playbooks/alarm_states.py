"""What a run's alarms are now, for the runs that leave when theirs is over; wakes them at a change.

Asked by the engine, told by whoever hears of occurrences. A state holds for a run when it holds for
its own alarm and for every one that joined it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from factory_brain.application.playbooks.trigger_ports import OccurrenceReads, TriggerStore
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.triggers.alarm_words import states_of, united
from shared.clock import Clock
from shared.errors import StoreError
from shared.telemetry import logger

log = logger("triggers")
GATHER_S = 0.02
AGAIN_S = 0.5
MOST_KNOWN = 20_000


class AlarmStates:
    """The alarms of runs."""

    def __init__(
        self, clock: Clock, alarms: OccurrenceReads, store: TriggerStore,
        woken: Callable[[str], None],
    ) -> None:  # fmt: skip
        self._clock, self._alarms, self._store, self._woken = clock, alarms, store, woken
        self._last: dict[str, frozenset[str]] = {}
        self._due: dict[str, None] = {}
        self._wake = asyncio.Event()

    async def states(self, occurrence: str) -> Mapping[str, int]:
        """cleared, acknowledged, shelved, suppressed: since when, as far as it is so."""
        found = await self._alarms.get(occurrence)
        if found is None:
            return {}
        return united(states_of(found), await self._store.joined_states(occurrence))

    async def on_occurrence(self, occurrence: Occurrence, moved: bool) -> None:
        """An occurrence has changed, here or in another brain."""
        if occurrence.run is None:
            return
        name, now = occurrence.occurrence, frozenset(states_of(occurrence))
        if self._last.get(name) == now:
            return
        if len(self._last) >= MOST_KNOWN:
            self._last.clear()  # costs a look that was not needed, never one that was
        self._last[name] = now
        self._due[name] = None
        self._wake.set()

    async def run(self) -> None:
        """Wake the runs of what has changed, for ever; many changes at once are one statement."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_S)
            self._wake.clear()
            due, self._due = list(self._due), {}
            try:
                runs = await self._store.wake(due, self._clock.now_ms())
            except StoreError as error:
                log.warning("runs_not_woken", error=str(error))
                self._due = dict.fromkeys(due) | self._due
                await asyncio.sleep(AGAIN_S)
                self._wake.set()
                continue
            for run in runs:
                self._woken(run)
