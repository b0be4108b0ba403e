"""The one way to durable storage: group commit, and what happens while the disk fails.

Called by everything that changes state; owns the writer thread. It loses nothing in memory, never
blocks the engine, says when it is degraded, and lets no single change stop all others.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from edge_node.application.records import Change, Emit, PutGap
from edge_node.application.status import JournalStatus
from shared.clock import Clock
from shared.errors import RetryableTransportError, StoreError, UnstorableError
from shared.outbox.port import OutboxStatus, Segment
from shared.outbox.sqlite_outbox import SqliteOutbox
from shared.telemetry import logger

log = logger("journal")
T = TypeVar("T")
GROUP_EVENTS = 100
GROUP_S = 0.005
MAX_WAITING = 200_000
SHED_AT_ONCE = 1_000
MAX_SAMPLE_BATCHES = 600
"""Changes that may wait while the disk fails before samples are lost."""
BULK_AT_ONCE = 2
"""Droppable changes in one group: what an urgent change may have to wait for stays small."""
MAX_PASSED = 20
"""Groups in a row that droppable changes may let pass."""
RETRY_S = 1.0
SLOW_S = 2.0
"""A commit that takes longer is treated as a failing disk: reflexes no longer wait for it."""


class Store(Protocol):
    """What the journal needs of a database."""

    def commit(self, changes: list[Change], now: int) -> None:
        """All in one transaction or none; raises StoreError, or UnstorableError if the content
        of a change is to blame."""
        ...

    def set_aside(self, change: Change, reason: str, now: int) -> None:
        """Keep what cannot be stored where people find it."""
        ...

    def run(self, call: Callable[[SqliteOutbox], Coroutine[Any, Any, T]]) -> T:
        """Run one of the outbox's coroutines."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


@dataclass(slots=True)
class _Waiting:
    change: Change
    done: asyncio.Future[None]
    droppable: bool
    urgent: bool = False
    stored: bool = False


class Journal:
    """Changes wait here, at most 5 ms, for their common commit."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._waiting: deque[_Waiting] = deque()
        self._bulk: deque[_Waiting] = deque()
        """Droppable changes; in a lane of their own, so that others may go before them."""
        self._passed = 0
        self._group: list[_Waiting] = []
        self._committing: asyncio.Task[bool] | None = None
        self._wake = asyncio.Event()
        self._full = asyncio.Event()
        self.degraded = False
        self.reason = ""
        self.lost_samples = 0
        self.lost_events = 0
        self.refused = 0
        """Changes that could never be written and were set aside."""
        self._gaps: Counter[str | None] = Counter()
        """Events lost in memory, by lane, of which no gap record tells yet."""
        self.on_refused: Callable[[str], None] = lambda reason: None
        self.on_health: Callable[[bool, str], None] = lambda degraded, reason: None
        self.on_commit: Callable[[], None] = lambda: None

    @property
    def waiting(self) -> int:
        """Changes in memory that are not yet durable."""
        return len(self._waiting) + len(self._bulk) + len(self._group)

    def status(self) -> JournalStatus:
        """Its health, for the local page."""
        return JournalStatus(
            degraded=self.degraded, reason=self.reason, waiting=self.waiting,
            lost_samples=self.lost_samples, lost_events=self.lost_events, refused=self.refused,
        )  # fmt: skip

    def write(
        self, change: Change, *, urgent: bool = False, droppable: bool = False
    ) -> asyncio.Future[None]:
        """Queue a change; the future ends when it is durable. Nothing queued is ever withdrawn.

        Changes keep their order; `droppable` ones (samples) keep it among themselves and let all
        others go before them. `urgent` ends the wait for a group.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(change, done, droppable, urgent)
        queued = len(self._waiting) + len(self._bulk)
        if droppable and self.degraded and queued >= MAX_SAMPLE_BATCHES:
            self._lose(waiting)
            return done
        if queued >= MAX_WAITING:
            self._shed()
        (self._bulk if droppable else self._waiting).append(waiting)
        self._wake.set()
        if urgent or len(self._waiting) >= GROUP_EVENTS:
            self._full.set()
        return done

    def _shed(self) -> None:
        """Make room: samples first, else the oldest; what goes becomes a gap record."""
        victims = list(self._bulk)
        if victims:
            self._bulk.clear()
        else:
            victims = [self._waiting.popleft() for _ in range(SHED_AT_ONCE)]
        for victim in victims:
            self._lose(victim)

    def _lose(self, victim: _Waiting) -> None:
        if victim.droppable:
            self.lost_samples += 1
        else:
            self.lost_events += 1
        for row in victim.change:
            if isinstance(row, Emit):
                self._gaps[row.lane] += 1
        if not victim.done.done():
            victim.done.set_result(None)

    async def durable(self, done: asyncio.Future[None], timeout_s: float) -> bool:
        """Wait until a change is durable; False when the disk does not let it in time."""
        if self.degraded and not done.done():
            return False
        ready, _ = await asyncio.wait({done}, timeout=timeout_s)
        return bool(ready) and not done.cancelled()

    async def run(self) -> None:
        """Commit groups for ever."""
        while True:
            await self._wake.wait()
            if not self._full.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(GROUP_S):
                        await self._full.wait()
            self._wake.clear()
            self._full.clear()
            done = await self._once()
            if self._bulk or not done:
                self._wake.set()
            if not done:
                await asyncio.sleep(RETRY_S)

    async def flush(self) -> bool:
        """Commit what waits now; False if the disk refused (all of it still waits)."""
        while await self._once():
            if not self._bulk:
                return True
        return False

    async def _once(self) -> bool:
        """Commit one group, or wait for the end of the one under way."""
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit())
        # Shielded: a group whose commit has begun must not be queued again by a cancellation.
        return await asyncio.shield(self._committing)

    async def _commit(self) -> bool:
        try:
            return await self._commit_group()
        finally:
            self._committing = None

    async def _commit_group(self) -> bool:
        group = self._group = self._next_group()
        if not group:
            return True
        slow = asyncio.get_running_loop().call_later(
            SLOW_S, self._degrade, f"a commit takes more than {SLOW_S:g} s"
        )
        try:
            await self._tell_gaps()
            await self._store_all(group)
        except StoreError as error:
            self._degrade(str(error))
            return False
        except Exception as error:  # said like a failing disk: nothing gets past it
            self._degrade(f"a change cannot be written: {error!r}")
            raise
        finally:
            for left in reversed([w for w in group if not w.stored]):
                (self._bulk if left.droppable else self._waiting).appendleft(left)
            self._group = []
            slow.cancel()
        self.on_commit()
        if self.degraded:
            self.degraded, self.reason = False, ""
            log.info(
                "journal_recovered", lost_samples=self.lost_samples, lost_events=self.lost_events
            )
            self.on_health(False, "")
        return True

    def _next_group(self) -> list[_Waiting]:
        """All that waits, and a few droppable changes unless a device is to be moved at once."""
        group = list(self._waiting)
        self._waiting.clear()
        if self._bulk and self._passed < MAX_PASSED and any(w.urgent for w in group):
            self._passed += 1
            return group
        self._passed = 0
        return group + [self._bulk.popleft() for _ in range(min(BULK_AT_ONCE, len(self._bulk)))]

    async def _on_thread(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *args)

    async def _tell_gaps(self) -> None:
        """What memory could not hold leaves its mark before anything that came after it."""
        if gaps := dict(self._gaps):
            change: Change = [PutGap(count, lane) for lane, count in gaps.items()]
            await self._on_thread(self._store.commit, [change], self._clock.now_ms())
            self._gaps.subtract(gaps)
            self._gaps = +self._gaps

    async def _store_all(self, group: list[_Waiting]) -> None:
        """Store a group; one change that can never be stored is found by halves and set aside."""
        changes = [waiting.change for waiting in group]
        now = self._clock.now_ms()
        try:
            await self._on_thread(self._store.commit, changes, now)
        except UnstorableError as error:
            if len(group) > 1:
                middle = len(group) // 2
                await self._store_all(group[:middle])
                await self._store_all(group[middle:])
                return
            await self._on_thread(self._store.set_aside, group[0].change, str(error), now)
            self._refuse(group[0], str(error))
            return
        for waiting in group:
            waiting.stored = True
            if not waiting.done.done():
                waiting.done.set_result(None)

    def _refuse(self, waiting: _Waiting, reason: str) -> None:
        waiting.stored = True  # as far as it can be
        waiting.done.cancel()
        self.refused += 1
        log.error("change_refused", reason=reason, mend="read table `refused` of edge.db")
        self.on_refused(reason)

    def _degrade(self, reason: str) -> None:
        if not self.degraded:
            self.degraded, self.reason = True, reason
            log.error("journal_degraded", reason=reason, mend="free space on the state directory")
            self.on_health(True, reason)

    async def outbox(self, call: Callable[[SqliteOutbox], Coroutine[Any, Any, T]]) -> T:
        """Run an outbox operation on the writer's thread; raises StoreError."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._store.run, call)

    async def close(self) -> None:
        """Commit what still waits and close the file."""
        await self.flush()  # its last group may have begun before the last change was queued
        if self.waiting:
            await self.flush()
        if self.waiting:
            log.error("changes_not_stored", count=self.waiting)
        await self._on_thread(self._store.close)
        self._thread.shutdown(wait=False)


class JournalOutbox:
    """The outbox as the drainer sees it, on the journal's thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    async def _call(self, call: Callable[[SqliteOutbox], Coroutine[Any, Any, T]]) -> T:
        try:
            return await self._journal.outbox(call)
        except StoreError as error:  # the drainer waits and tries again, as for a lost link
            raise RetryableTransportError(f"outbox: {error}") from error

    async def pending(self) -> list[tuple[str, str, int, int]]:
        """(epoch, lane, first, last) of all that is buffered."""
        return await self._call(lambda box: box.pending())

    async def read(self, epoch: str, lane: str, first: int) -> Segment | None:
        """The next frame's events."""
        return await self._call(lambda box: box.read(epoch, lane, first))

    async def committed(
        self, epoch: str, lane: str, through: int, quarantined: int | None = None
    ) -> None:
        """Delete what the receiver has committed."""
        await self._call(lambda box: box.committed(epoch, lane, through, quarantined))

    async def status(self) -> OutboxStatus:
        """Conservation counters."""
        return await self._call(lambda box: box.status())
