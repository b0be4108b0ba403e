"""A full stream on a real server: refused while it is full, free again once it is acknowledged."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from nats.js import api

from shared.bus.nats_bus import NatsBus
from shared.bus.port import StreamSpec
from shared.errors import RetryableTransportError
from shared.messages.subjects import Node
from tests.support.servers import NatsForTests

EDGE = Node("f1", "e1")
SPEC = StreamSpec("EVENTS", ("andon.f1.*.alarm.*",), 64 * 1024, 3600)
BODY = b"x" * 4096


async def fill(bus: NatsBus, name: str) -> int:
    """Publish until the stream refuses; how many it took."""
    for number in range(100):
        try:
            await bus.publish_durable(EDGE.lane("live"), BODY, f"{name}-{number}")
        except RetryableTransportError:
            return number
    raise AssertionError("the stream is not bounded")


async def test_what_is_acknowledged_makes_room(nats_server: NatsForTests) -> None:
    bus = await nats_server.connect()
    await bus.ensure_stream(SPEC)
    held = await fill(bus, "a")
    assert 5 < held < 20
    taken = 0
    async with asyncio.timeout(20):
        async for batch in bus.consume("EVENTS", "brain", ">"):
            for delivery in batch:
                await delivery.ack()
            taken += len(batch)
            if taken == held:
                break

    async def empty() -> bool:
        return (await bus.stream_info("EVENTS"))["state"]["messages"] == 0

    async with asyncio.timeout(10):
        while not await empty():
            await asyncio.sleep(0.05)
    assert await fill(bus, "b") == held
    await bus.close()


async def test_a_stream_of_another_kind_is_made_anew(nats_server: NatsForTests) -> None:
    bus = await nats_server.connect()
    old = api.StreamConfig(name="EVENTS", subjects=list(SPEC.subjects), max_bytes=SPEC.max_bytes)
    await bus._client.jetstream().add_stream(old)
    await bus.ensure_stream(SPEC)
    await bus.ensure_stream(replace(SPEC, max_bytes=128 * 1024))
    config = (await bus.stream_info("EVENTS"))["config"]
    assert (config["retention"], config["max_bytes"]) == ("workqueue", 128 * 1024)
    await bus.close()


@pytest.mark.parametrize("times", [3])
async def test_binding_again_and_again_leaves_no_inboxes(
    nats_server: NatsForTests, times: int
) -> None:
    bus = await nats_server.connect()
    await bus.ensure_stream(SPEC)
    before = len(bus._client._subs)
    for number in range(times):
        await bus.publish_durable(EDGE.lane("live"), b"x", f"m{number}")
        batches = bus.consume("EVENTS", "brain", ">")
        for delivery in await anext(batches):
            await delivery.ack()
        await batches.aclose()  # type: ignore[attr-defined]
    assert len(bus._client._subs) - before <= 2  # those of the client's own requests
    await bus.close()
