"""The receiving loop when its store fails: what is left of a batch comes again at once."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus.memory_bus import MemoryServer
from shared.bus.port import StreamSpec
from shared.clock import ManualClock
from shared.messages.codec import encode
from shared.messages.control import Hello, Welcome
from shared.messages.envelope import Frame
from shared.messages.subjects import LIVE, Node
from shared.outbox import receiving as receiving_module
from shared.outbox.receiving import Receipt, Receiving

EDGE = Node("f1", "e1")
STREAM = StreamSpec("EVENTS", ("andon.f1.*.*.*",), 1 << 24, 3600)


class Store:
    """Fails for a while in the middle of a batch, as the database is away."""

    def __init__(self) -> None:
        self.taken: list[int] = []
        self.failed = 0

    async def receive(self, frame: Frame) -> Receipt:
        if frame.first == 3 and self.failed < 4:  # thrice with others, once alone
            self.failed += 1
            raise ConnectionError("the database is away")
        self.taken.append(frame.first)
        return Receipt(frame.first, applied=1)

    async def receive_many(self, frames: list[Frame]) -> list[Receipt]:
        before = list(self.taken)
        try:
            return [await self.receive(frame) for frame in frames]
        except ConnectionError:
            self.taken = before  # as a transaction
            raise

    async def hello(self, hello: Hello) -> Welcome:
        return Welcome(accepted=True)

    async def watermarks(self, source: str) -> tuple[dict[str, int], dict[str, int]]:
        return {}, {}


async def _nobody(*_: str) -> None:
    return None


async def test_a_fault_gives_back_the_rest_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving_module, "AFTER_FAULT_S", 0.01)
    bus, store = MemoryServer().connect(), Store()
    await bus.ensure_stream(STREAM)
    for number in range(1, 6):
        frame = Frame(source=EDGE.source, epoch="a", lane=LIVE, first=number, events=[])
        await bus.publish_durable(EDGE.lane(LIVE), encode(frame), f"m{number}")
    loop = Receiving(bus, ManualClock(), store, site="f1", on_forged=_nobody)
    with pytest.raises(ConnectionError):
        await loop.consume("EVENTS", "brain")
    again = asyncio.create_task(loop.consume("EVENTS", "brain"))
    try:
        async with asyncio.timeout(5):  # far less than a broker waits for an acknowledgement
            while len(store.taken) < 5:
                await asyncio.sleep(0.01)
    finally:
        again.cancel()
        await asyncio.wait([again])
    assert store.taken == [1, 2, 3, 4, 5]


async def test_a_frame_that_no_database_can_take_is_told_of_and_holds_up_nobody() -> None:
    bus, store, told = MemoryServer().connect(), Store(), list[str]()
    store.failed = 4
    await bus.ensure_stream(STREAM)
    for number, (epoch, first, oldest) in enumerate(
        (("a\0b", 1, 0), ("", 1, 0), ("a", 1 << 63, 0), ("a", 0, 0), ("a", 1, 1 << 63), ("a", 1, 0))
    ):
        frame = Frame(
            source=EDGE.source, epoch=epoch, lane=LIVE, first=first, events=[], oldest=oldest
        )
        await bus.publish_durable(EDGE.lane(LIVE), encode(frame), f"n{number}")

    async def forged(subject: str, why: str) -> None:
        told.append(why)

    loop = Receiving(bus, ManualClock(), store, site="f1", on_forged=forged)
    task = asyncio.create_task(loop.consume("EVENTS", "brain"))
    try:
        async with asyncio.timeout(5):
            while not store.taken:
                await asyncio.sleep(0.01)
    finally:
        task.cancel()
        await asyncio.wait([task])
    assert store.taken == [1]
    assert len(told) == 5
