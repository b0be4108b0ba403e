"""The drainer over a bus that duplicates, reorders, loses and is cut: all once, in order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest

from shared.bus.memory_bus import Faults, MemoryBus, MemoryServer
from shared.bus.port import StreamSpec
from shared.errors import RetryableTransportError
from shared.messages.codec import decode, encode
from shared.messages.control import Committed
from shared.messages.envelope import Frame
from shared.messages.subjects import HISTORY, LIVE, REPLAY, Node, parse
from shared.outbox import drainer as drainer_module
from shared.outbox.drainer import WINDOW_FRAMES, Drainer
from shared.outbox.sqlite_outbox import SqliteOutbox
from shared.outbox.watermark import judge

EDGE = Node("f1", "e1")
STREAM = StreamSpec("EVENTS", ("andon.f1.*.*.*",), 1 << 24, 3600)


class Upper:
    """A receiver that keeps watermarks as a tier does, and reports them."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.watermarks: dict[str, int] = {}
        self.stored: dict[str, list[int]] = {}
        self.arrivals: list[str] = []
        self.paused = False

    async def run(self) -> None:
        async for batch in self._bus.consume("EVENTS", "brain", ">"):
            for delivery in batch:
                frame = decode(delivery.data, Frame)
                assert parse(delivery.subject)[0] == EDGE
                self.arrivals.append(frame.lane)
                key = f"{frame.epoch}/{frame.lane}"
                verdict = judge(frame, self.watermarks.get(key, 0))
                self.watermarks[key] = verdict.watermark
                fresh = [decode(bytes(event), int) for _, event in verdict.fresh]
                self.stored.setdefault(key, []).extend(fresh)
                await (delivery.nak(0.01) if verdict.waits else delivery.ack())
            await self.report()

    async def report(self) -> None:
        if self.paused or not self.watermarks:
            return
        report = Committed(source=EDGE.source, watermarks=dict(self.watermarks))
        try:
            await self._bus.publish(EDGE.committed, encode(report))
        except RetryableTransportError:
            return

    async def report_for_ever(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            await self.report()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drainer_module, "RESEND_AFTER_S", 0.1)
    monkeypatch.setattr(drainer_module, "RESEND_UNHEARD_S", 0.2)
    monkeypatch.setattr(drainer_module, "IDLE_S", 0.01)


@pytest.fixture
def outbox() -> Iterator[SqliteOutbox]:
    db = sqlite3.connect(":memory:")
    yield SqliteOutbox(db, "ep1")
    db.close()


@asynccontextmanager
async def running(server: MemoryServer, outbox: SqliteOutbox):
    edge, brain = server.connect(), server.connect()
    await brain.ensure_stream(STREAM)
    upper, drainer = Upper(brain), Drainer(EDGE, outbox, edge)
    tasks = [
        asyncio.create_task(work) for work in (upper.run(), upper.report_for_ever(), drainer.run())
    ]
    try:
        yield upper, drainer
        for task in tasks:
            assert not task.done(), task.exception()
    finally:
        for task in tasks:
            task.cancel()
        _, stuck = await asyncio.wait(tasks, timeout=5)
        assert not stuck, "a task ignored its cancellation"
        await edge.close()
        await brain.close()


async def emptied(outbox: SqliteOutbox, seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while await outbox.pending():
            await asyncio.sleep(0.01)


def fill(outbox: SqliteOutbox, lane: str, numbers: range) -> None:
    for number in numbers:
        outbox.append(lane, number, encode(number))


@pytest.mark.parametrize("seed", range(3))
async def test_a_bad_bus_delays_but_neither_loses_nor_doubles_nor_reorders(
    outbox: SqliteOutbox, seed: int
) -> None:
    faults = Faults(duplicate=0.3, reorder=0.5, lose=0.15, lose_ack=0.2, seed=seed)
    server = MemoryServer(faults)
    async with running(server, outbox) as (upper, drainer):
        for start in range(0, 1200, 150):
            fill(outbox, LIVE, range(start, start + 150))
            fill(outbox, HISTORY, range(start, start + 150))
            drainer.wake()
            await asyncio.sleep(0.01)
        await emptied(outbox)
        assert upper.stored == {
            "ep1/live": list(range(1200)), "ep1/history": list(range(1200))
        }  # fmt: skip
    for counts in (await outbox.status()).lanes.values():
        assert (counts.produced, counts.delivered, counts.buffered) == (1200, 1200, 0)


async def test_a_cut_keeps_everything_and_the_drainer_says_that_the_link_is_down(
    outbox: SqliteOutbox,
) -> None:
    server = MemoryServer()
    async with running(server, outbox) as (upper, drainer):
        fill(outbox, LIVE, range(10))
        drainer.wake()
        await emptied(outbox)
        assert drainer.link_up
        server.cut = True
        fill(outbox, LIVE, range(10, 30))
        drainer.wake()
        async with asyncio.timeout(5):
            while drainer.link_up:
                await asyncio.sleep(0.01)
        assert len(upper.stored["ep1/live"]) == 10
        assert (await outbox.status()).lanes[LIVE].buffered == 20
        server.cut = False
        await emptied(outbox)
        assert upper.stored["ep1/live"] == list(range(30))
        assert drainer.link_up


async def test_what_the_broker_has_is_not_deleted_before_the_receiver_commits(
    outbox: SqliteOutbox,
) -> None:
    server = MemoryServer()
    async with running(server, outbox) as (upper, drainer):
        upper.paused = True
        fill(outbox, LIVE, range(5))
        drainer.wake()
        async with asyncio.timeout(5):
            while not upper.stored or drainer.resends == 0:
                await asyncio.sleep(0.01)
        assert (await outbox.status()).lanes[LIVE].buffered == 5
        since = drainer.stuck_since(LIVE)  # told although the broker takes all: a resend is no news
        assert since is not None
        assert asyncio.get_running_loop().time() - since >= drainer_module.RESEND_AFTER_S
        upper.paused = False
        await emptied(outbox)
        assert drainer.stuck_since(LIVE) is None
        assert upper.stored["ep1/live"] == list(range(5))  # the resends did no harm


async def test_while_nothing_is_heard_of_the_receiver_the_broker_is_not_filled(
    outbox: SqliteOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drainer_module, "RESEND_UNHEARD_S", 60)
    server = MemoryServer()
    bus = server.connect()
    await bus.ensure_stream(STREAM)
    drainer = Drainer(EDGE, outbox, bus)
    fill(outbox, LIVE, range(5))
    draining = asyncio.create_task(drainer.run())
    try:
        await asyncio.sleep(0.5)  # five times the patience with a receiver that is heard
        assert (drainer.frames_sent, drainer.resends) == (1, 0)
        # Heard again, without what was sent: now it is sent again.
        await drainer.on_committed("", encode(Committed(source=EDGE.source, watermarks={})))
        async with asyncio.timeout(5):
            while drainer.resends == 0:
                await asyncio.sleep(0.01)
    finally:
        draining.cancel()
        await asyncio.wait([draining])


async def test_a_drainer_run_anew_after_a_fault_listens_once(
    outbox: SqliteOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = MemoryServer().connect()
    drainer, subscribed = Drainer(EDGE, outbox, bus), []
    subscribe = bus.subscribe

    async def counted(subject: str, handler) -> None:
        subscribed.append(subject)
        await subscribe(subject, handler)

    async def fails() -> None:
        raise ConnectionError("the database is away")

    monkeypatch.setattr(bus, "subscribe", counted)
    monkeypatch.setattr(outbox, "pending", fails)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            await drainer.run()
    assert subscribed == [EDGE.committed]


async def test_live_goes_before_replay_before_history(outbox: SqliteOutbox) -> None:
    for lane in (HISTORY, REPLAY, LIVE):
        fill(outbox, lane, range(3))
    server = MemoryServer()
    async with running(server, outbox) as (upper, _):
        await emptied(outbox)
        assert list(dict.fromkeys(upper.arrivals)) == [LIVE, REPLAY, HISTORY]


async def test_the_window_of_unconfirmed_frames_is_bounded(
    outbox: SqliteOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drainer_module, "RESEND_AFTER_S", 60)
    fill(outbox, LIVE, range(500 * (WINDOW_FRAMES + 4)))
    server = MemoryServer()
    async with running(server, outbox) as (upper, drainer):
        upper.paused = True
        async with asyncio.timeout(10):
            while drainer.frames_sent < WINDOW_FRAMES:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert drainer.frames_sent == WINDOW_FRAMES
        upper.paused = False
        await emptied(outbox)


async def test_a_report_for_somebody_else_deletes_nothing(outbox: SqliteOutbox) -> None:
    fill(outbox, LIVE, range(5))
    drainer = Drainer(EDGE, outbox, MemoryServer().connect())
    other = Committed(source="f1.e2", watermarks={"ep1/live": 5})
    await drainer.on_committed("", encode(other))
    assert (await outbox.status()).lanes[LIVE].buffered == 5


async def test_an_older_epoch_is_drained_as_a_stream_of_its_own() -> None:
    db = sqlite3.connect(":memory:")
    fill(SqliteOutbox(db, "ep1"), LIVE, range(4))
    second = SqliteOutbox(db, "ep2")
    fill(second, LIVE, range(100, 103))
    async with running(MemoryServer(), second) as (upper, _):
        await emptied(second)
        assert upper.stored == {"ep1/live": [0, 1, 2, 3], "ep2/live": [100, 101, 102]}
    db.close()
