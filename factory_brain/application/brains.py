"""Several brains of one factory: which of them leads, which sources are this one's.

Rounds with the database renew the leases; each is judged here by this process's own clock, so that
one that was paused knows that its time is over before it acts. Owns no lease beyond that time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from factory_brain.domain.shares import LEADER, SOURCE, holder_of
from shared.errors import StoreError
from shared.telemetry import logger

log = logger("brains")
ROUNDS = 4
"""Rounds within a lease."""
SAFETY = 0.1
"""The part of a lease that is not used: clocks do not run alike."""
TIDY_ROUNDS = 40
Body = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Me:
    """This brain as the others see it."""

    name: str
    boot: str
    attended: bool = False
    horn: frozenset[str] = frozenset()
    life: str = ""
    """The process that it is, for who can look whether it lives."""

    @property
    def holder(self) -> str:
        """This start alone: another brain may have been given the same name."""
        return holder_of(self.name, self.boot)


@dataclass(frozen=True, slots=True)
class Other:
    """Another brain that lives."""

    name: str
    """With its start."""
    attended: bool
    horn: frozenset[str]
    age_ms: int


@dataclass(frozen=True, slots=True)
class Round:
    """What a round came to: leases held with their fences, those to give away, the others."""

    held: dict[str, int]
    give: Sequence[str]
    others: list[Other]
    dead: Sequence[str] = ()
    """Holders whose process is provably gone: what they held is free from this round on."""


class Store(Protocol):
    """Where leases are kept (see `adapters/postgres/lease_store.py`); raises StoreError."""

    async def round(self, me: Me, wanted: Sequence[str], ttl_ms: int) -> Round:
        """Renew and take, also from who is provably dead."""
        ...

    async def others(self, me: Me, ttl_ms: int) -> list[Other]:
        """The other brains."""
        ...

    async def tell(self, me: Me) -> None:
        """Write this brain's row."""
        ...

    async def release(self, me: Me, names: Sequence[str]) -> None:
        """Give leases away."""
        ...

    async def leave(self, me: Me) -> None:
        """Give everything away and be gone."""
        ...

    async def tidy(self, ttl_ms: int, sources: Sequence[str]) -> None:
        """Forget what is no more."""
        ...


class _Steps(Coroutine[Any, Any, None]):
    """Work that looks at its lease before each step: a process that was paused may have steps
    ready that come before any timer."""

    def __init__(self, hold: Hold, work: Coroutine[Any, Any, None]) -> None:
        self._hold, self._work, self._over = hold, work, False

    def send(self, value: Any) -> Any:
        """One step, or the end; what it does to clean up is let through."""
        if self._over or self._hold.held:
            return self._work.send(value)
        self._over = True
        return self._work.throw(asyncio.CancelledError("the lease is over"))

    def throw(self, *raised: Any) -> Any:
        """What the loop throws into it."""
        self._over = True if isinstance(raised[0], asyncio.CancelledError) else self._over
        return self._work.throw(*raised)

    def close(self) -> None:
        """Never resumed."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, None]:
        return self._work.__await__()


class Hold:
    """One lease as this process has it, and the work that is done only meanwhile."""

    def __init__(self, name: str) -> None:
        self.name, self.fence = name, 0
        self._until = 0.0
        self._gained = asyncio.Event()
        self._tasks: set[asyncio.Future[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self.on_gained: list[Callable[[], None]] = []
        self.on_lost: list[Callable[[], None]] = []

    @property
    def held(self) -> bool:
        """Whether it is this brain's at this moment."""
        return asyncio.get_running_loop().time() < self._until

    def renewed(self, fence: int, until: float) -> None:
        """It is this brain's until then (the loop's clock)."""
        loop = asyncio.get_running_loop()
        if until <= loop.time():
            return  # the round took longer than the lease
        if self._timer is not None:
            self._timer.cancel()
        if fence != self.fence and self._gained.is_set():
            self.lost()  # lapsed and taken anew in between: somebody else may have had it
        self.fence, self._until = fence, until
        self._timer = loop.call_at(until, self.lost)
        if not self._gained.is_set():
            log.info("lease_gained", lease=self.name, fence=fence)
            self._gained.set()
            for told in self.on_gained:
                told()

    def lost(self) -> None:
        """Its time is over: its work stops at once."""
        self._until = 0.0
        if self._timer is not None:
            self._timer.cancel()
        if not self._gained.is_set():
            return
        log.info("lease_ended", lease=self.name, fence=self.fence)
        self._gained.clear()
        for task in self._tasks:
            task.cancel()
        for told in self.on_lost:
            told()

    async def idle(self) -> None:
        """Until the work that was stopped has ended."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=5)

    async def during(self, body: Body) -> None:
        """Do `body` whenever this brain has the lease, until it ends by itself."""
        while True:
            await self._gained.wait()
            task: asyncio.Future[None] = asyncio.create_task(_Steps(self, body()))
            self._tasks.add(task)
            try:
                await asyncio.wait({task})
            finally:
                if not task.done():
                    task.cancel()
                    await asyncio.wait({task}, timeout=5)
                self._tasks.discard(task)
            if not task.cancelled():
                task.result()
                return


class Brains:
    """This brain among those of its factory."""

    def __init__(
        self, me: Me, store: Store, ttl_ms: int,
        edges: Callable[[], Awaitable[Sequence[str]]], attended: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._me, self._store, self._ttl = me, store, ttl_ms
        self._edges, self._attended = edges, attended
        self.leader = Hold(LEADER)
        self.sources: dict[str, Hold] = {}
        """By edge; this brain has a part of them."""
        self.on_source: list[Callable[[str, Hold], None]] = []
        """Told of each source once, whether or not it is this brain's now."""
        self.on_dead: list[Callable[[Sequence[str]], Awaitable[None]]] = []
        """Told of holders that are provably dead."""
        self._others: list[Other] = []
        self._heard = float("-inf")
        self._left: dict[str, tuple[frozenset[str], float]] = {}
        """Horns of brains that are silent: they may be held for a lease from then on."""
        self.leader.on_lost.append(self._hornless)
        self._rounds = 0
        self.began = asyncio.Event()
        """The first round has been made: what is this brain's is being worked at."""

    @property
    def me(self) -> Me:
        """This brain as it is now."""
        return replace(self._me, attended=self._attended())

    def leading(self, body: Body) -> Body:
        """`body` as a task that works only while this brain leads."""
        return lambda: self.leader.during(body)

    @property
    def others(self) -> list[Other]:
        """The other brains, as heard within a lease."""
        fresh = asyncio.get_running_loop().time() - self._heard < self._ttl / 1000
        return self._others if fresh else []

    def attended_elsewhere(self) -> int | None:
        """How long ago (ms) another brain said that somebody watches its console; half a lease
        of silence says that nobody does."""
        since = int((asyncio.get_running_loop().time() - self._heard) * 1000)
        ages = [each.age_ms + since for each in self.others if each.attended]
        return min((age for age in ages if age < self._ttl / 2), default=None)

    def horn_elsewhere(self, sounding: frozenset[str] = frozenset()) -> set[str]:
        """Edges whose horn another brain holds for all of them.

        `sounding`: edges that say that they sound; what a silent brain left of them is over.
        """
        now = asyncio.get_running_loop().time()
        left = {edge for horn, until in self._left.values() if now < until for edge in horn}
        return (left - sounding).union(*(each.horn for each in self.others))

    def horn_settled(self, edge: str) -> None:
        """The edge has answered this brain, which leads: what others held of it is over."""
        for name, (horn, until) in list(self._left.items()):
            self._left[name] = (horn - {edge}, until)
        self._others = [replace(each, horn=each.horn - {edge}) for each in self._others]

    async def claim_horn(self, edges: set[str]) -> bool:
        """Tell the other brains whose horn is this factory's now, before the edges fall silent."""
        if frozenset(edges) == self._me.horn:
            return True
        self._me = replace(self._me, horn=frozenset(edges))
        try:
            async with asyncio.timeout(self._ttl / 1000 / ROUNDS):
                await self._store.tell(self.me)
        except (StoreError, TimeoutError) as error:
            log.warning("horn_not_told", error=str(error))
            return False
        return True

    async def look(self) -> None:
        """Hear of the other brains between two rounds."""
        self._take(await self._store.others(self._me, self._ttl))

    async def run(self) -> None:
        """Renew in time, for ever."""
        while True:
            await self.round()
            await asyncio.sleep(self._ttl / 1000 / ROUNDS)

    async def round(self) -> None:
        """One round; a database that does not answer lets the leases run out."""
        edges = await self._edges()
        wanted = [LEADER, *(SOURCE + edge for edge in edges)]
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self._ttl / 2000):
                found = await self._store.round(self.me, wanted, self._ttl)
        except (StoreError, TimeoutError) as error:
            log.warning("round_failed", error=str(error))
            return
        self._take(found.others)
        until = began + self._ttl / 1000 * (1 - SAFETY)
        self._settle(found, until)
        await self._give(found.give)
        await self._bury(found.dead)
        self._rounds += 1
        self.began.set()
        if self.leader.held and self._rounds % TIDY_ROUNDS == 1:
            try:
                await self._store.tidy(self._ttl, wanted)
            except StoreError as error:
                log.warning("tidy_failed", error=str(error))

    async def _bury(self, dead: Sequence[str]) -> None:
        if not dead:
            return
        log.warning("brain_found_dead", holders=list(dead))
        for told in self.on_dead:
            try:
                async with asyncio.timeout(self._ttl / 1000 / ROUNDS):
                    await told(dead)
            except (StoreError, OSError, TimeoutError) as error:
                log.warning("dead_not_followed", error=repr(error))  # their leases run out

    async def leave(self) -> None:
        """Stop what is done by lease and let the others have it at once."""
        holds = [self.leader, *self.sources.values()]
        for hold in holds:
            hold.lost()
        for hold in holds:
            await hold.idle()
        await self._store.leave(self._me)

    def _take(self, others: list[Other]) -> None:
        now = asyncio.get_running_loop().time()
        names = {each.name for each in others}
        for gone in self._others:
            if gone.name not in names and gone.horn:
                self._left[gone.name] = (gone.horn, now + self._ttl / 1000)
        self._left = {
            name: (horn, until) for name, (horn, until) in self._left.items()
            if now < until and name not in names
        }  # fmt: skip
        if self.leader.held:  # only who leads holds a horn; what others still say is old
            others = [replace(each, horn=self._unsettled(each)) for each in others]
        self._others, self._heard = others, now

    def _unsettled(self, other: Other) -> frozenset[str]:
        known = [each.horn for each in self._others if each.name == other.name]
        return other.horn & known[0] if known else frozenset()

    def _hornless(self) -> None:
        self._me = replace(self._me, horn=frozenset())

    def _settle(self, found: Round, until: float) -> None:
        fence = found.held.get(LEADER)
        self.leader.lost() if fence is None else self.leader.renewed(fence, until)
        for name in found.held.keys() | {SOURCE + edge for edge in self.sources}:
            if not name.startswith(SOURCE):
                continue
            hold = self._source(name.removeprefix(SOURCE))
            fence = found.held.get(name)
            hold.lost() if fence is None else hold.renewed(fence, until)

    def _source(self, edge: str) -> Hold:
        hold = self.sources.get(edge)
        if hold is None:
            hold = self.sources[edge] = Hold(SOURCE + edge)
            for told in self.on_source:
                told(edge, hold)
        return hold

    async def _give(self, names: Sequence[str]) -> None:
        """First the work ends, then another brain may begin it."""
        if not names:
            return
        holds = [self._source(name.removeprefix(SOURCE)) for name in names]
        for hold in holds:
            hold.lost()
        for hold in holds:
            await hold.idle()
        try:
            await self._store.release(self._me, names)
        except StoreError as error:
            log.warning("lease_not_given", error=str(error))
