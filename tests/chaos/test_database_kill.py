"""PostgreSQL is killed again and again while a brain stores: what was acknowledged is there.

The sender sends anew what was not acknowledged, as the broker does; in the end every row is there
exactly once and the feed has seen every event exactly once.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

import factory_brain
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.feed import Feed
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.application.ingest import Ingest
from shared.clock import SystemClock
from shared.embedded.databases import is_ready
from shared.messages.bodies import SampleBatch, StateChange
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver
from tests.chaos.conftest import SEED, WHOLE
from tests.support.servers import PASSWORD, PostgresForTests, start_postgres

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
FRAMES, SIZE, KILLS = (400, 200, 12) if WHOLE else (60, 50, 2)
FAULTS = (
    asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError,
    TimeoutError,
)  # fmt: skip


@pytest.fixture
def own_postgres(tmp_path: Path) -> Iterator[PostgresForTests]:
    """A server that this test may kill."""
    server = start_postgres(tmp_path)
    yield server
    server.stop()


def event(number: int) -> msgspec.Raw:
    body = StateChange(chart="c", asset="X", before="a", after="b")
    return msgspec.Raw(encode(Event(id=f"e{number}", type="state", time=number, body=body)))


def batch(number: int, now: int) -> msgspec.Raw:
    columns = SampleBatch(
        names=["t"], tags=bytes(4), times=(now + number).to_bytes(8, "little"),
        values=bytes(8), qualities=b"\x00",
    )  # fmt: skip
    return msgspec.Raw(encode(Event(id=f"s{number}", type="samples", time=now, body=columns)))


def frames(lane: str, now: int) -> list[Frame]:
    make = (lambda n: batch(n, now)) if lane == "history" else event
    return [
        Frame(
            source="f1.e1", epoch="a", lane=lane, first=at * SIZE + 1,
            events=[make(at * SIZE + n) for n in range(1, SIZE + 1)],
        )
        for at in range(FRAMES)
    ]  # fmt: skip


@pytest.mark.chaos
@pytest.mark.timeout(600 if WHOLE else 120)
async def test_a_killed_database_loses_and_doubles_nothing(own_postgres: PostgresForTests) -> None:
    chance = random.Random(SEED)
    url = await own_postgres.create(f"t_{secrets.token_hex(4)}")
    await migrate(url, MIGRATIONS)
    pool = await connect_pool(url)
    clock = SystemClock()

    async def forward(*_: Any) -> None:
        return None

    ingest = Ingest(clock, AlarmStore(pool), SampleStore(pool), forward)
    ingest.receiver = FrameReceiver(pool, clock, ingest.apply)
    acknowledged: dict[str, int] = {}
    faults = 0

    async def send(lane: str) -> None:
        nonlocal faults
        left = frames(lane, clock.now_ms() - 3_600_000)
        while left:
            group = left[: chance.randint(1, 5)]
            try:
                receipts = await ingest.receive_many(group)
            except FAULTS:
                faults += 1
                await asyncio.sleep(0.1)
                continue
            acknowledged[lane] = receipts[-1].watermark
            left = left[len(group) :]
            await asyncio.sleep(0.02)

    total = FRAMES * SIZE
    seen: list[tuple[str, int]] = []
    feed = Feed(pool, "witness", begin="start")

    async def witness(until: int) -> None:
        while len(seen) < until:
            try:
                events = await feed.next(1000)
                async with pool.acquire() as tx, tx.transaction():
                    await tx.execute("CREATE TABLE IF NOT EXISTS saw (lane text, seq bigint)")
                    await tx.executemany(
                        "INSERT INTO saw VALUES ($1, $2)", [(e.lane, e.seq) for e in events]
                    )
                    await feed.done(tx, events)
                seen[:] = [tuple(r) for r in await pool.fetch("SELECT lane, seq FROM saw")]
            except FAULTS:
                await asyncio.sleep(0.1)
            await asyncio.sleep(0.02)

    async def kill() -> None:
        for number in range(1, KILLS + 1):
            while sum(acknowledged.values()) < 3 * total * number / (KILLS + 1):
                await asyncio.sleep(chance.uniform(0.001, 0.01))
            pid = own_postgres.pid
            assert pid is not None
            before = dict(acknowledged)
            os.kill(pid, signal.SIGKILL)
            async with asyncio.timeout(60):
                while own_postgres.pid in (None, pid) or not await _ready(own_postgres.port):
                    await asyncio.sleep(0.1)
            async with asyncio.timeout(30):
                await _holds(pool, before)

    async with asyncio.timeout(500 if WHOLE else 110):
        await asyncio.gather(*map(send, ("live", "replay", "history")), kill(), witness(2 * total))
    counted = await pool.fetch(
        "SELECT lane, count(*), count(DISTINCT seq), max(seq) FROM event GROUP BY 1 ORDER BY 1"
    )
    assert [tuple(row) for row in counted] == [
        (lane, total, total, total) for lane in ("live", "replay")
    ]
    assert await pool.fetchval("SELECT count(*) FROM sample_raw") == total
    assert len(seen) == len(set(seen)) == 2 * total
    assert await pool.fetchval("SELECT count(*) FROM quarantined") == 0
    assert faults > 0
    await pool.close()


async def _ready(port: int) -> bool:
    return await is_ready(port, PASSWORD)


async def _holds(pool: asyncpg.Pool, acknowledged: dict[str, int]) -> None:
    """After the restart every acknowledged position stands."""
    while True:
        try:
            rows = await pool.fetch("SELECT lane, seq FROM watermark")
            break
        except FAULTS:
            await asyncio.sleep(0.1)
    stood = {row["lane"]: row["seq"] for row in rows}
    assert all(stood.get(lane, 0) >= seq for lane, seq in acknowledged.items())
