"""Incidents through a running brain: rows, stream, REST and rights, up to the label of an alarm."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import msgspec

from factory_brain.bootstrap import Brain
from factory_brain.domain.incidents.seen import incident_id
from tests.support.brain_world import FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)
NAME = incident_id("occ-1")


def key(number: int) -> dict[str, str]:
    return {"Idempotency-Key": f"incident-{number:04}"}


async def listen(web: httpx.AsyncClient, frames: list[dict[str, Any]]) -> None:
    async with web.stream("GET", "/api/stream", timeout=None) as answer:
        event = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: ") and event == "incidents":
                frames.append(json.loads(line.removeprefix("data: ")))


async def test_an_incident_from_its_first_alarm_to_its_close(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    await nobody_may_do_anything_without_a_login(web)
    await log_in(web)
    frames: list[dict[str, Any]] = []
    listening = asyncio.create_task(listen(web, frames))

    async def post(act: str, number: int, **body: Any) -> httpx.Response:
        path = f"/api/incidents/{NAME}/{act}"
        return await web.post(path, json=body or None, headers=key(number))

    async def item() -> dict[str, Any]:
        items = (await web.get("/api/incidents")).json()["items"]
        return items[0] if items else {}

    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    found = await until(item)
    assert (found["id"], found["name"]["zh"]) == (NAME, "一段炉温高高")
    assert found["asset_name"]["en"] == "Reheating furnace 1"

    async def on_row() -> bool:
        rows = (await web.get("/api/alarms")).json()["rows"]
        return bool(rows) and rows[0]["incident"] == NAME

    await until(on_row)

    async def streamed() -> bool:
        return any(each["id"] == NAME for frame in frames for each in frame["items"])

    await until(streamed)
    listening.cancel()

    for _ in range(2):  # the repetition is answered as the first was
        assert (await post("acknowledge", 1)).json()["accepted"] is True
    again = await post("acknowledge", 2)
    assert (again.status_code, again.json()["code"]) == (409, "incident_wrong_status")
    assert (await post("owner", 3, owner="admin")).status_code == 200
    assert (await post("notes", 4, text="burner output stuck")).status_code == 200
    early = await post("close", 5, cause="burner", outcome="true")
    assert early.json()["code"] == "incident_standing"
    missing = await post("close", 6, cause="burner")
    assert missing.status_code == 422  # no outcome, no close

    await edge.send(transition(2, active=False, acked=True, kind="returned"))

    async def settled() -> bool:
        return (await item()).get("settled", False)

    await until(settled)
    closed = await post("close", 7, cause="burner", outcome="nuisance", comment="test burn")
    assert closed.json()["accepted"] is True

    async def labelled() -> bool:
        detail = (await web.get(f"/api/incidents/{NAME}")).json()
        return detail["members"][0]["outcome"] == "nuisance"

    await until(labelled)
    detail = (await web.get(f"/api/incidents/{NAME}")).json()
    assert detail["incident"]["owner"] == "admin"
    assert detail["incident"]["cause_name"]["zh"] == "烧嘴或煤气阀"
    lanes = {(each["lane"], each["kind"]) for each in detail["timeline"]}
    assert {
        ("alarm", "raised"), ("alarm", "returned"), ("people", "incident_acknowledge"),
        ("people", "incident_note"), ("people", "incident_close"),
    } <= lanes  # fmt: skip
    assert [each["at"] for each in detail["timeline"]] == sorted(
        each["at"] for each in detail["timeline"]
    )
    assert (await web.get("/api/incidents")).json()["items"] == []
    assert len((await web.get("/api/incidents", params={"state": "closed"})).json()["items"]) == 1
    audited = await brain.pool.fetch("SELECT action FROM audit WHERE target = $1", NAME)
    assert {row["action"] for row in audited} >= {"incident_acknowledge", "incident_close"}
    await past_ones_are_shown_with_what_was_done(edge, web)


async def past_ones_are_shown_with_what_was_done(edge: FakeEdge, web: httpx.AsyncClient) -> None:
    later = 10_000_000
    raised = transition(1, active=True, acked=False, kind="raised")
    await edge.send(
        msgspec.structs.replace(
            raised, occurrence="occ-2", source_time=raised.source_time + later,
            raised_at=raised.raised_at + later,
        )
    )  # fmt: skip

    async def alike() -> list[dict[str, Any]]:
        answer = await web.get(f"/api/incidents/{incident_id('occ-2')}")
        return answer.json()["similar"] if answer.status_code == 200 else []

    (one,) = await until(alike)
    assert (one["incident"]["id"], one["score"]) == (NAME, 1.0)
    assert (one["incident"]["cause"], one["incident"]["outcome"]) == ("burner", "nuisance")
    assert one["notes"] == ["burner output stuck", "test burn"]
    page = (await web.get("/api/incidents", params={"state": "all", "limit": 1})).json()
    assert [each["id"] for each in page["items"]] == [incident_id("occ-2")]
    rest = await web.get(
        "/api/incidents", params={"state": "all", "limit": 1, "cursor": page["next"]}
    )
    assert [each["id"] for each in rest.json()["items"]] == [NAME]
    assert rest.json()["next"] is None
    wrong = await web.get("/api/incidents", params={"cursor": "nonsense"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad_cursor")
    unknown = await web.get("/api/incidents/INC-0")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "unknown_incident")


async def nobody_may_do_anything_without_a_login(web: httpx.AsyncClient) -> None:
    assert (await web.get("/api/incidents")).status_code == 401
    for act in ("acknowledge", "owner", "notes", "contain", "close", "reopen", "merge"):
        answer = await web.post(f"/api/incidents/{NAME}/{act}", json={}, headers=key(9))
        assert answer.status_code == 401, act
