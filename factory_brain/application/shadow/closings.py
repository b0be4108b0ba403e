"""Tells the group what was done about occurrences that are over and that nobody has judged.

Follows the journal as a consumer of its own: an occurrence is told of once, in the transaction
that moves the position. At a bounded pace; it judges nothing, and such a record teaches no limit.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from factory_brain.application.ports import Transaction
from factory_brain.application.shadow.ports import Group
from factory_brain.domain.rows import Occurrence
from shared.clock import Clock
from shared.messages.bodies import OutcomeRecord
from shared.telemetry import logger

log = logger("shadow")
AT_ONCE = 200
EVERY_S = 1.0
"""With `AT_ONCE` the most that is told: 200 a second, whatever comes in."""


class Journal(Protocol):
    """The journal's feed (see `adapters/postgres/feed.py`)."""

    async def next(self, limit: int = 500) -> Sequence[Any]:
        """Committed events after the position: the same ones until `done` is committed."""
        ...

    async def done(self, tx: Transaction, events: Any, /) -> None:
        """Move the position behind these."""
        ...


class Over(Protocol):
    """Occurrences that are over (see `adapters/postgres/shadow_closings.py`)."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def over(self, occurrences: list[str]) -> list[Occurrence]:
        """Those of them that are over, unjudged and not told of yet."""
        ...

    async def take(self, tx: Transaction, /, occurrences: list[str], at: int) -> list[str]:
        """Those of them that still are; they stay locked, and are noted as told."""
        ...


class Closings:
    """Sends the facts of unjudged occurrences."""

    def __init__(
        self, clock: Clock, journal: Journal, over: Over, group: Group,
        record: Callable[[Occurrence], Awaitable[OutcomeRecord]],
    ) -> None:  # fmt: skip
        self._clock, self._journal, self._over = clock, journal, over
        self._group, self._record = group, record
        self.told = 0

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            await self.some()
            await asyncio.sleep(EVERY_S)

    async def some(self) -> int:
        """Tell of what the next events have ended; returns how many events were read."""
        events = await self._journal.next(AT_ONCE)
        if not events:
            return 0
        names = sorted({each.occurrence for each in events if each.occurrence})
        # Written before the transaction: it holds locks that ingest may want.
        records = {
            each.occurrence: await self._record(each) for each in await self._over.over(names)
        }
        async with self._over.transaction() as tx:
            await self._group.fence(tx)
            taken = await self._over.take(tx, list(records), self._clock.now_ms())
            await self._journal.done(tx, events)
            for name in taken:
                await self._group.say(tx, "outcome", records[name])
        self.told += len(taken)
        return len(events)
