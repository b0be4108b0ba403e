"""Two brains' annunciation over simulated time: real leases, real rules, faults at random.

The clock is moved by the test alone; the database, the links and the consoles fail as told. Says at
every look who sounds for each edge.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any, cast

from edge_node.domain.annunciation import Annunciation as AtEdge
from factory_brain.application.annunciation import Annunciation
from factory_brain.application.brains import Brains, Me, Other, Round
from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import LiveView
from factory_brain.domain.shares import Lease, share
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import RetryableTransportError, StoreError
from shared.messages.codec import decode, encode
from shared.messages.control import Health, LeaseGrant
from shared.messages.subjects import Node
from shared.site.model import EdgeSpec

TTL_MS = 3000
EDGES = ("e1", "e2")


class SimulatedLoop(asyncio.SelectorEventLoop):
    """Time passes only when nothing is ready: hours in seconds, the same each time."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0

    def time(self) -> float:
        """Simulated seconds."""
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0].when())  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@dataclass
class LoopClock(Clock):
    """The simulated time as the product's clock."""

    loop: asyncio.AbstractEventLoop

    def now_ms(self) -> int:
        """Wall clock."""
        return 1_700_000_000_000 + int(self.loop.time() * 1000)

    def mono_ms(self) -> int:
        """Monotonic."""
        return int(self.loop.time() * 1000)


@dataclass
class Database:
    """Leases and brains, as the real tables keep them; `down` is whom it does not answer."""

    clock: Clock
    down: set[str] = field(default_factory=set)
    leases: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    rows: dict[str, tuple[Me, int]] = field(default_factory=dict)

    def _asked_by(self, name: str) -> None:
        if name in self.down:
            raise StoreError("the database does not answer")

    async def round(self, me: Me, wanted: Any, ttl_ms: int) -> Round:
        """One round."""
        self._asked_by(me.name)
        now = self.clock.mono_ms()
        self.rows[me.holder] = (me, now)
        for name in wanted:
            self.leases.setdefault(name, ("", 0, now))
        leases = [Lease(n, h, f, u - now) for n, (h, f, u) in sorted(self.leases.items())]
        others = await self.others(me, ttl_ms)
        part = share(me.name, me.boot, leases, len(others) + 1)
        for name in part.renew:
            holder, fence, _ = self.leases[name]
            self.leases[name] = (holder, fence, now + ttl_ms)
        for name in part.take:
            fence = self.leases[name][1] + 1
            self.leases[name] = (me.holder, fence, now + ttl_ms)
        held = {name: self.leases[name][1] for name in (*part.renew, *part.take)}
        return Round(held, part.give, others)

    async def others(self, me: Me, ttl_ms: int) -> list[Other]:
        """The other brains."""
        self._asked_by(me.name)
        now = self.clock.mono_ms()
        return [
            Other(each.holder, each.attended, each.horn, now - at)
            for each, at in self.rows.values() if each.holder != me.holder and now - at < ttl_ms
        ]  # fmt: skip

    async def tell(self, me: Me) -> None:
        """A brain's row."""
        self._asked_by(me.name)
        self.rows[me.holder] = (me, self.clock.mono_ms())

    async def release(self, me: Me, names: Any) -> None:
        """Leases given away."""
        self._asked_by(me.name)
        for name in names:
            holder, fence, _ = self.leases[name]
            if holder == me.holder:
                self.leases[name] = (holder, fence, self.clock.mono_ms())

    async def leave(self, me: Me) -> None:
        """Gone."""
        self._asked_by(me.name)
        self.rows.pop(me.holder, None)
        await self.release(me, [n for n in self.leases])

    async def tidy(self, ttl_ms: int, sources: Any) -> None:
        """Nothing to forget."""


@dataclass
class _Live:
    horn_edges: set[str] = field(default_factory=set)

    def touch(self) -> None:
        """Nobody looks."""


class BrainAt:
    """One brain's leases, annunciation and consoles, from a start to a kill."""

    def __init__(self, world: HornWorld, name: str, boot: str) -> None:
        self.name, self.world = name, world
        self.live, self.attended = _Live(), False
        specs = [
            EdgeSpec.model_validate({"id": each, "name": {"zh": each, "en": each}})
            for each in EDGES
        ]
        self.fleet = FleetView("f1", specs, world.clock)
        self.brains = Brains(
            Me(name, boot), world.database, TTL_MS, self._edges, lambda: self.attended
        )
        self.annunciation = Annunciation(
            "f1", "f1.brain", TTL_MS, cast(Bus, self), world.clock, self.fleet,
            cast(LiveView, self.live), lambda: self.attended, self._writable,
        )  # fmt: skip
        self.annunciation.attended_elsewhere = self.brains.attended_elsewhere
        self.annunciation.claim = self.brains.claim_horn
        self.annunciation.elsewhere = lambda: self.brains.horn_elsewhere(self.fleet.sounding)
        self.annunciation.settled = self.brains.horn_settled
        bodies = (
            self.brains.run,
            self.brains.leading(self.annunciation.run),
            self._hear,
            self._look,
        )
        self._tasks = [asyncio.ensure_future(body()) for body in bodies]

    async def _edges(self) -> list[str]:
        return list(EDGES)

    async def _writable(self) -> bool:
        return self.name not in self.world.database.down

    async def _hear(self) -> None:
        while True:
            for edge in EDGES:
                if (self.name, edge) not in self.world.cut:
                    health = Health(
                        source=f"f1.{edge}", epoch="ep", boot="bt", at=1,
                        mono=(now := self.world.clock.mono_ms()),
                        annunciating=self.world.leases[edge].annunciating(now),
                    )  # fmt: skip
                    await self.fleet.on_health(Node("f1", edge).health, encode(health))
            await asyncio.sleep(0.2)

    async def _look(self) -> None:
        while True:
            try:
                await self.brains.look()
            except StoreError:
                await asyncio.sleep(0)
            self.annunciation.settle()
            await asyncio.sleep(0.2)

    async def request_down(self, node: Node, subject: str, data: bytes, timeout_s: float) -> bytes:
        """The edge's answer, unless the link is cut on the way there or back."""
        await asyncio.sleep(0.01)
        if (self.name, node.name) in self.world.cut:
            await asyncio.sleep(timeout_s)
            raise RetryableTransportError("no answer")
        lease = self.world.leases[node.name]
        answer = encode(lease.grant(decode(data, LeaseGrant), self.world.clock.mono_ms()))
        if self.world.random.random() < self.world.lost_answers:
            await asyncio.sleep(timeout_s)
            raise RetryableTransportError("the answer was lost")
        return answer

    def sounds(self, edge: str) -> bool:
        """Whether a console here would sound for an edge."""
        return edge in self.live.horn_edges and self.attended

    async def kill(self) -> None:
        """As a kill: nothing is given back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class HornWorld:
    """Two edges, two brains, one database."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.clock = LoopClock(asyncio.get_running_loop())
        self.database = Database(self.clock)
        self.leases = {edge: AtEdge(boot="bt") for edge in EDGES}
        self.cut: set[tuple[str, str]] = set()
        self.brains: dict[str, BrainAt] = {}
        self.boots = 0
        self.lost_answers = 0.05
        self.faults = 0
        self.silent: dict[str, float] = dict.fromkeys(EDGES, 0.0)
        self.longest = 0.0
        self.twice: dict[str, float] = dict.fromkeys(EDGES, 0.0)
        self.overlap = 0.0
        self.by_tier = {"edge": 0, "factory": 0, "both": 0, "none": 0}

    def start(self, name: str) -> None:
        """A brain's new start."""
        self.boots += 1
        self.brains[name] = BrainAt(self, name, f"b{self.boots}")

    async def fault(self) -> None:
        """Something happens."""
        self.faults += 1
        name = self.random.choice(("x", "y"))
        brain = self.brains.get(name)
        match self.random.choice(("kill", "watch", "watch", "leave", "database", "cut", "mend")):
            case "kill" if brain is not None:
                del self.brains[name]
                await brain.kill()
            case "watch" if brain is not None:
                brain.attended = True
            case "leave" if brain is not None:
                brain.attended = False
            case "database":
                self.database.down ^= {name}
            case "cut":
                self.cut ^= {(name, self.random.choice(EDGES))}
            case _:
                self.database.down.clear()
                self.cut.clear()
                for each in ("x", "y"):
                    if each not in self.brains:
                        self.start(each)

    def look(self, step: float) -> None:
        """Note who sounds for each edge at this moment."""
        for edge in EDGES:
            below = self.leases[edge].annunciating(self.clock.mono_ms())
            above = any(each.sounds(edge) for each in self.brains.values())
            self.silent[edge] = 0.0 if below or above else self.silent[edge] + step
            self.longest = max(self.longest, self.silent[edge])
            self.twice[edge] = self.twice[edge] + step if below and above else 0.0
            self.overlap = max(self.overlap, self.twice[edge])
            tier = "both" if below and above else "edge" if below else "factory" if above else ""
            self.by_tier[tier or "none"] += 1

    async def end(self) -> None:
        """All brains."""
        for each in self.brains.values():
            await each.kill()
