"""An edge's command side, real: handler, journal on SQLite, actuation; its plant is a ledger.

It lives in the test's process and survives whatever becomes of the brains that command it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.application.actuation import Actuation
from edge_node.application.command_handler import CommandHandler
from edge_node.application.ipc import WriteResult
from edge_node.application.journal import Journal
from edge_node.application.records import event
from edge_node.application.uplink import Lanes
from edge_node.domain.operations import PlannedWrite
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.expression import Reading
from shared.ids import uuid7
from shared.messages.codec import decode, encode
from shared.messages.control import CommandRequest, Health
from shared.messages.subjects import Node
from shared.site.model import DeviceSpec

EDGE = Node("f1", "e1")
MOVES = {
    "ns=2;s=FUR01.Burner.OutSP": "BURNER-01.SP", "ns=2;s=FUR01.Fan.Start": "FAN-01.RUN",
}  # fmt: skip
"""What a write to an address moves."""


class Plant:
    """The plant as the edge sees it, and every write that ever reached it."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self.values: dict[str, Any] = {
            "ESD-01": False, "BURNER-01.SP": 80.0, "FAN-01.RUN": False, "TT-101": 1200.0,
            "JAMMED": True, "BURNER-01.MODE": "AUTO", "BURNER-01.OUT": 80.0,
        }  # fmt: skip
        self.writes: Counter[str] = Counter()
        """run:path -> how often it was written, under whatever id."""
        self.order: list[tuple[str, Any]] = []
        self.now = 0
        self.stuck = False
        """Writes arrive and move nothing."""
        self.written: Callable[[], None] | None = None
        """Told after a write and before anybody is answered."""
        self.delay_s = delay_s
        self.sources = _AnySource()

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def tag(self, name: str) -> Reading | None:
        """The value of a tag."""
        return Reading(self.values[name], True, 0.0) if name in self.values else None

    def root(self, name: str) -> object:
        """There are no roots at an edge."""
        raise KeyError(name)

    def window(self, function: str, tag: str, seconds: float) -> object:
        """Nor windows here."""
        raise KeyError(tag)

    def watch(self, use: object) -> None:
        """Nothing to keep."""

    async def write(self, source: str, order: str, planned: PlannedWrite, ms: int) -> WriteResult:
        """The driver's write."""
        await asyncio.sleep(self.delay_s)
        run, path, _ = order.split(":")
        self.writes[f"{run}:{path}"] += 1
        self.order.append((f"{run}:{path}", planned.value))
        if planned.address in MOVES and not self.stuck:
            self.values[MOVES[planned.address]] = planned.value
        if self.written is not None:
            self.written()
        return WriteResult(id=order, outcome="done", readback=None)


class _AnySource:
    def __getitem__(self, name: str) -> Any:
        return SimpleNamespace(spec=SimpleNamespace(driver="opcua"))


class CommandedEdge:
    """The edge at work on the bus."""

    def __init__(
        self, bus: NatsBus, folder: Path, devices: dict[str, DeviceSpec], plant: Plant
    ) -> None:
        self.plant, self._bus, self.folder = plant, bus, folder
        self._devices, self.clock = devices, SystemClock()
        self.epoch, self.boot = "ep-1", "bt-1"
        self.asked: Counter[str] = Counter()
        self.lose_answers = 0
        """How many answers to commands get lost after the deed."""
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        """Open the journal, listen, beat."""
        lanes = Lanes()
        self.store = SqliteStore(
            self.folder / "edge.db", self.epoch, lanes,
            lambda gap: event(uuid7(self.clock), "outbox.gap", self.clock.now_ms(), gap), None,
        )  # fmt: skip
        self.journal = Journal(self.store, self.clock)
        self._tasks.append(asyncio.create_task(self.journal.run()))
        actuation = Actuation(
            self._devices,
            self.plant,  # type: ignore[arg-type]
            self.plant,
            self.clock,
            self.clock.mono_ms,
        )
        self.handler = CommandHandler(
            actuation, self.journal, self.clock, self.epoch, self.boot, {}
        )
        await self._bus.subscribe(EDGE.command, self._on_command, workers=16)
        self._tasks.append(asyncio.create_task(self._beat()))

    async def _beat(self) -> None:
        while True:
            health = Health(
                source=EDGE.source, epoch=self.epoch, boot=self.boot,
                mono=self.clock.mono_ms(), at=self.clock.now_ms(),
            )  # fmt: skip
            await self._bus.publish(EDGE.health, encode(health))
            await asyncio.sleep(0.05)

    async def _on_command(self, _: str, data: bytes) -> bytes | None:
        request = decode(data, CommandRequest)
        self.asked["query" if request.query else "command"] += 1
        result = await self.handler.handle(request)
        if request.command is not None and self.lose_answers > 0:
            self.lose_answers -= 1
            return None
        return encode(result)

    async def stop(self) -> None:
        """End it in order."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.journal.close()


@asynccontextmanager
async def commanded_edge(
    bus: NatsBus, folder: Path, devices: dict[str, DeviceSpec], delay_s: float = 0.0
) -> AsyncIterator[CommandedEdge]:
    """A running edge."""
    edge = CommandedEdge(bus, folder, devices, Plant(delay_s))
    await edge.start()
    try:
        yield edge
    finally:
        await edge.stop()
