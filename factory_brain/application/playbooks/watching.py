"""Which runs wait for which tags, so that a changed value wakes them and nobody polls.

Fed by the samples that this brain commits; what other brains commit is found by comparing the
newest values now and then. Called by the engine; advances nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice

from factory_brain.application.playbooks.ports import RunStore, TagSource
from shared.clock import Clock

COMPARE_S = 5.0
"""How often the newest values are compared with those that were seen last."""
RELOAD_EVERY = 12
"""Every so many comparisons the stored waits are read anew: other brains have runs too."""
GATHER_S = 0.05
"""Samples come in bursts; those of one burst wake a run once."""
AT_ONCE = 50
"""So many are woken together: what is fresh and urgent must not stand behind all of them."""
Value = tuple[object, bool]
_UNSURE: Value = (object(), False)
"""Like no value: the next comparison finds a change."""


class Watching:
    """The waits of all live runs, by tag."""

    def __init__(
        self, store: RunStore, tags: TagSource, clock: Clock,
        here: Callable[[Iterable[str]], set[str]], wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store, self._tags, self._clock = store, tags, clock
        self._here, self._wake = here, wake
        self._runs: dict[str, tuple[str, ...]] = {}
        self._of: dict[str, set[str]] = {}
        self._since: dict[str, int] = {}
        self._seen: dict[str, Value] = {}
        self._due: dict[str, None] = {}
        """Runs that are to look, in this order."""
        self._touched: set[str] = set()
        self._news = asyncio.Event()

    def put(
        self, run: str, tags: Sequence[str], saw: Mapping[str, Value] | None = None
    ) -> None:  # fmt: skip
        """A run was given back and waits for these; none: for no tag any more.

        `saw`: what it saw when it looked; what came since then wakes it too.
        """
        before = self._runs.pop(run, ())
        for tag in before:
            waiting = self._of[tag]
            waiting.discard(run)
            if not waiting:
                del self._of[tag]
                self._seen.pop(tag, None)
        if not tags:
            self._since.pop(run, None)
            return
        self._runs[run] = tuple(tags)
        self._since.setdefault(run, self._clock.now_ms())
        for tag in tags:
            self._of.setdefault(tag, set()).add(run)
            if saw and tag in saw and self._seen.setdefault(tag, saw[tag]) != saw[tag]:
                self._seen[tag] = _UNSURE

    def since(self, run: str, now: int) -> int:
        """Since when every change of a run's tags has woken it."""
        return self._since.setdefault(run, now)

    def touched(self, tags: Iterable[str]) -> None:
        """Newer values of these tags are committed."""
        self._touched.update(tag for tag in tags if tag in self._of)
        if self._touched:
            self._news.set()

    async def run(self) -> None:
        """Wake who waits, for ever."""
        await self._reload()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._wake_touched())
            group.create_task(self._compare_for_ever())

    async def _wake_touched(self) -> None:
        while True:
            if not self._due:
                await self._news.wait()
            self._news.clear()
            tags, self._touched = self._touched, set()
            runs = set().union(*(self._of.get(tag, ()) for tag in tags))
            elsewhere = sorted(runs - self._here(runs))
            self._due = dict.fromkeys(elsewhere) | self._due
            now = list(islice(self._due, AT_ONCE))
            if now:
                await self._store.poke(now, self._clock.now_ms())
                self._wake()
            for run in now:
                self._due.pop(run, None)
            await asyncio.sleep(GATHER_S)

    async def _compare_for_ever(self) -> None:
        rounds = 0
        while True:
            await asyncio.sleep(COMPARE_S)
            rounds += 1
            if rounds % RELOAD_EVERY == 0:
                await self._reload()
            await self.compare()

    async def compare(self) -> None:
        """Look at the newest values of all that is waited for."""
        if not self._of:
            return
        readings = await self._tags.stored(sorted(self._of))
        now = {tag: (one.value, one.good) for tag, one in readings.items()}
        changed = [tag for tag, seen in now.items() if self._seen.get(tag, seen) != seen]
        self._seen.update(now)
        self.touched(changed)

    async def _reload(self) -> None:
        stored: Mapping[str, Sequence[str]] = await self._store.watched()
        for run in self._runs.keys() - stored.keys():
            self.put(run, ())
        strange = [run for run, tags in stored.items() if self._runs.get(run) != tuple(tags)]
        for run in strange:
            self.put(run, stored[run])
        if strange:
            await self._look(strange)

    async def _look(self, runs: Sequence[str]) -> None:
        """Wake runs of which nobody here knows what they saw: after a restart, all.

        What has changed while nobody looked comes first.
        """
        tags = sorted({tag for run in runs for tag in self._runs[run]})
        readings = await self._tags.stored(tags)
        ages = {tag: one.age_s for tag, one in readings.items()}
        never = float("inf")
        youngest = {
            run: min((ages.get(tag, never) for tag in self._runs.get(run, ())), default=never)
            for run in runs
        }
        self._due |= dict.fromkeys(sorted(runs, key=youngest.__getitem__))
        self._news.set()
