"""Attacks by a device of the plant, over MQTT: it can say and hear only what is its own.

As in `test_nats_permissions.py`, each looks at what the victim received and at what is stored.
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator

import paho.mqtt.client as mqtt
import pytest

from shared.embedded.ports import LOOPBACK
from tests.support.nats_world import (
    E1,
    SETTLE_S,
    Overheard,
    World,
    running_world,
    state_of,
)  # fmt: skip

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """All servers up, leaves joined, streams and buckets made."""
    with running_world(tmp_path_factory.mktemp("nats")) as running:
        yield running


class MqttDevice:
    """A device's MQTT connection, with what it received."""

    def __init__(self, world: World, user: str, password: str) -> None:
        self.received: list[tuple[str, bytes]] = []
        self._subscribed = threading.Event()
        self._ready = threading.Event()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"t-{user}")
        self.client.username_pw_set(user, password)
        self.client.on_message = lambda _c, _u, m: self.received.append((m.topic, m.payload))
        self.client.on_connect = self._connected
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.refused: bool | None = None
        self.client.connect(LOOPBACK, world.servers["f1-e1"].mqtt_port or 0)
        self.client.loop_start()
        assert self._ready.wait(5)

    def _connected(self, _c: object, _u: object, _f: object, code: object, _p: object) -> None:
        self.refused = bool(getattr(code, "is_failure", False))
        self._ready.set()

    def subscribe(self, topic: str) -> None:
        """Subscribe and wait for the server's answer (a refusal is one)."""
        self._subscribed.clear()
        self.client.subscribe(topic, qos=1)
        assert self._subscribed.wait(5)

    def publish(self, topic: str, body: bytes, *, retain: bool = False) -> None:
        """Publish at QoS 1 without waiting: a refused one is never answered."""
        self.client.publish(topic, body, qos=1, retain=retain)

    def close(self) -> None:
        """Leave cleanly."""
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def line1(world: World) -> Iterator[MqttDevice]:
    """The device `line1` of edge e1."""
    device = MqttDevice(world, "line1", "dev-line1")
    yield device
    device.close()


def test_device_speaks_and_is_spoken_to(world: World, line1: MqttDevice) -> None:
    async def scenario() -> None:
        edge = await world.connect("f1-e1", E1.inbox)
        driver = await world.connect("f1-e1", user="driver")
        heard = Overheard()
        await heard.listen(edge, "dev.>")
        await heard.listen(driver, "dev.line1.>")
        await asyncio.to_thread(line1.subscribe, "notice/line1/#")
        line1.publish("dev/line1/telemetry", b"42")
        line1.publish("dev/line1/state", b"on", retain=True)
        await driver.publish("notice.line1.command", b"stop")
        await driver.flush()
        await asyncio.sleep(SETTLE_S)
        assert sorted(heard.messages) == sorted(
            [("dev.line1.telemetry", b"42"), ("dev.line1.state", b"on")] * 2
        )
        assert line1.received == [("notice/line1/command", b"stop")]
        await edge.close()
        await driver.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "topic",
    [
        "dev/line2/telemetry", "dev/telemetry", "notice/line2/command", "notice/line1/command",
        "andon/f1/e1/alarm/live", "andon/f1/e1/command", "andon/f1/e1/health",
        "$JS/API/STREAM/DELETE/EVENTS", "$JS/f1/API/STREAM/DELETE/EVENTS", "$MQTT/sub/x", "x",
    ],
)  # fmt: skip
def test_device_cannot_publish_elsewhere(world: World, line1: MqttDevice, topic: str) -> None:
    async def scenario() -> None:
        edge, factory = await world.connect("f1-e1", E1.inbox), await world.connect("f1")
        victim = await asyncio.to_thread(MqttDevice, world, "line2", "dev-line2")
        await asyncio.to_thread(victim.subscribe, "notice/line2/#")
        heard = Overheard()
        await heard.listen(edge, ">")
        heard.messages.clear()
        before = await state_of(factory)
        line1.publish(topic, b"forged")
        await asyncio.sleep(SETTLE_S)
        assert [m for m in heard.messages if m[1] == b"forged"] == []
        assert victim.received == []
        assert await state_of(factory) == before
        victim.close()
        await edge.close()
        await factory.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "topic", ["notice/line2/#", "notice/#", "#", "dev/#", "+/line2/+", "andon/#", "$JS/#", "$SYS/#"]
)
def test_device_overhears_nothing(world: World, line1: MqttDevice, topic: str) -> None:
    async def scenario() -> None:
        edge = await world.connect("f1-e1", E1.inbox)
        other = await asyncio.to_thread(MqttDevice, world, "line2", "dev-line2")
        await asyncio.to_thread(line1.subscribe, topic)
        line1.received.clear()
        other.publish("dev/line2/telemetry", b"secret")
        await edge.publish("notice.line2.command", b"secret")
        await edge.publish(E1.health, b"secret")
        await edge.flush()
        await asyncio.sleep(SETTLE_S)
        assert line1.received == []
        other.close()
        await edge.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("server", "user", "password"),
    [("f1-e1", "line1", "dev-line1"), ("f1", "e1", "leaf-e1"), ("f1-e1", "app", "guess")],
)
def test_device_and_leaf_credentials_open_no_nats_connection(
    world: World, server: str, user: str, password: str
) -> None:
    address = (LOOPBACK, world.servers[server].client_port)
    with socket.create_connection(address, timeout=5) as connection:
        connection.recv(65536)
        login = json.dumps({"user": user, "pass": password, "verbose": False})
        connection.sendall(f"CONNECT {login}\r\nPING\r\n".encode())
        assert b"Authorization Violation" in connection.recv(65536)


def test_a_wrong_mqtt_password_is_refused(world: World) -> None:
    device = MqttDevice(world, "line1", "guess")
    assert device.refused is True
    device.close()
