"""The driver children against the simulated plants on real wires, and against broken servers."""

from __future__ import annotations

import asyncio
import contextlib
import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_node.application.ipc import Stop
from simulators.settings import Plants, ServerPlant
from simulators.simulation import Simulation
from tests.support.edge_children import driver, write
from tests.support.edge_plants import (
    COMPRESSOR_TAGS,
    FURNACE_TAGS,
    LINE,
    LINE_TAGS,
    edge_nats,
    free_port,
    line_plants,
    modbus_source,
    opcua_source,
    simulated,
    tag,
)

pytestmark = pytest.mark.timeout(90)


def writes_of(simulation: Simulation, signal: str) -> list[dict[str, Any]]:
    return [w for w in simulation.state()["writes"] if signal in str(w["address"])]


@contextlib.asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Accepts connections and never says a word."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while await reader.read(1024):
                pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def test_opcua_reads_writes_once_and_heals_a_cut() -> None:
    plants = Plants(furnace=ServerPlant())
    async with simulated(plants) as plant:
        url = plant.endpoints()["furnace"]["url"]
        async with driver(opcua_source(url), FURNACE_TAGS) as child:
            await child.until(lambda: child.last(0) and child.last(3) and child.texts)
            assert child.last(0) == (pytest.approx(1180, abs=60), 0)
            assert child.texts[0][2] in ("AUTO", "MANUAL")
            await child.until(lambda: child.state == "connected")
            assert "FUR01.Nothing" in child.states[-1].detail
            value, quality = child.last(4)
            assert math.isnan(value)
            assert quality == 2

            # Nobody changes the set point: it is repeated, because the subscription is alive.
            await child.until(lambda: len(child.of(2)) >= 3)
            assert len({v for _, v, _ in child.of(2)}) == 1

            done = await child.write(write("w1", "ns=2;s=FUR01.Burner.OutSP", 41))
            assert (done.outcome, done.readback) == ("done", 41.0)
            await child.until(lambda: child.last(2) == (41.0, 0))
            assert len(writes_of(plant, "Burner.OutSP")) == 1

            for address, value in (
                ("ns=2;s=FUR01.Zone1.Temp", 5), ("ns=2;s=FUR01.Nothing", 1),
                ("not a node", 1), ("ns=2;s=FUR01.Fan.Start", "yes"),
            ):  # fmt: skip
                refused = await child.write(write(f"r-{address}", address, value))
                assert refused.outcome == "failed", refused
            assert len(plant.state()["writes"]) == 1

            await plant.set_fault("furnace", "thermocouple_open", True, {})
            await child.until(lambda: child.last(0)[1] == 2)
            await plant.set_fault("furnace", "thermocouple_open", False, {})
            await child.until(lambda: child.last(0)[1] == 0)

            await plant.set_fault("furnace", "offline", True, {})
            await child.until(lambda: child.state == "failed", 15)
            assert url in child.states[-1].detail
            cut = len(child.samples)
            late = await child.write(write("w2", "ns=2;s=FUR01.Burner.OutSP", 50))
            assert late.outcome == "failed"
            await asyncio.sleep(2.5)
            assert len(child.samples) == cut, "samples were made up while the server was away"
            await plant.set_fault("furnace", "offline", False, {})
            await child.until(lambda: child.state == "connected", 20)
            assert len(writes_of(plant, "Burner.OutSP")) == 1
            await child.until(lambda: any(s[0] == 0 for s in child.samples[cut:]))


async def test_modbus_reads_writes_once_and_comes_back() -> None:
    plants = Plants(compressor=ServerPlant(port=free_port()))
    async with simulated(plants) as plant:
        url = "tcp://127.0.0.1:{port}".format(**plant.endpoints()["compressor"])
        async with driver(modbus_source(url), COMPRESSOR_TAGS) as child:
            await child.until(lambda: all(child.last(i) for i in range(5)))
            assert child.last(0) == (pytest.approx(750, abs=80), 0)
            assert child.last(2) == (1.0, 0)
            await child.until(lambda: child.state == "connected")
            await child.until(lambda: "40500" in child.states[-1].detail
                              or "holding 500" in child.states[-1].detail)  # fmt: skip
            assert child.last(4)[1] == 2

            done = await child.write(write("w1", "40001", 700))
            assert (done.outcome, done.readback) == ("done", 700)
            await child.until(lambda: child.last(3) == (pytest.approx(70.0), 0))
            assert len(plant.state()["writes"]) == 1
            for address, value in (("30001", 1), ("40001", 70_000), ("40001", 1001), ("x", 1)):
                refused = await child.write(write(f"r-{address}-{value}", address, value))
                assert refused.outcome == "failed", refused

            await plant.set_fault("compressor", "offline", True, {})
            await child.until(lambda: child.state == "failed")
            assert url in child.states[-1].detail
            late = await child.write(write("w2", "40001", 300))
            assert late.outcome == "failed"
            await plant.set_fault("compressor", "offline", False, {})
            await child.until(lambda: child.state == "connected")
            accepted = [w for w in plant.state()["writes"] if w["accepted"]]
            assert len(accepted) == 1


async def test_modbus_takes_wide_values_and_does_not_repeat_an_unanswered_write() -> None:
    seen: list[int] = []

    async def action(function: int, *rest: Any) -> None:
        if function in (6, 16) and rest[-1] is not None:
            seen.append(function)
            await asyncio.sleep(1.5)  # longer than the order allows

    holding = [SimData(0, values=[0x42F6, 0xE979, 0, 0], datatype=DataType.REGISTERS)]
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    device = SimDevice(id=1, simdata=(bits, bits, holding, holding), action=action)
    port = free_port()
    server = ModbusTcpServer(device, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        points = [tag("F", "40001:float32")]
        async with driver(modbus_source(f"tcp://127.0.0.1:{port}"), points) as child:
            await child.until(lambda: child.last(0) == (pytest.approx(123.456), 0))
            result = await child.write(write("w", "40003", 5, timeout_ms=300))
            assert result.outcome == "unknown"
            await asyncio.sleep(2.5)
            assert seen == [6]
    finally:
        await server.shutdown()


async def test_mqtt_asks_for_state_and_is_done_only_when_the_device_says_so(
    tmp_path: Path,
) -> None:
    async with edge_nats(tmp_path) as (url, mqtt):
        plants = line_plants(mqtt, tmp_path)
        async with simulated(plants) as plant:
            await asyncio.sleep(1.5)  # the device has published its retained state before us
            access = {"nats_url": url, "user": "driver"}
            settings = access | {"password_file": str(tmp_path / "driver")}
            async with driver(LINE, LINE_TAGS, settings) as child:
                await child.until(lambda: child.last(0) and child.last(0)[1] == 0)
                assert child.last(0)[0] == pytest.approx(400, abs=60)
                assert child.of(2)[0][2] == 2, "state must be bad until it has been seen"
                await child.until(lambda: child.last(2)[1] == 0 and child.last(3) == (0.0, 0))
                await child.until(lambda: child.state == "connected")

                done = await child.write(write("c1", "set_speed", {"speed": 300}))
                assert (done.outcome, done.readback) == ("done", 300)
                await child.until(lambda: child.last(2) == (300.0, 0))
                stopped = await child.write(write("c2", "stop", {}))
                assert stopped.outcome == "done"
                await child.until(lambda: child.last(3) == (1.0, 0))
                refused = await child.write(write("c3", "explode", {}))
                assert refused.outcome == "failed"
                accepted = [w for w in plant.state()["writes"] if w["accepted"]]
                assert [w["command"] for w in accepted] == ["c1", "c2"]

                await plant.set_fault("bottling", "offline", True, {})
                await child.until(lambda: child.last(0)[1] == 2)
                assert child.state == "failed"
                late = await child.write(write("c4", "start", {}))
                assert late.outcome == "failed"
                await plant.set_fault("bottling", "offline", False, {})
                await child.until(lambda: child.last(0)[1] == 0 and child.last(2)[1] == 0, 25)
                await child.until(lambda: child.state == "connected")


async def test_a_silent_mqtt_device_gives_unknown_and_bad_quality(tmp_path: Path) -> None:
    async with edge_nats(tmp_path) as (url, _):
        settings = {"nats_url": url, "user": "driver", "password_file": str(tmp_path / "driver")}
        async with driver(LINE, LINE_TAGS, settings) as child:
            await child.until(lambda: child.last(3))
            result = await child.write(write("c", "stop", {}, timeout_ms=300))
            assert result.outcome == "unknown"
            await child.until(lambda: child.state == "failed")
            assert "line1" in child.states[-1].detail


@pytest.mark.parametrize("kind", ["opcua", "modbus"])
async def test_a_hung_server_does_not_hang_the_child(kind: str) -> None:
    async with silent_server() as port:
        opcua = opcua_source(f"opc.tcp://127.0.0.1:{port}/x")
        modbus = modbus_source(f"tcp://127.0.0.1:{port}")
        tags = FURNACE_TAGS if kind == "opcua" else COMPRESSOR_TAGS
        async with driver(opcua if kind == "opcua" else modbus, tags) as child:
            await child.until(lambda: child.state == "failed", 15)
            assert str(port) in child.states[-1].detail
            assert "mend:" in child.states[-1].detail
            order = await child.write(write("w", FURNACE_TAGS[2]["address"], 1, 1000))
            assert order.outcome in ("failed", "unknown")


@pytest.mark.parametrize(
    ("source", "tags", "words"),
    [
        (opcua_source("opc.tcp://127.0.0.1:1/x"), FURNACE_TAGS, "opc.tcp://127.0.0.1:1/x"),
        (opcua_source("opc.tcp://127.0.0.1:1/x"), [tag("A", "FUR")], "'FUR'"),
        (modbus_source("tcp://127.0.0.1:1"), COMPRESSOR_TAGS, "tcp://127.0.0.1:1"),
        (modbus_source("http://127.0.0.1:1"), COMPRESSOR_TAGS, "begins with one of tcp:"),
        (modbus_source("tcp://127.0.0.1:1"), [tag("A", "99")], "tag A"),
        (LINE, LINE_TAGS, "device_credentials"),
        ({**LINE, "driver": "telepathy"}, LINE_TAGS, "there is no driver 'telepathy'"),
    ],
)
async def test_what_cannot_work_is_said_with_its_place_and_mend(
    source: dict[str, Any], tags: list[dict[str, Any]], words: str
) -> None:
    async with driver(source, tags) as child:
        await child.until(lambda: child.state == "failed", 15)
        assert words in child.states[-1].detail


async def test_stop_ends_the_child() -> None:
    async with driver(modbus_source("tcp://127.0.0.1:1"), COMPRESSOR_TAGS) as running:
        await running.until(lambda: running.states)
        running.send(Stop())
        assert await asyncio.wait_for(running.process.wait(), 5) == 0


PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "edge_node.driver_child"], stdin=subprocess.PIPE)
os.set_inheritable(child.stdin.fileno(), True)
keeper = subprocess.Popen(["sleep", "20"], close_fds=False, stdout=subprocess.DEVNULL)
print(child.pid, keeper.pid, flush=True)
sys.stdin.readline()
os.kill(os.getpid(), 9)
"""


async def test_the_death_of_the_engine_ends_the_child_even_if_its_pipe_stays_open() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stdin is not None
    pid, keeper = map(int, (await asyncio.wait_for(parent.stdout.readline(), 10)).split())
    try:
        await asyncio.sleep(1)  # the child is past its imports
        assert psutil.pid_exists(pid)
        parent.stdin.write(b"\n")
        await asyncio.wait_for(parent.wait(), 5)
        for _ in range(100):
            if not psutil.pid_exists(pid):
                break
            await asyncio.sleep(0.05)
        assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == "zombie"
    finally:
        psutil.Process(keeper).kill()
