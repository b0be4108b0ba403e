"""The servers and processes of `andon bench playbooks`, and what is read off them.

The loads run on it; the engine and the edge are processes of their own, watched from outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil

import factory_brain
from factory_brain.adapters.postgres.partitions import Partitions
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.bench.playbook_edge import EdgeOrder
from factory_brain.bench.playbook_engine import EngineOrder
from factory_brain.bench.playbook_nodes import EDGE
from factory_brain.bench.playbook_site import Horn, readings
from factory_brain.bench.servers import Nats, Postgres, cpu_s, until
from factory_brain.domain.samples import Columns
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.embedded.ports import Ports
from shared.errors import AndonError, RetryableTransportError
from shared.ids import new_epoch
from shared.messages.codec import encode
from shared.messages.control import Hello
from shared.messages.envelope import Frame
from shared.messages.subjects import LIVE
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.webhooks import new_secret

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
Figures = dict[str, Any]


@dataclass(slots=True)
class PlaybookWorld:
    """A plant with an engine that can be killed."""

    server: Postgres
    url: str
    folder: Path
    furnaces: int
    pool: Any
    bus: NatsBus
    journal: Path
    horn: Horn
    epoch: str = field(default_factory=new_epoch)
    clock: SystemClock = field(default_factory=SystemClock)
    engine: asyncio.subprocess.Process | None = None

    log = "engine.log"

    # the engine's process

    async def start(self) -> None:
        """Start the engine's process; it may not be ready yet."""
        self.engine = await spawn(self.folder, "engine")

    async def kill(self) -> None:
        """SIGKILL."""
        if self.engine is not None and self.engine.returncode is None:
            self.engine.kill()
            await self.engine.wait()

    @property
    def process(self) -> psutil.Process:
        """The engine's process as the system knows it; says why if it is gone."""
        assert self.engine is not None
        if self.engine.returncode is not None:
            told = (self.folder / self.log).read_text()[-2000:]
            raise AndonError(f"the engine's process has ended:\n{told}")
        return psutil.Process(self.engine.pid)

    def memory_mb(self) -> dict[str, float]:
        """Its resident and its proportional memory."""
        found = self.process.memory_full_info()
        return {"rss": found.rss / 1e6, "pss": found.pss / 1e6}

    def cpu_s(self) -> tuple[float, float]:
        """Processor seconds of the engine and of PostgreSQL."""
        return cpu_s(self.process.pid), self.server.cpu_s()

    # what happens in the plant

    async def hello(self, seconds: float = 60) -> None:
        """The edge says that it is there, until it is heard."""
        hello = Hello(
            source=EDGE.source, epoch=self.epoch, boot="bench", at=self.clock.now_ms()
        )  # fmt: skip

        async def heard() -> bool:
            self.process  # noqa: B018  # says why if it is gone
            with contextlib.suppress(RetryableTransportError):
                await self.bus.request(EDGE.hello, encode(hello), 1.0)
                return True
            return False

        await until("the engine's process", heard, seconds)

    async def send(self, frame: Frame) -> None:
        """Alarms of the plant."""
        await self.bus.publish_durable(EDGE.lane(LIVE), encode(frame), frame.message_id)

    async def sample(self, rows: list[tuple[str, int, float | None, int]]) -> None:
        """Newer values in the historian."""
        async with self.pool.acquire() as tx, tx.transaction():
            await SampleStore(self.pool).insert(tx, [Columns.of(rows)])

    # what is read off it

    async def ended(self, book: str, since: int, count: int, seconds: float = 300) -> None:
        """Wait until so many runs of a document have ended."""

        async def over() -> bool:
            self.process  # noqa: B018
            return await self.pool.fetchval(
                "SELECT count(*) >= $3 FROM run WHERE playbook = $1 AND started_at >= $2 "
                "AND ended_at IS NOT NULL",
                book, since, count,
            )  # fmt: skip

        await until(f"{count} runs of {book}", over, seconds)

    def arrivals(self) -> dict[str, int]:
        """run -> when its first command came to the edge, in UTC ms."""
        with contextlib.closing(sqlite3.connect(self.journal)) as journal:
            rows = journal.execute("SELECT id, at FROM did ORDER BY at DESC").fetchall()
        return {name.partition(":")[0]: at for name, at in rows}

    def repeated(self) -> int:
        """Commands that came to the edge more than once."""
        with contextlib.closing(sqlite3.connect(self.journal)) as journal:
            return journal.execute("SELECT count(*) FROM did WHERE times > 1").fetchone()[0]


async def spawn(folder: Path, name: str) -> asyncio.subprocess.Process:
    """A process of the benchmark, by the order in its file."""
    with (folder / f"{name}.log").open("ab") as log:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"factory_brain.bench.playbook_{name}",
            str(folder / f"{name}.json"), stdout=log, stderr=log,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def playbook_world(
    folder: Path, server: Postgres, nats: Nats, furnaces: int
) -> AsyncIterator[PlaybookWorld]:
    """Database, plant, edge; the engine is running and has heard the edge."""
    url, port, journal = await server.database("playbooks"), Ports().take(0), folder / "edge.db"
    await migrate(url, MIGRATIONS)
    (folder / "hook").write_text(new_secret())
    epoch = new_epoch()
    orders = {
        "edge": EdgeOrder(nats.url, nats.password, str(journal), epoch, port),
        "engine": EngineOrder(
            url, nats.url, nats.password, furnaces, f"http://127.0.0.1:{port}/", str(folder),
            str(folder / "stamps"),
        ),
    }  # fmt: skip
    for name, order in orders.items():
        (folder / f"{name}.json").write_bytes(msgspec.json.encode(order))
        (folder / f"{name}.json").chmod(0o600)
    pool = await connect_pool(url, size=4, name="bench")
    bus = await NatsBus.connect(
        nats.url, user="app", password=nats.password, name="bench", inbox=EDGE.inbox, site="f1"
    )
    clock = SystemClock()
    world = PlaybookWorld(
        server, url, folder, furnaces, pool, bus, journal, Horn(clock, epoch), epoch=epoch
    )
    edge = await spawn(folder, "edge")
    try:
        await Partitions(pool).make_ahead(clock.now_ms())
        await world.sample(readings(furnaces, clock.now_ms()))
        await world.start()
        await world.hello()
        yield world
    finally:
        await world.kill()
        if edge.returncode is None:
            edge.kill()
        await edge.wait()
        await bus.close()
        await pool.close()
