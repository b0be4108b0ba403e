"""An engine in the test's own process over the crash world, and the small playbooks it is given.

Called by the acceptance checks of the engine; everything but the plant is the product's.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from factory_brain.adapters.outward_http import HttpCalls
from factory_brain.adapters.postgres.run_incidents import RunIncidents
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.webhook_sender import HttpWebhooks, Outside
from factory_brain.application.fleet import FleetView
from factory_brain.application.playbooks.control import Control
from factory_brain.application.playbooks.edge_devices import EdgeDevices
from factory_brain.application.playbooks.engine import Engine, Ports
from factory_brain.application.playbooks.plant_tags import PlantTags
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.messages.subjects import Node
from shared.playbook.model import Playbook
from shared.site.model import EndpointSpec
from tests.support.playbook_brain import SITE, devices
from tests.support.playbook_crash import CrashWorld
from tests.support.servers import NatsForTests

LEAD = ("shift-lead",)
_BOOK: dict[str, Any] = {
    "schema": "playbook/v1", "playbook": "checked", "version": 1, "name": "checked",
    "deadline": "10m", "triggers": [{"id": "by-hand", "manual": {"roles": ["shift-lead"]}}],
    "devices": {
        name: {"type": "crash.device", "bind": "alarm.asset", "role": name}
        for name in ("d0", "d1", "d2", "jam")
    },
    "endpoints": {"echo": {"type": "http"}, "cmms": {"type": "webhook"}},
}  # fmt: skip


def book(steps: list[dict[str, Any]], **more: Any) -> Playbook:
    """A playbook over the devices of the trees."""
    return Playbook.model_validate({**_BOOK, "steps": steps, **more})


def command(name: str, device: str = "d0", **more: Any) -> dict[str, Any]:
    spec = {"device": device, "op": "set", "args": {"v": 1}, "expires": "20s", **more}
    return {"id": name, "command": spec}


def asking(**more: Any) -> dict[str, Any]:
    spec = {"to": ["role:shift-lead"], "question": "go?", "options": ["go", "stay"]}
    return {"id": "decide", "ask": {**spec, "within": "5m", **more}}


class Hand:
    """An engine in this process over the crash world's database, bus and edge."""

    def __init__(self, world: CrashWorld, engine: Engine, store: PgRunStore) -> None:
        self.world, self.engine, self.store = world, engine, store
        self.control = Control(store, engine, SystemClock())
        self._task: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        self._task = asyncio.create_task(self.engine.run())

    async def kill(self) -> None:
        """It is gone without any goodbye."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._task = None

    async def ended(self, run: str, seconds: float = 20) -> str:
        async def over() -> Any:
            found = await self.store.get(run)
            return found.status if found and not found.live else None

        return await until(over, seconds)

    async def asks(self, run: str) -> list[Any]:
        async def open_() -> Any:
            found = await self.store.get(run)
            return list(found.asks) if found and found.asks else None

        return await until(open_)

    async def kinds(self, run: str) -> dict[str, str]:
        rows = await self.store.entries(run)
        return {path: str(record.data.get("kind", record.phase)) for path, record, _ in rows}


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    """Poll with a deadline; returns what the condition returned."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
        return found


@contextlib.asynccontextmanager
async def engine(
    world: CrashWorld, nats: NatsForTests, headers: dict[str, str] | None = None
) -> AsyncIterator[Hand]:
    """An engine, not yet at work."""
    clock, bus = SystemClock(), await nats.connect(site="f1")
    fleet = FleetView("f1", SITE.info.edges, clock)
    store = PgRunStore(world.pool, clock, RunIncidents(clock))
    made = await _wired(world, bus, fleet, store, headers or {})
    hand = Hand(world, made, store)
    try:
        yield hand
    finally:
        await hand.kill()
        await bus.close()


async def _wired(
    world: CrashWorld, bus: NatsBus, fleet: FleetView, store: PgRunStore, headers: dict[str, str]
) -> Engine:
    async def on_health(subject: str, data: bytes) -> None:
        await fleet.on_health(subject, data)

    await bus.subscribe(Node("f1", "e1").health, on_health)
    where = {
        name: EndpointSpec(
            url=world.order["receiver"], secret="hook", private=True, headers=headers
        )
        for name in ("cmms", "echo")
    }
    clock, outside = SystemClock(), Outside("f1", where, {}, world.folder)
    edges = EdgeDevices("f1", bus, fleet, store, devices())
    tags = PlantTags(SITE.tags, SITE.sources, SampleStore(world.pool), fleet, clock)
    ports = Ports(store, edges, tags, HttpWebhooks(outside, clock), clock, HttpCalls(outside))

    async def heard() -> bool:
        return fleet.online("e1")

    await until(heard)
    return Engine(ports, devices(), lease_ms=300)
