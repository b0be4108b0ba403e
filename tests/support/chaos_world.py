"""The factory's side of the chaos suite, real: JetStream, the brain's ingest, PostgreSQL.

Says what has arrived, how often and in what order; can lose its broker's disk and can be cut off.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import factory_brain
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.application.ingest import Ingest
from shared.bus.nats_bus import NatsBus
from shared.bus.streams import EVENTS, SAMPLES, alarms, factory_streams
from shared.clock import SystemClock
from shared.messages.envelope import Event
from shared.messages.subjects import LIVE, REPLAY
from shared.outbox.receiving import Receiving
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver
from shared.service import supervise
from tests.support.servers import NatsForTests

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
SITE = "f1"


class Factory:
    """The receiving end, with what it knows."""

    def __init__(self, pool: Any, nats: NatsForTests, folder: Path) -> None:
        self.pool, self.nats, self.folder = pool, nats, folder
        self.clock = SystemClock()
        self.forged: list[str] = []
        self.paused = asyncio.Event()
        self.paused.set()
        self._tasks: list[asyncio.Task[Any]] = []
        self._bus: NatsBus | None = None

    async def start(self) -> None:
        """Consume as a brain does."""
        bus = self._bus = await self.nats.connect(site=SITE)
        for spec in factory_streams(SITE):
            await bus.ensure_stream(spec)

        async def forward(_: Any, __: list[Event]) -> None:
            await self.paused.wait()

        async def on_forged(subject: str, reason: str) -> None:
            self.forged.append(f"{subject}: {reason}")

        ingest = Ingest(self.clock, AlarmStore(self.pool), SampleStore(self.pool), forward)
        ingest.receiver = FrameReceiver(self.pool, self.clock, ingest.apply)
        receiving = Receiving(bus, self.clock, ingest, site=SITE, on_forged=on_forged)
        await receiving.serve_hello()
        bodies = {
            "live": partial(receiving.consume, EVENTS, "brain", alarms(SITE, LIVE)),
            "replay": partial(receiving.consume, EVENTS, "brain-replay", alarms(SITE, REPLAY)),
            "samples": partial(receiving.consume, SAMPLES, "brain"),
            "reports": receiving.report_for_ever,
        }
        self._tasks = [asyncio.create_task(supervise(k, body)) for k, body in bodies.items()]

    async def stop(self) -> None:
        """End the brain, as a kill would: nothing is acknowledged any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._bus is not None:
            await self._bus.close()

    async def lose_the_brokers_disk(self) -> None:
        """The broker ends, its store is gone, an empty one comes up."""
        await self.stop()
        await asyncio.to_thread(self.nats.halt)
        shutil.rmtree(self.folder / "nats" / "js")
        await asyncio.to_thread(self.nats.start)
        await self.start()

    async def arrived(self, run: int | None = None) -> list[tuple[str, str, int, str]]:
        """(epoch, lane, seq, id) of all stored events, or of one run, in order of positions."""
        rows = await self.pool.fetch(
            "SELECT epoch, lane, seq, id FROM event WHERE ($1::text IS NULL OR id LIKE $1) "
            "AND type LIKE 'alarm.%' ORDER BY epoch, lane, seq",
            None if run is None else f"{run}:%",
        )
        return [tuple(row) for row in rows]

    async def count(self, table: str) -> int:
        """Rows of a table of the receiver."""
        assert table in ("gap", "quarantined", "event", "occurrence")
        return await self.pool.fetchval(f"SELECT count(*) FROM {table}")


def faults_of(
    arrived: list[tuple[str, str, int, str]], intended: set[int], stored: set[int]
) -> list[str]:
    """What is lost, doubled, invented or out of order in one run."""
    found: list[str] = []
    numbers = [int(name.partition(":")[2]) for _, _, _, name in arrived]
    if lost := stored - set(numbers):
        found.append(f"lost {sorted(lost)}")
    if len(numbers) != len(set(numbers)):
        found.append(f"doubled {sorted(n for n in set(numbers) if numbers.count(n) > 1)}")
    if invented := set(numbers) - intended:
        found.append(f"invented {sorted(invented)}")
    last: dict[tuple[str, str], int] = {}
    for (epoch, lane, _, _), number in zip(arrived, numbers, strict=True):
        if number < last.get((epoch, lane), -1):
            found.append(f"{number} after {last[epoch, lane]} in {epoch}/{lane}")
        last[epoch, lane] = number
    return found


@asynccontextmanager
async def factory(url: str, nats: NatsForTests, folder: Path) -> AsyncIterator[Factory]:
    """A started factory's side."""
    await migrate(url, MIGRATIONS)
    pool = await connect_pool(url)
    world = Factory(pool, nats, folder)
    await world.start()
    try:
        yield world
    finally:
        await world.stop()
        await pool.close()
