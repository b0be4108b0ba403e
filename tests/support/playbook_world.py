"""A playbook engine on a real database and a real bus, with an edge and a receiver of the test's.

Called by the integration tests of playbooks; the engine, its store and executors are the product's.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from factory_brain.adapters.outward_http import HttpCalls
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.postgres.trigger_store import PgTriggerStore
from factory_brain.adapters.webhook_sender import HttpWebhooks, Outside
from factory_brain.application.fleet import FleetView
from factory_brain.application.playbooks.desk import PlaybookDesk
from factory_brain.application.playbooks.edge_devices import EdgeDevices
from factory_brain.application.playbooks.engine import Engine, Ports
from factory_brain.application.playbooks.plant_tags import PlantTags
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.playbooks.triggers import Triggers
from factory_brain.bootstrap import MIGRATIONS
from factory_brain.domain.rows import Occurrence, order_key
from factory_brain.domain.samples import Columns
from shared.alarm.states import AlarmState
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.messages.bodies import AlarmTransition, PlaybookOutcome
from shared.messages.codec import decode, encode
from shared.messages.control import Command, CommandRequest, CommandResult, Health
from shared.messages.subjects import Node
from shared.paths import demo_sites, playbook_library
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.site.loader import load_site
from shared.webhooks import new_secret, verify

EDGE = Node("f1", "e1")
ALARM = "FUR-01.TT-101.HIHI"
LEASE_MS = 300


class Killed(Exception):
    """The engine's process is no more: whatever it tries, nothing happens."""


class ScriptedEdge:
    """Answers commands as an edge does: by its journal, each id carried out once."""

    def __init__(self, bus: NatsBus) -> None:
        self._bus = bus
        self.epoch = "ep-1"
        self.done: dict[str, Command] = {}
        self.results: dict[str, CommandResult] = {}
        self.received: Counter[str] = Counter()
        self.lose_answers = 0
        """How many answers to commands get lost after the deed."""
        self.drop_commands = 0
        """How many commands never arrive."""
        self.outcome: tuple[Any, str] = ("done", "")

    async def start(self) -> None:
        """Listen for commands."""
        await self._bus.subscribe(EDGE.command, self._on_command)

    async def beat(self) -> None:
        """Say that this edge lives."""
        while True:
            await self._bus.publish(EDGE.health, encode(self._health()))
            await asyncio.sleep(0.2)

    def _health(self) -> Health:
        return Health(source=EDGE.source, epoch=self.epoch, boot="bt", mono=5, at=1)

    async def _on_command(self, _: str, data: bytes) -> bytes | None:
        request = decode(data, CommandRequest)
        if request.health:
            return encode(self._health())
        if request.query is not None:
            name = request.query.id
            found = self.results.get(name)
            return encode(found or CommandResult(id=name, outcome="never_seen", epoch=self.epoch))
        command = request.command
        assert command is not None
        if self.drop_commands > 0:
            self.drop_commands -= 1
            return None
        self.received[command.id] += 1
        if command.id not in self.results:
            outcome, reason = self.outcome
            if outcome == "done":
                self.done[command.id] = command
            self.results[command.id] = CommandResult(
                id=command.id, outcome=outcome, reason=reason, epoch=self.epoch, before=80.0,
            )  # fmt: skip
        if self.lose_answers > 0:
            self.lose_answers -= 1
            return None
        return encode(self.results[command.id])

    def writes(self, run: str) -> list[tuple[str, str, dict[str, Any]]]:
        """What one run has made this edge write, in order."""
        return [(c.device, c.operation, c.args) for c in self.done.values() if c.run == run]


@dataclass
class Receiver:
    """A linked system that takes webhooks."""

    secret: str
    port: int = 0
    statuses: list[int] = field(default_factory=list)
    """Answers to the next requests; 202 afterwards."""
    genuine: list[str] = field(default_factory=list)
    """Ids of requests whose signature is right."""
    forged: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One HTTP request."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
        headers = {name.lower(): value for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        genuine = verify(self.secret, headers, body, int(time.time()))
        (self.genuine if genuine else self.forged).append(headers["webhook-id"])
        self.bodies.append(body)
        status = self.statuses.pop(0) if self.statuses else 202
        moved = f"Location: http://127.0.0.1:{self.port}/elsewhere\r\n" if status == 302 else ""
        writer.write(f"HTTP/1.1 {status} x\r\nContent-Length: 0\r\n{moved}".encode())
        writer.write(b"Connection: close\r\n\r\n")
        await writer.drain()
        writer.close()


class MortalStore:
    """The real store of an engine that is killed before or after its n-th commit."""

    COMMITS = frozenset({"write", "release", "delivered", "create", "answer"})

    def __init__(self, store: PgRunStore, at: int = 0, after: bool = True) -> None:
        self._store, self._at, self._after = store, at, after
        self.commits = 0
        self.dead = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        real = getattr(self._store, name)
        return lambda *args, **more: self._call(name, real, args, more)

    async def _call(self, name: str, real: Callable[..., Any], args: Any, more: Any) -> Any:
        if self.dead.is_set():
            raise Killed
        commit = name in self.COMMITS
        self.commits += commit
        last = commit and self.commits == self._at
        if last and not self._after:
            self.dead.set()
            raise Killed
        result = await real(*args, **more)
        if last:
            self.dead.set()
            raise Killed
        return result


@dataclass
class World:
    """Everything around an engine."""

    pool: asyncpg.Pool
    bus: NatsBus
    fleet: FleetView
    edge: ScriptedEdge
    receiver: Receiver
    secrets: Path
    ended: list[PlaybookOutcome] = field(default_factory=list)
    started: dict[str, str] = field(default_factory=dict)

    @property
    def store(self) -> PgRunStore:
        """The store as it is."""
        return PgRunStore(self.pool, SystemClock())

    async def engine(self, store: Any, folder: Path | None = None) -> tuple[Engine, PlaybookDesk]:
        """A new engine with its desk, as the brain's bootstrap wires them."""
        clock, site = SystemClock(), load_site(demo_sites() / "f1")
        bindings = site.bindings
        urls = {"cmms": f"http://127.0.0.1:{self.receiver.port}/hooks/cmms"}
        webhooks = HttpWebhooks(Outside("f1", bindings.endpoints, urls, self.secrets), clock)
        tags = PlantTags(site.tags, site.sources, SampleStore(self.pool), self.fleet, clock)
        devices = EdgeDevices("f1", self.bus, self.fleet, store, bindings.devices)
        calls = HttpCalls(Outside("f1", bindings.endpoints, urls, self.secrets))
        ports = Ports(store, devices, tags, webhooks, clock, calls)
        engine = Engine(ports, bindings.devices, lease_ms=LEASE_MS)
        alarms, fired = AlarmStore(self.pool), PgTriggerStore(self.pool)
        releases = Releases(site, store, clock)
        triggers = Triggers(site, clock, fired, releases, alarms, Feed(self.pool, "playbooks"))

        async def on_ended(outcome: PlaybookOutcome) -> None:
            self.ended.append(outcome)

        async def told(runs: Mapping[str, str]) -> None:
            self.started.update(runs)

        triggers.on_told.append(told)
        triggers.on_started.append(engine.wake)
        engine.on_ended = on_ended
        desk = PlaybookDesk(site, store, engine, clock, releases, triggers, fired)
        await desk.load(folder or playbook_library() / "furnace")
        assert desk.faults == []
        return engine, desk

    async def sample(self, tag: str, value: float) -> None:
        """A new value in the historian."""
        rows = Columns.of([(tag, SystemClock().now_ms(), value, 0)])
        async with self.pool.acquire() as tx, tx.transaction():
            await SampleStore(self.pool).insert(tx, [rows])


@contextlib.asynccontextmanager
async def playbook_world(url: str, nats: Any, folder: Path) -> AsyncIterator[World]:
    """Database migrated, edge alive, receiver listening."""
    await migrate(url, MIGRATIONS)
    pool = await connect_pool(url, size=8)
    bus, edge_bus = await nats.connect(site="f1"), await nats.connect(inbox=EDGE.inbox)
    secret = new_secret()
    (folder / "webhook-cmms").write_text(secret)
    receiver, edge = Receiver(secret), ScriptedEdge(edge_bus)
    server = await asyncio.start_server(receiver.handle, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    fleet = FleetView("f1", load_site(demo_sites() / "f1").info.edges, SystemClock())

    async def on_health(subject: str, data: bytes) -> None:
        await fleet.on_health(subject, data)

    await bus.subscribe(EDGE.health, on_health)
    await edge.start()
    beating = asyncio.create_task(edge.beat())
    try:
        async with asyncio.timeout(5):
            while not fleet.online("e1"):
                await asyncio.sleep(0.02)
        yield World(pool, bus, fleet, edge, receiver, folder)
    finally:
        beating.cancel()
        server.close()
        await bus.close()
        await edge_bus.close()
        await pool.close()


def raised(occurrence: str, *, active: bool = True, age_ms: int = 0) -> Occurrence:
    """A merged occurrence as the ingest hands it over."""
    at = SystemClock().now_ms() - age_ms
    transition = AlarmTransition(
        alarm=ALARM, occurrence=occurrence, version=1, annunciated_version=1, kind="raised",
        annunciate=True, settings_version=1, priority=1, asset="FUR-01", tag="TT-101",
        side="HIHI", value=1291.5, limit=1280.0, unit="°C", source_time=at, receive_time=at,
        raised_at=at, state=AlarmState(raw=active, active=active, acked=False).to_dict(),
    )  # fmt: skip
    key = order_key(transition, at, "ev")
    return Occurrence(occurrence, ALARM, "e1", transition, key, at, None, at, False)
