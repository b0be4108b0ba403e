"""OPC UA through cuts: nothing made up, nothing lost in a short one, back after a restart."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from asyncua import Node, Server, ua

from simulators.servers.opcua import stop_listening
from simulators.settings import Plants, ServerPlant
from tests.support.edge_children import Child, driver, write
from tests.support.edge_plants import (
    FURNACE_TAGS,
    free_port,
    opcua_source,
    simulated,
    tag,
)

pytestmark = pytest.mark.timeout(120)


class Proxy:
    """A wire that can be held up (a hung server) or cut."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._flow = asyncio.Event()
        self._flow.set()
        self._cut = False
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    def hold(self, held: bool) -> None:
        """Stop or go on passing bytes; connections stay up."""
        self._flow.clear() if held else self._flow.set()

    def cut(self, cut: bool) -> None:
        """Drop all connections and refuse new ones, or let them in again."""
        self._cut = cut
        if cut:
            for writer in self._open:
                writer.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                await self._flow.wait()
                writer.write(data)
                await writer.drain()
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._cut:
            writer.transport.abort()
            return
        onward, back = await asyncio.open_connection("127.0.0.1", self._target)
        ends = {writer, back}
        self._open |= ends
        try:
            await asyncio.gather(self._pass(reader, back), self._pass(onward, writer))
        finally:
            self._open -= ends

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        """Listen."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self._flow.set()
            self.cut(True)


async def steady(running: Child) -> None:
    await running.until(lambda: running.state == "connected" and running.last(0), 20)


async def test_a_server_that_hangs_is_noticed_and_nothing_is_made_up() -> None:
    async with simulated(Plants(furnace=ServerPlant())) as plant:
        proxy = Proxy(plant.endpoints()["furnace"]["port"])
        async with proxy.running():
            source = opcua_source(f"opc.tcp://127.0.0.1:{proxy.port}/furnace")
            async with driver(source, FURNACE_TAGS) as running:
                await steady(running)
                ready = await running.write(write("first", "ns=2;s=FUR01.Burner.OutSP", 41))
                assert ready.outcome == "done"
                proxy.hold(True)
                # The request may lie on the wire: whether it arrives is not known.
                order = write("w", "ns=2;s=FUR01.Burner.OutSP", 42, 800)
                assert (await running.write(order)).outcome == "unknown"
                await running.until(lambda: running.state == "failed", 10)
                known = len(running.samples)
                await asyncio.sleep(3)
                assert len(running.samples) == known
                proxy.hold(False)
                await running.until(lambda: running.state == "connected", 25)
                await running.until(lambda: len(running.samples) > known)
                writes = [w for w in plant.state()["writes"] if w["value"] == 42]
                assert len(writes) <= 1


@contextlib.asynccontextmanager
async def counter(port: int) -> AsyncIterator[Node]:
    """A server with one writable number."""
    server = Server()
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}/x")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    node = await server.nodes.objects.add_variable(
        ua.NodeId.from_string("ns=1;s=Count"), "1:Count", 0, ua.VariantType.Int64
    )
    await node.set_writable()
    async with server:
        try:
            yield node
        finally:
            await stop_listening(server)


async def test_a_restarted_server_is_found_again() -> None:
    port = free_port()
    source = opcua_source(f"opc.tcp://127.0.0.1:{port}/x")
    async with driver(source, [tag("COUNT", "ns=1;s=Count")]) as running:
        async with counter(port):
            await steady(running)
        await running.until(lambda: running.state == "failed", 10)
        async with counter(port) as node:
            await node.write_value(ua.Variant(7, ua.VariantType.Int64))
            await running.until(lambda: running.state == "connected", 40)
            await running.until(lambda: running.last(0) == (7.0, 0), 10)
            done = await running.write(write("w", "ns=1;s=Count", 43))
            assert (done.outcome, done.readback) == ("done", 43)


async def test_after_a_cut_only_what_the_server_says_counts_as_life(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A server that answers a request for messages it does not have with empty ones: what it sent
    into the dead wire arrives all the same, it is not asked for ever, and it is seen to go mute.
    """
    port = free_port()
    proxy, asked = Proxy(port), []
    async with counter(port) as node, proxy.running():
        service = node.session.subscription_service
        answer = service.republish

        def republish(wanted: ua.RepublishParameters) -> ua.NotificationMessage:
            asked.append(wanted)
            return answer(wanted)

        monkeypatch.setattr(service, "republish", republish)
        source = opcua_source(f"opc.tcp://127.0.0.1:{proxy.port}/x")
        async with driver(source, [tag("COUNT", "ns=1;s=Count")]) as running:
            await steady(running)
            await asyncio.sleep(2.5)  # Quiet: keep-alives carry the number of the next message.
            proxy.hold(True)
            await node.write_value(ua.Variant(5, ua.VariantType.Int64))
            await asyncio.sleep(0.6)
            proxy.cut(True)
            await asyncio.sleep(1)
            proxy.cut(False)
            proxy.hold(False)
            await running.until(lambda: running.last(0) == (5.0, 0), 20)
            await running.until(lambda: running.state == "connected", 10)
            assert asked
            for subscription in service.subscriptions.values():
                await subscription.stop()
            await running.until(lambda: running.state == "failed", 8)
            assert len(asked) < 10


async def test_a_cut_or_a_hang_of_five_seconds_loses_no_value() -> None:
    """A counter that the server steps every 50 ms arrives without a gap, over a wire that is cut
    and over one on which nothing is closed and nothing passes.
    """
    port = free_port()
    cut, held = Proxy(port), Proxy(port)
    tags = [tag("COUNT", "ns=1;s=Count")]
    async with counter(port) as node, cut.running(), held.running():
        one, two = (
            {**opcua_source(f"opc.tcp://127.0.0.1:{proxy.port}/x"), "interval": 50}
            for proxy in (cut, held)
        )
        async with driver(one, tags) as first, driver(two, tags) as second:
            await asyncio.gather(steady(first), steady(second))
            for step in range(1, 181):
                if step in (30, 131):
                    cut.cut(step == 30)
                    held.hold(step == 30)
                await node.write_value(ua.Variant(step, ua.VariantType.Int64))
                await asyncio.sleep(0.05)
            for running in (first, second):
                await running.until(lambda r=running: r.last(0) == (180.0, 0), 20)
                values = [v for _, v, _ in running.of(0)]
                changes = [b - a for a, b in pairwise(values) if b != a]
                assert set(changes) == {1.0}, sorted(set(changes))
