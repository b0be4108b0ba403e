"""Devices told over MQTT: off-line during the notices, brain ended in between, nothing missed."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import paho.mqtt.client as mqtt
import pytest

from shared.clock import SystemClock
from shared.messages.bodies import AlarmTransition
from shared.messages.subjects import Node
from simulators.devices import DeviceAccess, LinkedDevice
from tests.support.brain_world import EDGE, FakeEdge, log_in, transition, until
from tests.support.link_world import LinkWorld, broker, eventually

pytestmark = pytest.mark.timeout(120)
NAMES = ("beacon-1", "wearable-1", "robot-1")
LINKS = """
devices:
  - {id: beacon-1, kind: beacon, area: FUR-01, tells: "event.kind == 'raised'"}
  - id: wearable-1
    kind: wearable
    tells: "event.kind == 'raised'"
    acknowledges: true
    people: {badge-1: admin, badge-2: nobody}
  - {id: robot-1, kind: robot, tells: "false", expires: 1s}
"""


@pytest.fixture
async def world(tmp_path: Path, brain_url: str) -> AsyncIterator[LinkWorld]:
    with broker(tmp_path / "nats", NAMES) as server:
        made = LinkWorld(tmp_path, server, brain_url)
        made.prepare(LINKS)
        await made.start()
        yield made
        await made.close()


def device(world: LinkWorld, name: str) -> LinkedDevice:
    kind = name.rpartition("-")[0]
    access = DeviceAccess("127.0.0.1", world.nats.mqtt_port, name, kind, password=f"dev-{name}")
    return LinkedDevice(access, SystemClock())


def again(n: int, *, raised: bool) -> AlarmTransition:
    """Occurrence number `n` of the alarm."""
    kind = "raised" if raised else "returned"
    body = transition(1 if raised else 2, active=raised, acked=False, kind=kind)
    return msgspec.structs.replace(
        body,
        occurrence=f"occ-{n}",
        source_time=body.source_time + n * 10,
        raised_at=body.raised_at + n * 10,
    )


async def test_a_device_that_was_away_misses_nothing(world: LinkWorld) -> None:
    beacon, wearable = device(world, "beacon-1"), device(world, "wearable-1")
    await beacon.open()
    await eventually(lambda: beacon.state.get("colour") == "green")
    bus = await world.nats.connect(inbox=EDGE.inbox)
    edge = FakeEdge(bus)
    await edge.start()
    for n in range(12):
        await edge.send(again(n, raised=True))
        await edge.send(again(n, raised=False))
    await eventually(lambda: len(beacon.seen) == 12)
    beacon.silent = True  # it shows the next one, and its acknowledgement is lost
    await edge.send(again(12, raised=True))
    await eventually(lambda: len(beacon.seen) == 13)
    await beacon.close()
    await world.kill()
    for n in range(12, 20):
        if n > 12:
            await edge.send(again(n, raised=True))
        if n < 19:
            await edge.send(again(n, raised=False))
    await world.start()
    beacon.silent = False
    await beacon.open()
    await wearable.open()
    for each in (beacon, wearable):
        await eventually(lambda d=each: len(d.seen) >= 20, 25)
        assert [notice["occurrence"] for notice in each.seen] == [f"occ-{n}" for n in range(20)]
        assert [notice["seq"] for notice in each.seen] == list(range(1, 21))
        assert each.out_of_order == 0
    assert beacon.repeats >= 1  # said again, recognised, shown once
    await eventually(lambda: beacon.state.get("pattern") == "fast")
    assert (beacon.state["colour"], beacon.state["unacked"]) == ("red", 1)
    client = await world.client()
    await log_in(client)
    await _delivered(client)
    await _acknowledged_by_device(client, wearable, beacon)
    await _orders(world, client)
    for each in (beacon, wearable):
        await each.close()
    await bus.close()
    await client.aclose()


async def _delivered(client: httpx.AsyncClient) -> None:
    async def all_there() -> bool:
        found = (await client.get("/api/links/devices")).json()
        items = {item["id"]: item for item in found["items"]}
        return found["broker"] and all(
            items[name]["online"]
            and (items[name]["acknowledged"], items[name]["waiting"]) == (20, 0)
            for name in ("beacon-1", "wearable-1")
        )

    await until(all_there)
    page = (await client.get("/api/links/devices/beacon-1/notices?limit=15")).json()
    rest = await client.get(f"/api/links/devices/beacon-1/notices?limit=15&cursor={page['next']}")
    seqs = [item["seq"] for item in page["items"] + rest.json()["items"]]
    assert seqs == list(range(20, 0, -1))
    assert rest.json()["next"] is None


async def _acknowledged_by_device(
    client: httpx.AsyncClient, wearable: LinkedDevice, beacon: LinkedDevice
) -> None:
    shown = wearable.seen[-1]
    wearable.acknowledge_alarm("a1", shown, "badge-9")
    wearable.acknowledge_alarm("a2", shown, "badge-2")
    wearable.acknowledge_alarm("a3", shown | {"version": 0}, "badge-1")
    beacon.acknowledge_alarm("a4", shown, "badge-1")
    wearable.acknowledge_alarm("a5", shown, "badge-1")
    wearable.acknowledge_alarm("a5", shown, "badge-1")
    await eventually(lambda: len(wearable.answers) == 5 and len(beacon.answers) == 1)
    codes = {answer["id"]: answer.get("code") for answer in [*wearable.answers, *beacon.answers]}
    assert codes == {
        "a1": "unknown_person", "a2": "not_allowed_here", "a3": "not_seen", "a4": "device_may_not",
        "a5": None,
    }  # fmt: skip
    row = (await client.get("/api/alarms")).json()["rows"][0]
    assert (row["acked_by"], row["ack_pending"]) == ("admin", True)
    audit = (await client.get("/api/audit?limit=20")).json()
    assert "acknowledge" in json.dumps(audit)
    await eventually(lambda: beacon.state.get("pattern") == "steady")


async def _orders(world: LinkWorld, client: httpx.AsyncClient) -> None:
    """One expires with a record while the robot is away; the next one it gets."""
    robot = device(world, "robot-1")
    for key, text in (("order-0001", "one"), ("order-0001", "one"), ("order-0002", "two")):
        body = {"text": {"zh": text, "en": text}, "order": {"go_to": "FUR-01"}}
        told = await client.post(
            "/api/links/devices/robot-1/notices", json=body, headers={"Idempotency-Key": key}
        )
        assert told.is_success, told.text
        if text == "one":
            await asyncio.sleep(0.6)
    await robot.open()
    await eventually(lambda: len(robot.seen) == 1)
    assert robot.seen[0]["order"] == {"go_to": "FUR-01"}
    assert robot.seen[0]["text"]["en"] == "two"

    async def recorded() -> bool:
        page = (await client.get("/api/links/devices/robot-1/notices")).json()
        return [item["status"] for item in page["items"]] == ["acknowledged", "expired"]

    await until(recorded)
    await robot.close()


async def test_a_device_cannot_say_what_an_edge_or_a_brain_or_another_says(
    tmp_path: Path,
) -> None:
    edge = Node("f1", "e1")
    with broker(tmp_path / "nats", NAMES) as server:
        bus = await server.connect(inbox=edge.inbox)
        heard: list[str] = []

        async def listen(subject: str, _: bytes) -> None:
            heard.append(subject)

        await bus.subscribe(">", listen)
        victim = _Mqtt(server.mqtt_port, "robot-1", "dev-robot-1")
        brain = _Mqtt(server.mqtt_port, "brain", "test-brain")
        await asyncio.to_thread(victim.subscribe, "notice/robot-1/#")
        await asyncio.to_thread(brain.subscribe, "dev/+/ack")
        forger = _Mqtt(server.mqtt_port, "beacon-1", "dev-beacon-1")
        for topic in (
            "notice/robot-1/notice", "notice/robot-1/state", "dev/robot-1/ack", "notice/beacon-1/x",
            "andon/f1/e1/alarm/live", "andon/f1/e1/health", "andon/f1/brain/outcome/live",
            "$JS/API/STREAM/DELETE/EVENTS", "$MQTT/msgs/notice.robot-1.notice",
        ):  # fmt: skip
            forger.publish(topic)
        eager = _Mqtt(server.mqtt_port, "wearable-1", "dev-wearable-1")
        await asyncio.to_thread(eager.subscribe, "notice/robot-1/#")
        await asyncio.to_thread(eager.subscribe, "dev/#")
        brain.publish("notice/robot-1/notice")
        brain.publish("andon/f1/e1/command")
        own = _Mqtt(server.mqtt_port, "beacon-1", "dev-beacon-1", "second")
        own.publish("dev/beacon-1/ack")
        await eventually(lambda: victim.received and brain.received)
        await asyncio.sleep(0.4)
        assert victim.received == ["notice/robot-1/notice"]
        assert brain.received == ["dev/beacon-1/ack"]
        assert eager.received == []
        assert [subject for subject in heard if not subject.startswith("$")] == []
        assert _Mqtt(server.mqtt_port, "brain", "dev-beacon-1").refused
        for each in (victim, brain, forger, eager, own):
            each.close()
        await bus.close()


class _Mqtt:
    """A plain MQTT client with what it received."""

    def __init__(self, port: int, user: str, password: str, name: str = "first") -> None:
        self.received: list[str] = []
        self.refused = False
        self._ready, self._subscribed = threading.Event(), threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=f"{user}-{name}")
        self._client.username_pw_set(user, password)
        self._client.on_connect = self._on_connect
        self._client.on_message = lambda _c, _u, m: self.received.append(m.topic)
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._ready.wait(5)
        if self.refused:
            self.close()

    def _on_connect(self, _c: object, _u: object, _f: object, code: object, _p: object) -> None:
        self.refused = bool(getattr(code, "is_failure", False))
        self._ready.set()

    def subscribe(self, topic: str) -> None:
        """Subscribe and wait for the answer (a refusal is one)."""
        self._subscribed.clear()
        self._client.subscribe(topic, qos=1)
        assert self._subscribed.wait(5)

    def publish(self, topic: str) -> None:
        """Publish without waiting: a refused one is never answered."""
        self._client.publish(topic, b"{}", qos=1)

    def close(self) -> None:
        """Leave."""
        self._client.disconnect()
        self._client.loop_stop()
        # Nothing refers back to it: its sockets are closed now, not by a later collection.
        self._client.on_connect = self._client.on_message = self._client.on_subscribe = None
