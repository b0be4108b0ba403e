"""The faults of the bus in memory are what they say, and the same for the same seed."""

from __future__ import annotations

import asyncio

import pytest

from shared.bus.memory_bus import Faults, MemoryServer, matches
from shared.bus.port import StreamSpec
from shared.errors import RetryableTransportError

SPEC = StreamSpec("S", ("a.*",), 1 << 20, 60)


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [("a.b", "a.b", True), ("a.*", "a.b", True), ("a.*", "a.b.c", False), ("a.>", "a.b.c", True),
     ("a.>", "a", False), (">", "a", True), ("*.b", "a.b", True), ("a.b", "a", False)],
)  # fmt: skip
def test_patterns_match_as_in_nats(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected


async def publish_all(faults: Faults, count: int = 40) -> tuple[list[bytes], list[bool]]:
    server = MemoryServer(faults)
    bus = server.connect()
    await bus.ensure_stream(SPEC)
    confirmed = []
    for i in range(count):
        try:
            await bus.publish_durable("a.b", b"%d" % i, str(i))
            confirmed.append(True)
        except RetryableTransportError:
            confirmed.append(False)
    await bus.close()
    return [data for _, data in server.stored("S")], confirmed


async def test_a_lost_publish_is_not_stored_and_a_lost_confirmation_is() -> None:
    stored, confirmed = await publish_all(Faults(lose=0.5))
    assert stored == [b"%d" % i for i, sure in enumerate(confirmed) if sure]
    assert 0 < len(stored) < 40
    stored, confirmed = await publish_all(Faults(lose_ack=0.5))
    assert len(stored) == 40
    assert not all(confirmed)


async def test_the_same_seed_gives_the_same_faults() -> None:
    assert await publish_all(Faults(lose=0.5, seed=7)) == await publish_all(
        Faults(lose=0.5, seed=7)
    )
    assert await publish_all(Faults(lose=0.5, seed=7)) != await publish_all(
        Faults(lose=0.5, seed=8)
    )


async def test_duplicates_and_reorder_show_in_what_is_consumed() -> None:
    server = MemoryServer(Faults(duplicate=0.5, reorder=1.0))
    bus = server.connect()
    await bus.ensure_stream(SPEC)
    for i in range(20):
        await bus.publish_durable("a.b", b"%d" % i, str(i))
    async with asyncio.timeout(5):
        async for batch in bus.consume("S", "d", ">"):
            data = [delivery.data for delivery in batch]
            break
    assert len(data) > 20
    assert data != sorted(data, key=int)
    assert set(data) == {b"%d" % i for i in range(20)}
    await bus.close()


async def test_a_full_queue_is_counted_and_never_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.bus.memory_bus.QUEUE", 3)
    server = MemoryServer()
    bus = server.connect()

    async def never(_: str, __: bytes) -> None:
        await asyncio.Event().wait()

    await bus.subscribe("x", never)
    for _ in range(10):
        await bus.publish("x", b"")
    assert server.overflows == 7
    await bus.close()
