"""One suite for every bus: the double in memory, and NATS with JetStream."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared.bus.memory_bus import MemoryServer
from shared.bus.port import Bus, StreamSpec
from shared.errors import RetryableTransportError
from shared.messages.subjects import Node
from tests.support.servers import NatsForTests

EDGE = Node("f1", "e1")
SPEC = StreamSpec("EVENTS", ("andon.f1.*.alarm.*",), 1 << 20, 3600)
Connect = Callable[[], Awaitable[Bus]]


@pytest.fixture
async def memory() -> AsyncIterator[Connect]:
    server, made = MemoryServer(), []

    async def connect() -> Bus:
        made.append(server.connect())
        return made[-1]

    yield connect
    for bus in made:
        await bus.close()


@pytest.fixture
async def real(nats_server: NatsForTests) -> AsyncIterator[Connect]:
    made = []

    async def connect() -> Bus:
        made.append(await nats_server.connect(inbox=f"_INBOX_{secrets.token_hex(4)}"))
        return made[-1]

    yield connect
    for bus in made:
        await bus.close()


@pytest.fixture(params=["memory", "real"])
def connect(request: pytest.FixtureRequest) -> Connect:
    return request.getfixturevalue(request.param)


async def take(bus: Bus, durable: str, count: int) -> list:
    """The next `count` deliveries of a durable consumer, not acknowledged."""
    found: list = []
    async with asyncio.timeout(10):
        batches = bus.consume("EVENTS", durable, ">")
        try:
            async for batch in batches:
                found += batch
                if len(found) >= count:
                    return found
        finally:
            await batches.aclose()
    return found


async def heard(seen: list, count: int) -> None:
    async with asyncio.timeout(5):
        while len(seen) < count:
            await asyncio.sleep(0.01)


async def test_core_messages_reach_whoever_matches_one_after_the_other(connect: Connect) -> None:
    one, two = await connect(), await connect()
    seen: list[tuple[str, bytes]] = []
    running = 0

    async def handler(subject: str, data: bytes) -> None:
        nonlocal running
        running += 1
        assert running == 1  # never two at a time
        await asyncio.sleep(0)
        seen.append((subject, data))
        running -= 1

    await one.subscribe("andon.f1.*.health", handler)
    # A round trip proves that the server knows the subscription.
    await one.subscribe("ping", _echo)
    await one.request("ping", b"", 5)
    for i in range(20):
        await two.publish("andon.f1.e1.health", b"%d" % i)
    await two.publish("andon.f1.e1.health.lease", b"no")
    await two.publish("andon.f2.e1.health", b"no")
    await two.publish("andon.f1.e2.health", b"last")
    await heard(seen, 21)
    expected = [("andon.f1.e1.health", b"%d" % i) for i in range(20)]
    assert seen == [*expected, ("andon.f1.e2.health", b"last")]


async def _echo(_: str, data: bytes) -> bytes:
    return data + b"!"


async def test_a_request_gets_its_answer_from_above_and_from_below(connect: Connect) -> None:
    upper, lower = await connect(), await connect()
    await upper.subscribe(EDGE.hello, _echo)
    await lower.subscribe(EDGE.command, _echo)
    await upper.request(EDGE.hello, b"", 5)  # both subscriptions are known after a round trip
    await lower.request(EDGE.command, b"", 5)
    assert await lower.request(EDGE.hello, b"a", 5) == b"a!"
    answers = await asyncio.gather(
        *(upper.request_down(EDGE, EDGE.command, b"%d" % i, 5) for i in range(10))
    )
    assert answers == [b"%d!" % i for i in range(10)]


async def test_a_request_that_nobody_hears_fails_retryably(connect: Connect) -> None:
    bus = await connect()
    with pytest.raises(RetryableTransportError):
        await bus.request("andon.f1.e1.hello", b"", 0.3)
    with pytest.raises(RetryableTransportError):
        await bus.request_down(EDGE, EDGE.command, b"", 0.3)


async def test_an_answer_that_comes_too_late_is_a_retryable_fault(connect: Connect) -> None:
    bus = await connect()

    async def slow(_: str, data: bytes) -> bytes:
        await asyncio.sleep(5)
        return data

    await bus.subscribe("slow", slow)
    with pytest.raises(RetryableTransportError):
        await bus.request("slow", b"", 0.2)


async def test_durable_messages_are_stored_once_by_id_and_come_in_order(connect: Connect) -> None:
    bus = await connect()
    await bus.ensure_stream(SPEC)
    await bus.ensure_stream(SPEC)  # repeating it changes nothing
    for i in range(5):
        for _ in range(2):
            await bus.publish_durable(EDGE.lane("live"), b"%d" % i, f"id-{i}")
    found = await take(bus, "brain", 5)
    assert [(d.subject, d.data, d.attempt) for d in found] == [
        ("andon.f1.e1.alarm.live", b"%d" % i, 1) for i in range(5)
    ]


async def test_a_durable_publish_without_a_stream_fails_retryably(connect: Connect) -> None:
    bus = await connect()
    with pytest.raises(RetryableTransportError):
        await bus.publish_durable("andon.f1.e1.alarm.live", b"", "x")


async def test_what_is_refused_comes_again_and_what_is_acknowledged_does_not(
    connect: Connect,
) -> None:
    bus = await connect()
    await bus.ensure_stream(SPEC)
    for i in range(3):
        await bus.publish_durable(EDGE.lane("live"), b"%d" % i, f"id-{i}")
    seen: list[tuple[bytes, int]] = []
    async with asyncio.timeout(10):
        async for batch in bus.consume("EVENTS", "brain", ">"):
            for delivery in batch:
                seen.append((delivery.data, delivery.attempt))
                if delivery.data == b"1" and delivery.attempt == 1:
                    await delivery.nak(0.05)
                else:
                    await delivery.ack()
            if len(seen) >= 4:
                break
    assert seen == [(b"0", 1), (b"1", 1), (b"2", 1), (b"1", 2)]


async def test_a_consumer_that_binds_again_goes_on_after_what_it_acknowledged(
    connect: Connect,
) -> None:
    bus = await connect()
    await bus.ensure_stream(SPEC)
    for i in range(3):
        await bus.publish_durable(EDGE.lane("live"), b"%d" % i, f"id-{i}")
    for delivery in await take(bus, "brain", 3):
        await delivery.ack()
    again = await connect()
    await again.publish_durable(EDGE.lane("replay"), b"new", "id-new")
    found = await take(again, "brain", 1)
    assert [(d.subject, d.data) for d in found] == [("andon.f1.e1.alarm.replay", b"new")]


async def test_a_bucket_gives_the_newest_value_or_none(connect: Connect) -> None:
    bus = await connect()
    await bus.ensure_bucket(EDGE.directive_bucket)
    await bus.ensure_bucket(EDGE.directive_bucket)
    domain = "f1"
    assert await bus.bucket_get(EDGE.directive_bucket, "current", domain) is None
    await bus.bucket_put(EDGE.directive_bucket, "current", b"1")
    await bus.bucket_put(EDGE.directive_bucket, "current", b"2")
    assert await bus.bucket_get(EDGE.directive_bucket, "current", domain) == b"2"


async def test_after_closing_every_call_is_a_retryable_fault(connect: Connect) -> None:
    bus = await connect()
    assert bus.connected
    await bus.ensure_stream(SPEC)
    await bus.close()
    assert not bus.connected
    with pytest.raises(RetryableTransportError):
        await bus.publish("andon.f1.e1.health", b"")
    with pytest.raises(RetryableTransportError):
        await bus.publish_durable("andon.f1.e1.alarm.live", b"", "x")
    with pytest.raises(RetryableTransportError):
        await bus.request("andon.f1.e1.hello", b"", 0.5)
