"""The brain alone, on real PostgreSQL and NATS, with an edge spoken by the test."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import msgspec

from factory_brain.bootstrap import Brain
from shared.messages.bodies import AlarmTransition
from tests.support.brain_world import ALARM, FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)


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


async def test_an_alarm_waits_behind_nobodys_long_questions(brain: Brain, edge: FakeEdge) -> None:
    asking = [await brain.pool.acquire() for _ in range(brain.pool.get_max_size())]
    try:
        await edge.send(transition(1, active=True, acked=False, kind="raised"))

        async def shown() -> bool:
            return brain.live.occurrence(ALARM) is not None

        await until(shown)
    finally:
        for each in asking:
            await brain.pool.release(each)


async def test_raise_acknowledge_return(brain: Brain, edge: FakeEdge, web) -> None:
    await log_in(web)
    await edge.send(transition(1, active=True, acked=False, kind="raised"))

    async def row() -> Any:
        rows = (await web.get("/api/alarms")).json()["rows"]
        return next((row for row in rows if not row["system"]), None)

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
    rows = (await web.get("/api/alarms")).json()["rows"]
    return [row["occurrence"] for row in rows if not row["system"]]


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


async def test_long_questions_cost_neither_the_probe_nor_the_lease(brain: Brain) -> None:
    asking = [await brain.pool.acquire() for _ in range(brain.pool.get_max_size())]
    try:
        assert await asyncio.wait_for(brain.positions.writable(), 5)
        await asyncio.wait_for(brain.brains.look(), 5)  # through the store that renews
    finally:
        for each in asking:
            await brain.pool.release(each)
