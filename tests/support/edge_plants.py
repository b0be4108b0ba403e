"""The simulated plants, and how the edge's sources and tags name them; for driver tests."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from shared.bus.nats_conf import Device, NatsServer, render
from shared.clock import SystemClock
from simulators.settings import MqttPlant, Plants, SimulatorSettings
from simulators.simulation import Simulation


def tag(id: str, address: str, kind: str = "number", **rest: Any) -> dict[str, Any]:
    return {"id": id, "address": address, "type": kind, **rest}


FURNACE_TAGS = [
    tag("TT-101", "ns=2;s=FUR01.Zone1.Temp"),
    tag("MODE", "ns=2;s=FUR01.Burner.Mode", "string"),
    tag("SP", "ns=2;s=FUR01.Burner.OutSP"),
    tag("FAN", "ns=2;s=FUR01.Fan.Running", "boolean"),
    tag("NONE", "ns=2;s=FUR01.Nothing"),
]
COMPRESSOR_TAGS = [
    tag("PT-201", "30001", scale=0.1),
    tag("PT-202", "30006"),
    tag("RUN", "10001", "boolean"),
    tag("SP", "40001", scale=0.1),
    tag("NONE", "40500"),
]
LINE_TAGS = [
    tag("ST-301", "telemetry#values.speed"),
    tag("JAM", "telemetry#values.jam", "boolean"),
    tag("SP", "state#speed_sp"),
    tag("STOPPED", "state#stopped", "boolean"),
]


def opcua_source(url: str) -> dict[str, Any]:
    return {"id": "furnace", "driver": "opcua", "url": url, "interval": 250}


def modbus_source(url: str, interval: int = 100) -> dict[str, Any]:
    return {"id": "station", "driver": "modbus", "url": url, "interval": interval, "unit_id": 1}


LINE = {"id": "line", "driver": "mqtt", "url": "device:line1", "interval": 500}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.asynccontextmanager
async def simulated(plants: Plants) -> AsyncIterator[Simulation]:
    simulation, stop = Simulation(SimulatorSettings(plants=plants), SystemClock()), asyncio.Event()
    await simulation.start()
    task = asyncio.create_task(simulation.run(stop))
    try:
        yield simulation
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)
        await asyncio.wait_for(simulation.shutdown(), 5)


@contextlib.asynccontextmanager
async def edge_nats(folder: Path) -> AsyncIterator[tuple[str, int]]:
    """The edge's own NATS server: (client URL, MQTT port)."""
    client, http, mqtt = free_port(), free_port(), free_port()
    spec = NatsServer(
        name="f2-e3", domain="f2-e3", store_dir=str(folder / "js"), client_port=client,
        http_port=http, app_password="app", sys_password="sys", mqtt_port=mqtt,
        driver_password="driver", devices=(Device("line1", "line1"),),
    )  # fmt: skip
    conf = folder / "nats.conf"
    conf.write_text(render(spec), encoding="utf-8")
    (folder / "driver").write_text("driver\n")
    (folder / "line1").write_text("line1\n")
    server = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("nats-server")),
        "-c",
        str(conf),
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                for port in (client, mqtt):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                break
            await asyncio.sleep(0.05)
        yield f"nats://127.0.0.1:{client}", mqtt
    finally:
        server.terminate()
        await asyncio.wait_for(server.wait(), 10)


def line_plants(port: int, folder: Path) -> Plants:
    return Plants(
        bottling=MqttPlant(mqtt_port=port, username="line1", password_file=folder / "line1")
    )
