"""What every driver keeps, each against a real server of its protocol, in its own process."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge_node.adapters.sources import registry
from edge_node.application.ipc import Configure
from shared.clock import SystemClock
from shared.errors import ConfigError
from tests.support.driver_rigs import RIGS as DEVICE_RIGS
from tests.support.driver_rigs import Rig
from tests.support.edge_children import driver, write
from tests.support.edge_plants import tag
from tests.support.mqtt_rigs import MQTT_RIGS

pytestmark = pytest.mark.timeout(90)
# OPC UA's own way through cuts and restarts, much longer, is in tests/integration.
RIGS = DEVICE_RIGS | MQTT_RIGS
HUNG = ("modbus", "s7", "iec104", "http", "mqtt-broker", "sparkplug")
"""Drivers whose server can accept a connection and then say nothing."""


@contextlib.asynccontextmanager
async def running(rig: Rig) -> AsyncIterator[Rig]:
    await rig.start()
    try:
        yield rig
    finally:
        with contextlib.suppress(Exception):  # the test may have stopped it, or have failed
            await rig.stop()


@pytest.mark.parametrize("name", sorted(RIGS.keys() - {"opcua"}))
async def test_values_writes_a_cut_and_the_way_back(name: str, tmp_path: Path) -> None:
    rig = RIGS[name](tmp_path)
    async with running(rig), driver(rig.source(), rig.tags, rig.settings) as child:
        # Values with quality and time.
        await child.until(lambda: child.last(0) == (41.0, 0), 15)
        await child.until(lambda: child.state == "connected")
        at, *_ = child.of(0)[-1]
        assert abs(SystemClock().now_ms() - at) < 60_000
        await rig.set(42.0)
        await child.until(lambda: child.last(0) == (42.0, 0))

        # A place that does not exist costs itself alone and is named.
        if rig.named_absent:
            await child.until(lambda: rig.named_absent in child.states[-1].detail)
            assert child.state == "connected"
            assert (child.last(1) or (0.0, 2))[1] == 2

        # A write is done once and read back; what cannot be written is refused before it is sent.
        if rig.write is not None:
            address, value, wanted = rig.write
            done = await child.write(write("w", address, value))
            assert (done.outcome, done.readback) == ("done", wanted), done
        for n, (address, value) in enumerate(rig.refused):
            refused = await child.write(write(f"r{n}", address, value))
            assert refused.outcome == "failed", refused

        # The server goes: said with place and mend, and no good value is made up.
        await rig.stop()
        await child.until(lambda: child.state == "failed", 20)
        said = child.states[-1].detail
        assert "rig" in said
        assert "mend:" in said
        known = len([q for *_, q in child.of(0) if q == 0])
        if rig.write is not None:
            lost = await child.write(write("lost", *rig.write[:2], 800))
            assert lost.outcome in ("failed", "unknown"), lost
        await asyncio.sleep(0.5)
        assert len([q for *_, q in child.of(0) if q == 0]) == known

        # And it comes back by itself.
        rig.number = 44.0
        await rig.start()
        await child.until(lambda: child.last(0) == (44.0, 0), 30)
        await child.until(lambda: child.state == "connected")


@pytest.mark.parametrize("name", sorted(RIGS))
def test_a_wrong_address_is_named_by_the_check(name: str, tmp_path: Path) -> None:
    rig, info = RIGS[name](tmp_path), registry.find(name)
    wrong, word = rig.grammar
    assert word in info.check_address(wrong, "number")
    for point in rig.tags:
        assert info.check_address(point["address"], point["type"]) == ""
    if info.check_write is not None:
        if rig.write is not None:
            assert info.check_write(rig.write[0]) == ""
        else:
            assert info.check_write(rig.tags[0]["address"])


async def test_a_server_that_hangs_is_a_failure_with_a_mend_and_never_a_hung_child(
    tmp_path: Path,
) -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass
        writer.close()

    async def one(name: str, port: int) -> None:
        rig = RIGS[name](tmp_path)
        url = rig.url.replace(str(rig.port), str(port))
        async with driver(rig.source(url), rig.tags[:1], rig.settings) as child:
            await child.until(lambda: child.state == "failed", 20)
            assert "mend:" in child.states[-1].detail
            assert str(port) in child.states[-1].detail
            assert not [q for *_, q in child.of(0) if q == 0]
            assert rig.write is not None
            order = await child.write(write("w", *rig.write[:2], 800))
            assert order.outcome in ("failed", "unknown")

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        port = server.sockets[0].getsockname()[1]
        await asyncio.gather(*(one(name, port) for name in HUNG))
    finally:
        server.close()


@pytest.mark.parametrize("name", sorted(RIGS))
def test_wrong_options_and_urls_are_named(name: str, tmp_path: Path) -> None:
    rig = RIGS[name](tmp_path)
    with pytest.raises(ConfigError, match="optionz"):
        registry.options_of(registry.find(name), {**rig.options, "optionz": 1})
    wrong = Configure(source={**rig.source(), "url": "ftp://x"}, tags=[tag("A", "b")])
    with pytest.raises(ConfigError, match="begins with one of"):
        registry.configured(wrong)
