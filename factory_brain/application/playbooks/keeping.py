"""Keeps what an engine has in hand: leases prolonged in time, and let go of once others have it.

Run by the engine beside its work; it reads and renews leases and drives nothing itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from factory_brain.application.playbooks.held import Held
from factory_brain.application.playbooks.ports import RunStore
from shared.clock import Clock
from shared.telemetry import logger

log = logger("playbooks")
NEWS_S = 0.5
"""How often it is looked whether somebody else has told a run in hand something."""
LATE_S = 2.0
"""How often it is looked whether an incident is there of which a run has spoken."""


class Keeping:
    """The leases of one engine."""

    def __init__(
        self, store: RunStore, clock: Clock, owner: str, lease_ms: int,
        held: Mapping[str, Held], driving: Mapping[str, asyncio.Task[None]],
        wake: Callable[[], None],
    ) -> None:  # fmt: skip
        self._store, self._clock, self._owner, self._lease_ms = store, clock, owner, lease_ms
        self._held, self._driving, self._wake = held, driving, wake

    async def prolong(self) -> None:
        """Prolong the leases of what is driven by one statement; any other one is to end."""
        while True:
            await asyncio.sleep(self._lease_ms / 3000)
            leases = {name: held.run.fence for name, held in self._held.items()}
            if leases:
                until = self._clock.now_ms() + self._lease_ms
                await self._store.renew(self._owner, leases, until)

    async def look_for_news(self) -> None:
        """What other brains were told of the runs in hand, and whether they are still ours."""
        while True:
            await asyncio.sleep(NEWS_S)
            if self._held:
                await self.look()

    async def look(self) -> None:
        """Once."""
        before = dict(self._held)
        stored = await self._store.held(self._owner)
        for run, held in before.items():
            if self._held.get(run) is not held:
                continue
            fence, news = stored.get(run, (0, held.known.news))
            if run in stored and news != held.known.news:
                held.stale = True
                held.poked.set()
            if fence == held.run.fence or held.leaving:
                continue  # who is giving it back finds out by the fence of that very commit
            task = self._driving.get(run)
            if task is not None:
                task.cancel()  # ended or taken over: nothing more of ours may go out
                log.warning("run_taken", run=run, fence=held.run.fence)

    async def say_late(self) -> None:
        """What was said of incidents before they were there."""
        while True:
            await asyncio.sleep(LATE_S)
            await self._store.late_words(self._clock.now_ms())

    async def owners_dead(self, owners: Sequence[str]) -> None:
        """Engines that are provably no more hold nothing: their runs are claimed at once.

        Each with a higher fence, as after a lease that has run out.
        """
        if await self._store.free(owners, self._clock.now_ms()):
            self._wake()
