"""The brain alone, on real PostgreSQL and NATS, with an edge spoken by the test."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from factory_brain.bootstrap import Brain
from factory_brain.settings import BrainSettings
from shared.alarm.states import AlarmState
from shared.embedded.ports import Ports
from shared.messages.bodies import AlarmTransition, Fact
from shared.messages.codec import decode, encode
from shared.messages.control import Committed, Health, Hello, LeaseAck, LeaseGrant, Welcome
from shared.messages.envelope import Event, Frame
from shared.messages.subjects import Node
from shared.paths import demo_sites
from shared.security import generate_key
from tests.support.servers import NatsForTests

EDGE = Node("f1", "e1")
ALARM = "FUR-01.TT-101.HIHI"


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 10) -> Any:
    """Poll with a deadline; returns what the condition returned."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.05)
        return found


def transition(version: int, *, active: bool, acked: bool, kind: str) -> AlarmTransition:
    return AlarmTransition(
        alarm=ALARM, occurrence="occ-1", version=version, annunciated_version=1, kind=kind,
        annunciate=kind == "raised", settings_version=1, priority=1, asset="FUR-01",
        tag="TT-101", side="HIHI", value=1291.5, limit=1280.0, unit="°C",
        state=AlarmState(raw=active, active=active, acked=acked).to_dict(),
        source_time=1_700_000_000_000 + version, receive_time=1_700_000_000_000 + version,
        raised_at=1_700_000_000_001,
    )  # fmt: skip


class FakeEdge:
    """The edge's side of the wire."""

    def __init__(self, bus: Any) -> None:
        self.bus = bus
        self.committed: list[Committed] = []
        self.facts: list[Fact] = []
        self.leases: list[LeaseGrant] = []
        self.seq = 0
        self.beating = True

    async def start(self) -> None:
        await self.bus.subscribe(EDGE.committed, self._on_committed)
        await self.bus.subscribe(EDGE.fact, self._on_fact)
        await self.bus.subscribe(EDGE.lease, self._on_lease)
        hello = Hello(source=EDGE.source, epoch="ep", boot="bt", at=1)
        welcome = decode(await self.bus.request(EDGE.hello, encode(hello), 5), Welcome)
        assert welcome.accepted

    async def beat(self) -> None:
        while True:
            if self.beating:
                health = Health(source=EDGE.source, epoch="ep", boot="bt", mono=5, at=1)
                await self.bus.publish(EDGE.health, encode(health))
            await asyncio.sleep(0.3)

    async def _on_committed(self, _: str, data: bytes) -> None:
        self.committed.append(decode(data, Committed))

    async def _on_fact(self, _: str, data: bytes) -> bytes:
        frame = decode(data, Frame)
        for raw in frame.events:
            body = decode(bytes(raw), Event).body
            assert isinstance(body, Fact)
            self.facts.append(body)
        key = f"{frame.epoch}/{frame.lane}"
        return encode(Committed(source=frame.source, watermarks={key: frame.last}))

    async def _on_lease(self, _: str, data: bytes) -> bytes:
        grant = decode(data, LeaseGrant)
        self.leases.append(grant)
        return encode(LeaseAck(id=grant.id, accepted=True))

    async def send(self, body: AlarmTransition) -> None:
        self.seq += 1
        event = Event(id=f"ev-{self.seq}", type="alarm", time=body.source_time, body=body)
        frame = Frame(
            source=EDGE.source, epoch="ep", lane="live", first=self.seq,
            events=[msgspec.Raw(encode(event))],
        )  # fmt: skip
        await self.bus.publish_durable(EDGE.lane("live"), encode(frame), frame.message_id)


@pytest.fixture
async def brain(
    tmp_path: Path, nats_server: NatsForTests, database_url: str
) -> AsyncIterator[Brain]:
    private, public = generate_key()
    for name, text in {
        "app": nats_server.password.encode(), "admin": b"correct horse", "site.key": private,
        "group.pub": public,
    }.items():  # fmt: skip
        (tmp_path / name).write_bytes(text)
    settings = BrainSettings(
        site="f1", site_dir=demo_sites() / "f1", playbook_dir=tmp_path, secrets_dir=tmp_path,
        state_dir=tmp_path, nats_url=nats_server.url, nats_password_file=tmp_path / "app",
        database_url=database_url, http_port=Ports().take(0),
        admin_password_file=tmp_path / "admin",
        approval_key_file=tmp_path / "site.key", release_key_file=tmp_path / "group.pub",
        lease_ttl="1500ms",
    )  # fmt: skip
    running = await Brain.start(settings)
    yield running
    await running.service.shutdown()


@pytest.fixture
async def edge(brain: Brain, nats_server: NatsForTests) -> AsyncIterator[FakeEdge]:
    bus = await nats_server.connect(inbox=EDGE.inbox)
    fake = FakeEdge(bus)
    await asyncio.sleep(0.2)
    await fake.start()
    beating = asyncio.create_task(fake.beat())
    yield fake
    beating.cancel()
    await bus.close()


@pytest.fixture
async def web(brain: Brain) -> AsyncIterator[httpx.AsyncClient]:
    url = f"http://127.0.0.1:{brain.settings.http_port}"
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:

        async def up() -> bool:
            try:
                return (await client.get("/api/healthz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(up)
        yield client


async def log_in(client: httpx.AsyncClient) -> None:
    answer = await client.post(
        "/api/session", json={"username": "admin", "password": "correct horse"}
    )
    assert answer.status_code == 204


async def test_login_is_needed_and_wrong_passwords_are_refused(web) -> None:
    assert (await web.get("/api/alarms")).json()["code"] == "not_logged_in"
    wrong = await web.post("/api/session", json={"username": "admin", "password": "x"})
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_login")
    foreign = await web.post(
        "/api/session", json={"username": "admin", "password": "correct horse"},
        headers={"Origin": "http://evil.example"},
    )  # fmt: skip
    assert foreign.json()["code"] == "cross_site"
    await log_in(web)
    assert (await web.get("/api/session")).json()["site"] == "f1"


async def test_raise_acknowledge_return(brain: Brain, edge: FakeEdge, web) -> None:
    await log_in(web)
    await edge.send(transition(1, active=True, acked=False, kind="raised"))

    async def row() -> Any:
        rows = (await web.get("/api/alarms")).json()["rows"]
        return rows[0] if rows else None

    shown = await until(row)
    assert (shown["state"], shown["priority"], shown["value"]) == ("unacknowledged", 1, 1291.5)
    assert shown["name"]["zh"] == "一段炉温高高"
    assert shown["late"] is True  # its source time is long ago

    async def reported() -> bool:
        return any(c.watermarks.get("ep/live") == 1 for c in edge.committed)

    await until(reported)

    item = {"alarm": ALARM, "occurrence": "occ-1", "version": 0}
    headers = {"Idempotency-Key": "key-00000001"}
    refused = await web.post("/api/alarms/ack", json={"items": [item]}, headers=headers)
    assert refused.json()["results"][0]["code"] == "not_seen"
    item["version"] = 1
    headers = {"Idempotency-Key": "key-00000002"}
    for _ in range(2):  # the repetition gets the same answer and makes no second fact
        done = await web.post("/api/alarms/ack", json={"items": [item]}, headers=headers)
        assert done.json()["results"][0]["accepted"] is True

    async def delivered() -> bool:
        return bool(edge.facts)

    await until(delivered)
    assert [(f.actor, f.version_seen, f.place) for f in edge.facts] == [("admin", 1, "factory")]
    shown = await row()
    assert (shown["state"], shown["acked_by"], shown["ack_pending"]) == (
        "acknowledged", "admin", True,
    )  # fmt: skip
    again = await web.post(
        "/api/alarms/ack", json={"items": [item]}, headers={"Idempotency-Key": "key-00000003"}
    )
    assert again.json()["results"][0]["code"] == "Bad_ConditionBranchAlreadyAcked"
    await edge.send(transition(2, active=False, acked=True, kind="returned"))

    async def gone() -> bool:
        return await row() is None

    await until(gone)
    positions = (await web.get("/api/watermarks")).json()
    mine = [w for w in positions["watermarks"] if w["source"] == "f1.e1"]
    assert [(w["seq"], w["events"]) for w in mine] == [(2, 2)]


async def test_stream_sends_deltas_and_holds_the_horn(brain: Brain, edge: FakeEdge, web) -> None:
    await log_in(web)
    assert brain.live.banner().horn is False
    async with web.stream("GET", "/api/stream") as response:
        lines = response.aiter_lines()
        assert await anext(lines) == "event: resync"

        async def leased() -> bool:
            return brain.fleet.annunciator.get("e1") == "brain"

        await until(leased)
        await edge.send(transition(1, active=True, acked=False, kind="raised"))
        async with asyncio.timeout(10):
            async for line in lines:
                if line.startswith("data: ") and '"rows":[{' in line:
                    break
        delta = json.loads(line.removeprefix("data: "))
        assert delta["rows"][0]["alarm"] == ALARM
        assert delta["banner"]["horn"] is True

    async def handed_back() -> bool:
        return edge.leases[-1].released and brain.fleet.annunciator.get("e1") == "edge"

    await until(handed_back)  # nobody watches: the edge sounds again
    assert brain.live.banner().horn is False


async def test_a_silent_edge_is_named_on_the_banner(brain: Brain, edge: FakeEdge, web) -> None:
    async def online() -> bool:
        return brain.fleet.online("e1")

    await until(online)
    edge.beating = False

    async def offline() -> bool:
        return any("离线" in t.zh for t in brain.live.banner().system if "加热炉" in t.zh)

    await until(offline, 12)


def occurrence(number: int, version: int, kind: str, *, active: bool) -> AlarmTransition:
    body = transition(version, active=active, acked=False, kind=kind)
    at = 1_700_000_000_000 + 1000 * number
    return msgspec.structs.replace(
        body, occurrence=f"occ-{number}", alarm=f"{ALARM}.{number}", raised_at=at,
        source_time=at, receive_time=at,
    )  # fmt: skip


async def shown(web: httpx.AsyncClient) -> list[str]:
    return [row["occurrence"] for row in (await web.get("/api/alarms")).json()["rows"]]


async def test_more_acknowledgements_at_once_than_connections(brain, edge: FakeEdge, web) -> None:
    await log_in(web)
    many = 3 * brain.pool.get_max_size()
    for number in range(many):
        await edge.send(occurrence(number, 1, "raised", active=True))

    async def all_shown() -> bool:
        return len(await shown(web)) == many

    await until(all_shown)
    refusals = await asyncio.wait_for(
        asyncio.gather(
            *(
                brain.desk.acknowledge(f"{ALARM}.{number}", f"occ-{number}", 1, "li", "")
                for number in range(many)
            )
        ),
        20,
    )
    assert refusals == [None] * many


async def test_a_superseded_occurrence_does_not_haunt_the_list_after_a_restart(
    brain, edge: FakeEdge, web
) -> None:
    await log_in(web)
    for body in (
        occurrence(1, 1, "raised", active=True),
        occurrence(1, 2, "returned", active=False),  # nobody acknowledges
        occurrence(2, 1, "raised", active=True),
    ):
        await edge.send(msgspec.structs.replace(body, alarm=ALARM))

    async def newest() -> bool:
        return await shown(web) == ["occ-2"]

    await until(newest)
    assert [found.occurrence for found in await brain.alarms.open_occurrences()] == ["occ-2"]
    assert await brain.alarms.annunciated_since(0) == [1_700_000_001_000, 1_700_000_002_000]


async def test_what_is_told_late_does_not_take_back_what_is_newer(brain, edge, web) -> None:
    await log_in(web)
    await edge.send(transition(1, active=True, acked=False, kind="raised"))

    async def row() -> Any:
        return brain.live.occurrence(ALARM)

    old = await until(row)
    await edge.send(transition(2, active=False, acked=False, kind="returned"))

    async def returned() -> bool:
        return brain.live.occurrence(ALARM).transition.version == 2

    await until(returned)
    await brain.live.on_occurrence(old, False)
    assert await returned()


async def test_a_brain_whose_connection_ended_for_good_ends(brain: Brain) -> None:
    await brain.bus._client.close()
    await asyncio.wait_for(brain.service.stopping.wait(), 10)
