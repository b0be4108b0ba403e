"""The simulated plants on their real wires: OPC UA, Modbus TCP and MQTT through nats-server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from paho.mqtt.client import CallbackAPIVersion
from paho.mqtt.client import Client as MqttClient
from pymodbus.client import AsyncModbusTcpClient

from shared.clock import SystemClock
from simulators.settings import MqttPlant, Plants, ServerPlant, SimulatorSettings
from simulators.simulation import Simulation

PASSWORD = "line-secret"
NATS = Path(sys.executable).parent / "nats-server"
CONF = """
server_name: sim-test
listen: 127.0.0.1:-1
ports_file_dir: "{dir}"
jetstream {{ store_dir: "{dir}/js" }}
mqtt {{ listen: 127.0.0.1:{mqtt} }}
accounts {{
  DEV {{ jetstream: enabled, users: [
    {{ user: line1, password: {password} }}, {{ user: watcher, password: {password} }} ] }}
}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


async def eventually(happened: Callable[[], Any], within: float = 10.0) -> Any:
    """Poll until `happened()` is true; fails loudly at the deadline."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within
    while not (result := happened()):
        assert loop.time() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)
    return result


@contextlib.asynccontextmanager
async def running(settings: SimulatorSettings) -> AsyncIterator[Simulation]:
    simulation, stop = Simulation(settings, SystemClock()), asyncio.Event()
    await simulation.start()
    task = asyncio.create_task(simulation.run(stop))
    try:
        yield simulation
    finally:
        stop.set()
        await asyncio.wait_for(task, 5)
        await asyncio.wait_for(simulation.shutdown(), 5)


@contextlib.asynccontextmanager
async def furnace_client(simulation: Simulation) -> AsyncIterator[Client]:
    client = Client(simulation.endpoints()["furnace"]["url"], timeout=4)
    await client.connect()
    try:
        yield client
    finally:
        with contextlib.suppress(OSError, asyncio.TimeoutError, ua.UaError):
            await client.disconnect()


def node(client: Client, name: str) -> Any:
    return client.get_node(f"ns=2;s=FUR01.{name}")


FURNACE = SimulatorSettings(plants=Plants(furnace=ServerPlant()))
COMPRESSOR = SimulatorSettings(plants=Plants(compressor=ServerPlant()))


async def test_opcua_shows_values_with_times_and_takes_only_contract_writes() -> None:
    async with running(FURNACE) as simulation, furnace_client(simulation) as client:
        assert (await client.get_namespace_array())[2] == "urn:andon:sim:furnace"
        shown = await node(client, "Zone1.Temp").read_data_value()
        assert shown.StatusCode.is_good()
        assert 1170 < shown.Value.Value < 1190
        assert abs(shown.SourceTimestamp.timestamp() * 1000 - SystemClock().now_ms()) < 5000
        await node(client, "Burner.OutSP").write_value(40.0, ua.VariantType.Double)
        await node(client, "Fan.Start").write_value(True, ua.VariantType.Boolean)
        for name in ("Zone1.Temp", "ESD.Active", "Burner.Mode"):
            with pytest.raises(ua.UaStatusCodeError):
                await node(client, name).write_value(await node(client, name).read_value())
        assert await node(client, "Burner.OutSP").read_value() == 40.0
        writes = simulation.state()["writes"]
        assert [(w["seq"], w["address"], w["value"]) for w in writes] == [
            (1, "ns=2;s=FUR01.Burner.OutSP", 40.0), (2, "ns=2;s=FUR01.Fan.Start", True),
        ]  # fmt: skip
        await eventually(lambda: simulation.state()["plants"]["furnace"]["state"]["output"] < 55)
        # Out of range is limited, and the node says so.
        await node(client, "Burner.OutSP").write_value(400.0, ua.VariantType.Double)
        assert await node(client, "Burner.OutSP").read_value() == 100.0


async def test_opcua_subscription_sees_a_broken_thermocouple_as_bad() -> None:
    class Heard:
        def __init__(self) -> None:
            self.statuses: list[ua.StatusCode] = []

        def datachange_notification(self, node: Any, val: Any, data: Any) -> None:
            self.statuses.append(data.monitored_item.Value.StatusCode)

    async with running(FURNACE) as simulation, furnace_client(simulation) as client:
        heard: Any = Heard()
        subscription = await client.create_subscription(100, heard)
        await subscription.subscribe_data_change(node(client, "Zone1.Temp"))
        await eventually(lambda: len(heard.statuses) >= 2)
        assert all(status.is_good() for status in heard.statuses)
        await simulation.set_fault("furnace", "thermocouple_open", True, {})
        await eventually(lambda: heard.statuses[-1].is_bad())
        await simulation.set_fault("furnace", "thermocouple_open", False, {})
        await eventually(lambda: heard.statuses[-1].is_good())


async def test_opcua_offline_is_real_and_comes_back_on_the_same_port() -> None:
    async with running(FURNACE) as simulation:
        async with furnace_client(simulation) as client:
            await simulation.set_fault("furnace", "offline", True, {})
            with pytest.raises((OSError, asyncio.TimeoutError, ua.UaError)):
                await asyncio.wait_for(node(client, "Zone1.Temp").read_value(), 3)
        port = simulation.endpoints()["furnace"]["port"]
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection("127.0.0.1", port)
        await simulation.set_fault("furnace", "offline", False, {})
        assert simulation.endpoints()["furnace"]["port"] == port
        async with furnace_client(simulation) as client:
            assert await node(client, "Zone1.Temp").read_value() > 1100


@contextlib.asynccontextmanager
async def station(simulation: Simulation) -> AsyncIterator[AsyncModbusTcpClient]:
    port = simulation.endpoints()["compressor"]["port"]
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


async def test_modbus_register_map_and_writes() -> None:
    async with running(COMPRESSOR) as simulation, station(simulation) as client:
        inputs = (await client.read_input_registers(0, count=6, device_id=1)).registers
        pressure, temp, current, vibration, flow, oil = inputs
        assert 7300 < pressure < 7700
        assert 800 < temp < 900
        assert 1750 < current < 1850
        assert 150 < vibration < 300
        assert 280 < flow < 320
        assert 310 < oil < 330
        discretes = await client.read_discrete_inputs(0, count=2, device_id=1)
        assert discretes.bits[:2] == [True, False]
        assert (await client.read_coils(0, count=2, device_id=1)).bits[:2] == [True, False]
        assert not (await client.write_register(0, 500, device_id=1)).isError()
        assert not (await client.write_registers(0, [450, 600], device_id=1)).isError()
        assert not (await client.write_coil(1, True, device_id=1)).isError()
        read = (await client.read_holding_registers(0, count=2, device_id=1)).registers
        assert read == [450, 600]
        assert (await client.read_coils(0, count=2, device_id=1)).bits[:2] == [True, True]
        writes = [(w["seq"], w["address"], w["value"]) for w in simulation.state()["writes"]]
        assert writes == [
            (1, "40001", 50.0), (2, "40001", 45.0), (3, "40002", 60.0), (4, "00002", True),
        ]  # fmt: skip


async def test_modbus_refuses_what_is_not_there_and_records_nothing() -> None:
    async with running(COMPRESSOR) as simulation, station(simulation) as client:
        assert (await client.write_register(0, 1001, device_id=1)).isError()
        assert (await client.write_register(2, 1, device_id=1)).isError()
        assert (await client.write_coil(2, True, device_id=1)).isError()
        assert (await client.read_input_registers(6, count=1, device_id=1)).isError()
        assert simulation.state()["writes"] == []


async def test_modbus_freeze_and_offline() -> None:
    async with running(COMPRESSOR) as simulation:
        async with station(simulation) as client:
            await simulation.set_fault("compressor", "freeze", True, {})
            first = (await client.read_input_registers(0, count=6, device_id=1)).registers
            await asyncio.sleep(1.2)
            again = (await client.read_input_registers(0, count=6, device_id=1)).registers
            assert first == again
            await simulation.set_fault("compressor", "offline", True, {})
            await eventually(lambda: not client.connected)
        port = simulation.endpoints()["compressor"]["port"]
        with pytest.raises(OSError, match=r"."):
            await asyncio.open_connection("127.0.0.1", port)
        await simulation.reset("compressor")
        async with station(simulation) as client:
            assert not (await client.read_input_registers(0, count=1, device_id=1)).isError()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[int]:
    """A real nats-server with MQTT; yields its MQTT port."""
    port = free_port()
    conf = tmp_path / "nats.conf"
    conf.write_text(CONF.format(dir=tmp_path, mqtt=port, password=PASSWORD), encoding="utf-8")
    log = (tmp_path / "nats.log").open("wb")
    process = subprocess.Popen([NATS, "-c", conf], stdout=log, stderr=log)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            if process.poll() is not None:
                pytest.fail((tmp_path / "nats.log").read_text())
            signal.sigtimedwait([], 0.1)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        log.close()


class Watcher:
    """Another MQTT client: what the edge would see and say."""

    def __init__(self, port: int) -> None:
        self.heard: list[tuple[str, Any, bool]] = []
        self.client = MqttClient(CallbackAPIVersion.VERSION2, "watcher")
        self.client.username_pw_set("watcher", PASSWORD)
        self.client.on_connect = self._connected
        self.client.on_message = lambda c, d, m: self.heard.append(
            (m.topic, m.payload.decode(), m.retain)
        )
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _connected(self, client: MqttClient, *rest: Any) -> None:
        del rest
        client.subscribe("dev/#")

    def said(self, topic: str) -> list[str]:
        return [body for heard, body, _ in list(self.heard) if heard == topic]

    def order(self, **body: Any) -> None:
        self.client.publish("notice/line1/command", json.dumps(body))

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextlib.asynccontextmanager
async def bottling(tmp_path: Path, port: int) -> AsyncIterator[tuple[Simulation, Watcher]]:
    secret = tmp_path / "secret"
    secret.write_text(PASSWORD + "\n", encoding="utf-8")
    plant = MqttPlant(mqtt_port=port, username="line1", password_file=secret)
    async with running(SimulatorSettings(plants=Plants(bottling=plant))) as simulation:
        await eventually(lambda: simulation.endpoints()["bottling"]["connected"])
        watcher = Watcher(port)
        try:
            yield simulation, watcher
        finally:
            watcher.close()


async def test_mqtt_telemetry_state_and_commands(tmp_path: Path, broker: int) -> None:
    async with bottling(tmp_path, broker) as (simulation, watcher):
        body = json.loads((await eventually(lambda: watcher.said("dev/line1/telemetry")))[0])
        assert set(body["values"]) == {
            "speed", "fill_level", "jam", "reject_rate", "motor_temp", "crate",
        }  # fmt: skip
        assert abs(body["ts"] - SystemClock().now_ms()) < 5000
        assert 380 < body["values"]["speed"] < 420
        await eventually(lambda: ("dev/line1/status", "online", True) in watcher.heard)
        watcher.order(id="c1", op="set_speed", args={"speed": 200})
        watcher.order(id="c2", op="explode", args={})
        watcher.order(id="c3", op="stop", args={})
        state = await eventually(
            lambda: [s for s in map(json.loads, watcher.said("dev/line1/state"))
                     if s["last_command"] == "c3"]
        )  # fmt: skip
        assert state[0] == {
            "speed_sp": 200.0, "stopped": True, "beacon": False,
            "last_command": "c3", "last_result": "done",
        }  # fmt: skip
        assert [(w["seq"], w["command"], w["accepted"]) for w in simulation.state()["writes"]] == [
            (1, "c1", True), (2, "c2", False), (3, "c3", True),
        ]  # fmt: skip
        await eventually(
            lambda: json.loads(watcher.said("dev/line1/telemetry")[-1])["values"]["speed"] < 350
        )
        # What came too late is refused and said so; a report is answered and is no write.
        watcher.order(id="c4", op="start", args={}, expires=SystemClock().now_ms() - 1)
        late = await eventually(lambda: [s for s in watcher.said("dev/line1/state") if "c4" in s])
        assert json.loads(late[0])["last_result"] == "rejected"
        assert json.loads(late[0])["stopped"] is True
        count = len(watcher.said("dev/line1/state"))
        watcher.order(id="r1", op="report", args={})
        await eventually(lambda: len(watcher.said("dev/line1/state")) > count)
        assert simulation.state()["last_seq"] == 4


async def test_mqtt_loss_speaks_the_will_and_a_silent_loss_does_not(
    tmp_path: Path, broker: int
) -> None:
    async with bottling(tmp_path, broker) as (simulation, watcher):
        await simulation.set_fault("bottling", "offline", True, {})
        await eventually(lambda: "offline" in watcher.said("dev/line1/status"))
        await simulation.set_fault("bottling", "offline", False, {})
        await eventually(lambda: watcher.said("dev/line1/status")[-1] == "online")
        await eventually(lambda: simulation.endpoints()["bottling"]["connected"])
        await simulation.set_fault("bottling", "offline", True, {"silent": 1.0})
        await asyncio.sleep(1.5)
        assert watcher.said("dev/line1/status")[-1] == "online"
        count = len(watcher.said("dev/line1/telemetry"))
        await asyncio.sleep(1.2)
        assert len(watcher.said("dev/line1/telemetry")) == count
