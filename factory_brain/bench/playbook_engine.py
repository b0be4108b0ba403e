"""The engine as a process of its own, wired as a brain wires it: intake, triggers, engine, store.

Started (and killed) by the loads of `andon bench playbooks`; plays the shift lead too, who answers
the furnace's question as soon as it is shown.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import msgspec

from factory_brain.adapters.outward import Outside
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.pools import SHORT_S
from factory_brain.adapters.postgres.run_incidents import RunIncidents
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.postgres.trigger_store import PgTriggerStore
from factory_brain.adapters.webhook_sender import HttpWebhooks
from factory_brain.application.fleet import FleetView
from factory_brain.application.fleet_calling import call_edges
from factory_brain.application.ingest import Ingest
from factory_brain.application.playbooks.alarm_states import AlarmStates
from factory_brain.application.playbooks.control import Control
from factory_brain.application.playbooks.edge_devices import EdgeDevices
from factory_brain.application.playbooks.engine import Engine, Ports
from factory_brain.application.playbooks.plant_tags import PlantTags
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.playbooks.triggers import Triggers
from factory_brain.bench.playbook_nodes import BRAIN, EDGE
from factory_brain.bench.playbook_site import FURNACE, books, plant
from shared.bus.jetstream_api import drop_consumer
from shared.bus.nats_bus import NatsBus
from shared.bus.streams import EVENTS, factory_streams
from shared.clock import SystemClock
from shared.ids import new_epoch
from shared.messages.codec import encode
from shared.messages.envelope import Event
from shared.messages.subjects import LIVE
from shared.outbox.receiving import Receiving
from shared.postgres.outbox import PgOutbox
from shared.postgres.pool import Pool, connect_pool
from shared.postgres.receiver import FrameReceiver
from shared.site.site import Site

PAUSE = "/steps/pause"


class EngineOrder(msgspec.Struct):
    """Where it works."""

    database: str
    nats: str
    password: str
    furnaces: int
    receiver: str
    secrets: str
    stamps: str
    """File that is told when a commit that ends a pause has returned: run, UTC ms; first of all
    when this process has its program: `up`, UTC ms."""


class EngineProcess:
    """Everything in it."""

    def __init__(
        self, order: EngineOrder, site: Site, pool: Pool, bus: NatsBus, told: TextIO
    ) -> None:  # fmt: skip
        self._told = told
        self._order, self._site, self._pool, self._bus = order, site, pool, bus
        self._clock = SystemClock()
        self._store = PgRunStore(pool, self._clock, RunIncidents(self._clock))
        self._fleet = FleetView(EDGE.site, site.info.edges, self._clock)
        self._alarms = AlarmStore(pool)
        self._samples = SampleStore(pool)
        self._people: set[asyncio.Task[Any]] = set()

    async def run(self, intake: Pool) -> None:
        """For ever."""
        self._stamp()
        engine, triggers, states = await self._wire()
        receiving = await self._intake(intake, triggers, states)
        durable, subject = f"{LIVE}-{EDGE.name}", EDGE.lane(LIVE)
        await drop_consumer(self._bus, EVENTS, durable)
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        async with asyncio.TaskGroup() as group:
            for work in (
                engine.run(), triggers.run(), states.run(),
                receiving.consume(EVENTS, durable, subject), receiving.report_for_ever(),
            ):  # fmt: skip
                group.create_task(work)

    async def _wire(self) -> tuple[Engine, Triggers, AlarmStates]:
        order, site, clock, store = self._order, self._site, self._clock, self._store
        outside = Outside(EDGE.site, site.bindings.endpoints, {}, Path(order.secrets))
        edges = EdgeDevices(EDGE.site, self._bus, self._fleet, store, site.bindings.devices)
        tags = PlantTags(site.tags, site.sources, self._samples, self._fleet, clock)
        ports = Ports(store, edges, tags, HttpWebhooks(outside, clock), clock)
        engine = Engine(ports, site.bindings.devices)
        releases, fired = Releases(site, store, clock), PgTriggerStore(self._pool)
        for loaded in books().values():
            await releases.put(loaded)
        feed = Feed(self._pool, "playbooks")
        triggers = Triggers(site, clock, fired, releases, self._alarms, feed)
        triggers.on_started.append(engine.wake)
        triggers.on_cancelled.append(engine.poke)
        engine.on_over.append(lambda _: triggers.wake())
        states = AlarmStates(clock, self._alarms, fired, engine.poke)
        engine.ask_alarms(states)
        engine.on_changed = partial(self._shift_lead, Control(store, engine, clock))
        return engine, triggers, states

    async def _intake(self, pool: Pool, triggers: Triggers, states: AlarmStates) -> Receiving:
        outbox = PgOutbox(pool, new_epoch())

        async def forward(tx: Any, events: list[Event]) -> None:
            encoded = [encode(event) for event in events]
            await outbox.append_many(tx, LIVE, self._clock.now_ms(), encoded)

        ingest = Ingest(self._clock, self._alarms, self._samples, forward)
        ingest.receiver = FrameReceiver(pool, self._clock, ingest.apply)
        ingest.on_commit.append(triggers.wake)
        ingest.on_occurrence.append(states.on_occurrence)

        async def health(subject: str, data: bytes) -> None:
            await self._fleet.on_health(subject, data)

        async def forged(subject: str, why: str) -> None:
            raise AssertionError(f"{subject}: {why}")

        await self._bus.subscribe(EDGE.health, health)
        self._fleet.listening()
        await call_edges(EDGE.site, self._bus, self._fleet)
        for spec in factory_streams(EDGE.site):
            await self._bus.ensure_stream(spec)
        receiving = Receiving(self._bus, self._clock, ingest, site=EDGE.site, on_forged=forged)
        await receiving.serve_hello()
        return receiving

    async def _shift_lead(self, control: Control, name: str) -> None:
        run = await self._store.get(name)
        if run is not None and run.playbook == FURNACE and run.ask is not None:
            step = str(run.ask["step"])
            answer = control.answer(name, step, "vent", "li", ("shift-lead",), "")
            task = asyncio.create_task(answer)  # people do not wait for each other
            self._people.add(task)
            task.add_done_callback(self._people.discard)

    def _stamp(self) -> None:
        writes, real = self._store.writes, self._store.writes.write
        told = self._told

        async def write(order: Any) -> int | None:
            found = await real(order)
            if found is not None and any(_ends(effect) for effect in order.effects):
                told.write(f"{order.run.id} {self._clock.now_ms()}\n")
            return found

        writes.write = write  # type: ignore[method-assign]


def _ends(effect: Any) -> bool:
    return effect.path == PAUSE and effect.phase == "done"


async def _main(order: EngineOrder) -> None:
    told = Path(order.stamps).open("a", buffering=1)  # noqa: ASYNC230, SIM115
    told.write(f"up {SystemClock().now_ms()}\n")
    site = plant(order.furnaces, order.receiver)
    pool = await connect_pool(order.database, name="bench-engine", transaction_s=SHORT_S)
    intake = await connect_pool(order.database, size=4, name="bench-intake", transaction_s=SHORT_S)
    bus = await NatsBus.connect(
        order.nats, user="app", password=order.password, name="bench-engine", inbox=BRAIN.inbox,
        site=EDGE.site,
    )  # fmt: skip
    await EngineProcess(order, site, pool, bus, told).run(intake)


if __name__ == "__main__":
    asyncio.run(_main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=EngineOrder)))
