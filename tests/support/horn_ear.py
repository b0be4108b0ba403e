"""Listens to who sounds, twenty-five times a second, and remembers the longest silence and overlap.

Used by the chaos suite over real processes; every interval is counted from the last look that was
different to the next one, so that it is never shorter than what people heard.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field

from tests.support.horn_processes import HornPlant

LOOK_S = 0.04


@dataclass
class Worst:
    """The longest of each, of one kind of fault (s)."""

    silence: float = 0.0
    edge_down: float = 0.0
    """Silence while the edge's process was down or starting: nobody else can know of its alarms."""
    overlap: float = 0.0


@dataclass
class Ear:
    """What is heard."""

    plant: HornPlant
    phase: str = "start"
    stands: bool = False
    """An alarm stands unacknowledged."""
    edge: bool = False
    edge_answers: bool = False
    factory: bool = False
    looks: int = 0
    longest_gap: float = 0.0
    """Between two looks at the edge's page."""
    moments: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    worst: dict[str, Worst] = field(default_factory=lambda: defaultdict(Worst))
    _sounded: float | None = None
    _alone: float | None = None
    _down: bool = False
    _phase_of: dict[str, str] = field(default_factory=dict)

    async def ask(self) -> None:
        """The edge's page, for ever."""
        loop = asyncio.get_running_loop()
        before = loop.time()
        while True:
            status = await self.plant.status()
            self.edge_answers = status is not None
            self.edge = bool(status and status["horn"])
            now = loop.time()
            if self.plant.edge_up and self.edge_answers:
                self.longest_gap = max(self.longest_gap, now - before)
            before = now
            await asyncio.sleep(LOOK_S)

    async def listen(self) -> None:
        """For ever."""
        loop = asyncio.get_running_loop()
        while True:
            self.factory = any(console.sounds for console in self.plant.consoles)
            self._note(loop.time())
            await asyncio.sleep(LOOK_S)

    def _note(self, now: float) -> None:
        self.looks += 1
        edge, factory = self.edge, self.factory
        name = "both" if edge and factory else "edge" if edge else "factory" if factory else "none"
        self.moments[name] += 1
        if not self.stands:
            self._sounded = self._alone = None
            return
        if not (edge and factory):
            self._alone = now
        elif self._alone is not None:
            worst = self.worst[self._phase_of.setdefault("both", self.phase)]
            worst.overlap = max(worst.overlap, now - self._alone)
        if edge or factory:
            self._sounded, self._down = now, False
        elif self._sounded is not None:
            self._down |= not (self.plant.edge_up and self.edge_answers)
            worst = self.worst[self._phase_of.setdefault("none", self.phase)]
            length = now - self._sounded
            if self._down:
                worst.edge_down = max(worst.edge_down, length)
            else:
                worst.silence = max(worst.silence, length)
        for other in ("both", "none"):
            if name != other:
                self._phase_of.pop(other, None)

    async def settled(self, tier: str, seconds: float = 40.0, steady: float = 1.0) -> None:
        """Wait until this tier alone has sounded for a while."""
        loop = asyncio.get_running_loop()
        deadline, since = loop.time() + seconds, None
        while since is None or loop.time() - since < steady:
            right = (self.edge, self.factory) == (tier == "edge", tier == "factory")
            since = (since or loop.time()) if right else None
            assert loop.time() < deadline, (tier, self.phase, self.edge, self.factory)
            await asyncio.sleep(LOOK_S)

    @property
    def silence(self) -> float:
        """The longest one."""
        return max((worst.silence for worst in self.worst.values()), default=0.0)

    @property
    def overlap(self) -> float:
        """The longest one."""
        return max((worst.overlap for worst in self.worst.values()), default=0.0)

    @property
    def edge_down(self) -> float:
        """The longest silence of a dead edge."""
        return max((worst.edge_down for worst in self.worst.values()), default=0.0)
