"""Two brains as processes on one NATS and one PostgreSQL, and edges with a real outbox.

Used by the tests of several brains; says who holds what and what has arrived.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec

from edge_node.application.records import Emit, event
from shared.alarm.states import AlarmState
from shared.embedded.ports import Ports
from shared.ids import new_epoch
from shared.messages.bodies import AlarmTransition, Fact
from shared.messages.codec import decode, encode
from shared.messages.control import Committed, Health, LeaseGrant
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import Node
from shared.outbox.drainer import Drainer
from shared.outbox.registration import register
from shared.paths import demo_sites
from shared.security import generate_key
from tests.support.brain_world import until
from tests.support.chaos_edge import Road
from tests.support.servers import NatsForTests

LEASE_S = 3.0
PLAYBOOK = """
schema: playbook/v1
playbook: noted
version: 1
name: {zh: 记录, en: Noted}
concurrency: {key: "alarm.occurrence"}
triggers: [{id: hot, alarm: FUR-01.TT-101.HIHI}]
steps:
  - {id: end, log: "seen"}
"""


class Edge(Road):
    """An edge's store, journal and drainer, which also beats, and takes facts and leases."""

    def __init__(self, folder: Path, connect: Any, name: str) -> None:
        folder.mkdir(parents=True)
        self.node = Node("f1", name)
        self.facts: list[Fact] = []
        super().__init__(folder, connect, epoch=new_epoch())
        self.lease: Any = None

    async def _link(self) -> None:
        connect: Any = self.connect
        bus = self.bus = await connect(self.node.inbox)
        drainer = self.drainer = Drainer(self.node, self.outbox, bus)
        self.journal.on_commit = drainer.wake
        await bus.subscribe(self.node.fact, self._on_fact)
        await bus.subscribe(self.node.lease, self._on_lease)
        self._tasks.append(asyncio.create_task(self._beat()))
        await register(bus, self.node, self.outbox, self.clock, epoch=self.epoch, boot=self.epoch)
        drainer.link_up = True
        self.lanes.drainer = drainer
        await drainer.run()

    async def _beat(self) -> None:
        assert self.bus is not None
        while True:
            health = Health(
                source=self.node.source, epoch=self.epoch, boot=self.epoch,
                mono=self.clock.mono_ms(), at=self.clock.now_ms(),
            )  # fmt: skip
            await self.bus.publish(self.node.health, encode(health))
            await asyncio.sleep(0.3)

    async def _on_fact(self, _: str, data: bytes) -> bytes:
        frame = decode(data, Frame)
        for raw in frame.events:
            body = decode(bytes(raw), Event).body
            assert isinstance(body, Fact)
            self.facts.append(body)
        key = f"{frame.epoch}/{frame.lane}"
        return encode(Committed(source=frame.source, watermarks={key: frame.last}))

    async def _on_lease(self, _: str, data: bytes) -> bytes | None:
        grant = decode(data, LeaseGrant)
        return None if self.lease is None else encode(
            self.lease.grant(grant, self.clock.mono_ms())
        )  # fmt: skip

    def say(self, number: int, alarm: str, *, active: bool, prefix: str = "n") -> None:
        """One transition; its event's id tells edge and number."""
        now = self.clock.now_ms()
        body = AlarmTransition(
            alarm=alarm, occurrence=f"{self.node.name}-{prefix}-{alarm}-{number // 2}",
            version=1 if active else 2, annunciated_version=1,
            kind="raised" if active else "returned", annunciate=active,
            state=AlarmState(raw=active, active=active, acked=not active).to_dict(),
            settings_version=1, priority=2, asset="FUR-01", tag="T", value=float(number),
            source_time=now, receive_time=now, raised_at=now,
        )  # fmt: skip
        made = event(f"{self.node.name}:{prefix}:{number}", f"alarm.{body.kind}", now, body)
        self.journal.write([Emit(made)])


class BrainProcess:
    """One brain."""

    def __init__(self, name: str, config: dict[str, Any], folder: Path) -> None:
        self.name, self.port, self._folder = name, config["http_port"], folder
        self._config = folder / f"{name}.yaml"
        self._config.write_bytes(msgspec.json.encode(config))
        self.process: Process | None = None
        self.down = False
        """It is to stay down for now."""
        self.web = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=10)

    async def start(self) -> None:
        """Begin to start."""
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "shared.cli.main", "brain", "run", "--config",
                str(self._config), stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip

    async def answers(self) -> bool:
        """Whether it serves."""
        assert self.process is not None
        log = self._folder / f"{self.name}.log"
        assert self.process.returncode is None, log.read_text()[-3000:]
        try:
            return (await self.web.get("/api/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async def log_in(self) -> None:
        """As the administrator."""
        body = {"username": "admin", "password": "correct horse"}
        answer = await self.web.post("/api/session", json=body)
        assert answer.status_code == 204, answer.text

    async def row(self, alarm: str) -> dict[str, Any] | None:
        """An alarm's row in its list."""
        rows = (await self.web.get("/api/alarms")).json()["rows"]
        return next((row for row in rows if row["alarm"] == alarm), None)

    async def end(self, number: int = signal.SIGTERM) -> None:
        """End it so."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)
            with suppress(ProcessLookupError):
                await asyncio.wait_for(self.process.wait(), 20)


class Plant:
    """Both brains, two edges and a look into the database."""

    def __init__(self, brains: list[BrainProcess], edges: list[Edge], db: asyncpg.Pool) -> None:
        self.brains, self.edges, self.db = brains, edges, db

    async def holders(self) -> dict[str, str]:
        """Lease -> name of the brain that holds it now."""
        rows = await self.db.fetch("SELECT name, holder FROM lease WHERE until > clock_timestamp()")
        return {row["name"]: row["holder"].partition(" ")[0] for row in rows}

    async def shared_out(self) -> bool:
        """Whether each brain has one of the two sources, and one leads."""
        held = await self.holders()
        return (
            "leader" in held and held.get("source/e1") != held.get("source/e2")
            and {"source/e1", "source/e2"} <= held.keys()
        )  # fmt: skip

    def named(self, name: str) -> BrainProcess:
        """One of the brains."""
        return next(each for each in self.brains if each.name == name)

    async def arrived(self, edge: str, prefix: str) -> list[int]:
        """Numbers of stored events, in the order of their positions."""
        rows = await self.db.fetch(
            "SELECT id FROM event WHERE id LIKE $1 ORDER BY lane, seq", f"{edge}:{prefix}:%"
        )
        return [int(row["id"].rpartition(":")[2]) for row in rows]

    async def sent_up(self, prefix: str) -> list[str]:
        """Ids of events that stand in the outbox to the group."""
        rows = await self.db.fetch("SELECT event FROM outbox WHERE lane = 'live'")
        found = [decode(row["event"], Event).id for row in rows]
        return [each for each in found if f":{prefix}:" in each]


@asynccontextmanager
async def two_brains(folder: Path, nats: NatsForTests, url: str) -> AsyncIterator[Plant]:
    """Both started and sharing the work."""
    private, public = generate_key()
    books = folder / "books"
    books.mkdir()
    (books / "noted.yaml").write_text(PLAYBOOK)
    for name, data in {
        "app": nats.password.encode(), "admin": b"correct horse", "key": private, "pub": public,
    }.items():  # fmt: skip
        (folder / name).write_bytes(data)
    brains: list[BrainProcess] = []
    ports = Ports()
    for name in ("x", "y"):
        config = {
            "site": "f1", "site_dir": str(demo_sites() / "f1"), "state_dir": str(folder / name),
            "playbook_dir": str(books), "secrets_dir": str(folder), "brain_name": name,
            "approval_key_file": str(folder / "key"), "release_key_file": str(folder / "pub"),
            "nats_url": nats.url, "nats_password_file": str(folder / "app"),
            "database_url": url, "http_port": ports.take(0), "lease_ttl": f"{LEASE_S}s",
            "admin_password_file": str(folder / "admin"), "brain_lease": f"{LEASE_S}s",
        }  # fmt: skip
        (folder / name).mkdir()
        brains.append(BrainProcess(name, config, folder))
    edges = [
        Edge(folder / f"edge-{name}", lambda inbox: nats.connect(inbox, "f1"), name)
        for name in ("e1", "e2")
    ]
    db = await asyncpg.create_pool(url, min_size=1, max_size=2)
    plant = Plant(brains, edges, db)
    try:
        for each in brains:
            await each.start()
        for each in brains:
            await until(each.answers, 60)
            await each.log_in()
        for edge in edges:
            await edge.open()
        await until(plant.shared_out, 30)
        yield plant
    finally:
        for edge in edges:
            await edge.close()
        for each in brains:
            await each.end(signal.SIGTERM)
            await each.web.aclose()
        await db.close()
