"""Outbound webhooks to real receivers: signed, once, by schedule, dead letters, no way inside."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import msgspec
import pytest

from factory_brain.adapters.outward import Outside, Outward
from shared.clock import SystemClock
from shared.messages.bodies import AlarmTransition
from shared.site.model import EndpointSpec
from tests.support.brain_world import EDGE, FakeEdge, log_in, transition, until
from tests.support.link_world import (
    OLD_SECRET,
    SECRET,
    LinkWorld,
    Receiver,
    broker,
    eventually,
)

pytestmark = pytest.mark.timeout(120)
NAMES = ("good", "slow", "flaky", "gone", "moved", "dead")
STATUSES = ("open", "acknowledged", "contained", "closed", "merged")
INCIDENTS = "  - {id: story, endpoint: story, events: \"event.type.startsWith('incident.')\"}\n"
LINKS = (
    "outbound:\n"
    + "".join(
        f"  - {{id: {name}, endpoint: {name}, schedule: [200ms, 300ms], order: "
        f"{'strict' if name == 'flaky' else 'free'}}}\n"
        for name in NAMES
    )
    + INCIDENTS
)
BINDINGS = "endpoints:\n" + "".join(
    f"  {name}: {{url: 'http://127.0.0.1:9/', secret: rotated, private: true}}\n"
    for name in (*NAMES, "story")
)


@pytest.fixture
def receivers() -> Iterator[dict[str, Receiver]]:
    made = {name: Receiver((SECRET, OLD_SECRET)) for name in (*NAMES, "story")}
    yield made
    for receiver in made.values():
        receiver.close()


@pytest.fixture
async def world(
    tmp_path: Path, brain_url: str, receivers: dict[str, Receiver]
) -> AsyncIterator[LinkWorld]:
    with broker(tmp_path / "nats", ()) as server:
        urls = {name: receiver.url for name, receiver in receivers.items()}
        made = LinkWorld(tmp_path, server, brain_url, urls)
        made.prepare(LINKS, BINDINGS)
        await made.start()
        yield made
        await made.close()


def again(n: int, kind: str) -> AlarmTransition:
    """Occurrence number `n` of the alarm: raised or returned."""
    body = transition(1 if kind == "raised" else 2, active=kind == "raised", acked=False, kind=kind)
    return msgspec.structs.replace(
        body,
        occurrence=f"occ-{n}",
        source_time=body.source_time + n * 10,
        raised_at=body.raised_at + n * 10,
    )


async def test_each_receiver_gets_each_event_once_by_its_own_schedule(
    world: LinkWorld, receivers: dict[str, Receiver]
) -> None:
    receivers["slow"].answer = lambda _: (204, {}, 1.5)
    receivers["flaky"].answer = lambda n: (503 if n == 1 else 204, {"retry-after": "1"}, 0.0)
    receivers["gone"].answer = lambda _: (410, {}, 0.0)
    receivers["moved"].answer = lambda _: (307, {"location": receivers["good"].url}, 0.0)
    receivers["dead"].answer = lambda _: (500, {}, 0.0)
    bus = await world.nats.connect(inbox=EDGE.inbox)
    edge = FakeEdge(bus)
    await edge.start()
    for n in range(4):
        await edge.send(again(n, "raised"))
        await edge.send(again(n, "returned"))
    good = receivers["good"]
    await eventually(lambda: len(good.taken) == 8)
    assert len(receivers["slow"].taken) < 8  # it takes 1.5 s for two at a time
    await _well_formed(good)
    await _flaky(receivers["flaky"])
    client = await world.client()
    await log_in(client)
    await _dead_letters(client, receivers)
    # What is raised while the brain is away is told when it is back; nothing of before again.
    await world.stop()
    await edge.send(again(9, "raised"))
    await world.start()
    for receiver in (good, receivers["slow"], receivers["flaky"], receivers["gone"]):
        await eventually(lambda r=receiver: len(r.taken) >= 9, 25)
        assert len({each["id"] for each in receiver.taken}) == len(receiver.taken) == 9
    told = await eventually(lambda: receivers["story"].taken)
    assert {each["type"] for each in told} <= {f"andon.incident.{s}" for s in STATUSES}
    assert "andon.incident.open" in {each["type"] for each in told}
    assert len({each["id"] for each in told}) == len(told)
    await bus.close()
    assert all(receiver.forged == 0 for receiver in receivers.values())
    await client.aclose()


async def _well_formed(good: Receiver) -> None:
    first = sorted(good.taken, key=lambda each: each["time"])[0]
    assert first["type"] == "andon.alarm.raised"
    assert first["specversion"] == "1.0"
    assert first["source"] == "/andon/f1/e1"
    assert first["subject"] == first["data"]["alarm"] == "FUR-01.TT-101.HIHI"
    assert first["data"]["text"]["zh"]
    assert len({each["id"] for each in good.taken}) == 8


async def _flaky(flaky: Receiver) -> None:
    """In strict order, and not before the second that it asked for (its schedule says 0.2 s)."""
    await eventually(lambda: len(flaky.taken) == 8)
    kinds = [each["data"]["occurrence"] + each["data"]["kind"] for each in flaky.taken]
    assert kinds == [f"occ-{n}{kind}" for n in range(4) for kind in ("raised", "returned")]
    (first, at), (repeated, later) = flaky.tries[:2]
    assert first == repeated
    assert later - at >= 1.0


async def _dead_letters(client: httpx.AsyncClient, receivers: dict[str, Receiver]) -> None:
    async def dead(name: str) -> list[dict[str, object]]:
        query = {"status": "dead", "outbound": name, "limit": "3"}
        found: list[dict[str, object]] = []
        while True:
            page = (await client.get("/api/links/deliveries", params=query)).json()
            found += page["items"]
            if page["next"] is None:
                return found
            query["cursor"] = page["next"]

    async def all_dead() -> bool:
        return [len(await dead(n)) for n in ("gone", "moved", "dead")] == [8, 8, 8]

    await until(all_dead, 20)
    assert all(row["attempt"] == 3 for row in await dead("dead"))
    assert "redirects are not followed" in str((await dead("moved"))[0]["error"])
    assert len(receivers["gone"].tries) <= 2  # as many as were in hand
    links = {each["id"]: each for each in (await client.get("/api/links")).json()["outbound"]}
    assert links["gone"]["disabled_at"]
    system = (await client.get("/api/alarms")).json()["banner"]["system"]
    told = [text["en"] for text in system]
    assert {name for name in NAMES for t in told if t.startswith(f"f1.{name}:")} == {
        "gone", "moved", "dead",
    }  # fmt: skip
    for name in ("gone", "dead"):
        receivers[name].answer = lambda _: (204, {}, 0.0)
    enabled = await client.post(
        "/api/links/outbound/gone/enable", headers={"Idempotency-Key": "enable-gone"}
    )
    assert enabled.is_success
    for name in ("gone", "dead"):
        replayed = await client.post(
            "/api/links/deliveries/replay", json={"outbound": name},
            headers={"Idempotency-Key": f"replay-{name}"},
        )  # fmt: skip
        assert replayed.json() == {"replayed": 8}
        await eventually(lambda r=receivers[name]: len(r.taken) == 8)
        assert len({each["id"] for each in receivers[name].taken}) == 8

    async def only_moved() -> bool:
        system = (await client.get("/api/alarms")).json()["banner"]["system"]
        return [t["en"][:8] for t in system if "linked system" in t["en"]] == ["f1.moved"]

    await until(only_moved)


async def test_no_way_inside(tmp_path: Path) -> None:
    """A name that leads inside is refused; one that changes its mind is dialled where it was."""
    receiver = Receiver()
    (tmp_path / "hook").write_text(SECRET)
    port = receiver.url.split(":")[2].split("/")[0]
    spec = EndpointSpec(url=f"http://linked.example:{port}/hook", secret="hook")
    asked: list[str] = []

    async def look_up(host: str, at: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    outside = Outside("f1", {"in": spec}, {}, tmp_path)
    outward = Outward(outside, SystemClock(), look_up)
    refused = await outward.post("in", "m1", b"{}")
    assert "private" in (refused.error or "")
    assert receiver.tries == []
    meant = replace(outside, endpoints={"in": spec.model_copy(update={"private": True})})
    allowed = Outward(meant, SystemClock(), look_up)
    assert (await asyncio.wait_for(allowed.post("in", "m2", b"{}"), 5)).error is None
    assert asked == ["linked.example"] * 2  # once for each message, and dialled by address
    assert len(receiver.tries) == 1
    await outward.close()
    await allowed.close()
    receiver.close()
