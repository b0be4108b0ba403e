"""Inbound webhooks on a real brain: believed by signature, taken once, operated like any alarm."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.brain_world import log_in, until
from tests.support.link_world import OLD_SECRET, LinkWorld, broker, signed

pytestmark = pytest.mark.timeout(120)
MAP = """
    map:
      type: "body.type"
      asset: "body.asset"
      alarm: "has(body.alarm) ? body.alarm : ''"
      active: "has(body.active) ? body.active : false"
      priority: "has(body.priority) ? body.priority : 3"
      text_zh: "has(body.zh) ? body.zh : ''"
      text_en: "has(body.en) ? body.en : ''"
      value: "has(body.value) ? body.value : null"
      time: "has(body.time) ? body.time : null"
"""
LINKS = f"""
inbound:
  - id: doors
    verify: standard-webhooks
    secret: rotated
    when: "body.type != 'ping'"
{MAP}
  - id: git
    verify: hmac-sha256-header
    secret: plain
    timestamp_header: x-stamp
{MAP}
  - id: small
    verify: bearer
    secret: token
    max_bytes: 200
    per_minute: 3
{MAP}
"""


@pytest.fixture
async def world(tmp_path: Path, brain_url: str) -> AsyncIterator[LinkWorld]:
    with broker(tmp_path / "nats", ()) as server:
        made = LinkWorld(tmp_path, server, brain_url)
        made.prepare(LINKS)
        await made.start()
        yield made
        await made.close()


def message(**more: Any) -> bytes:
    return json.dumps({"type": "door", "asset": "FUR-01", **more}).encode()


RAISE = {"alarm": "d7", "active": True, "priority": 2, "zh": "七号门未关", "en": "Door 7 open"}


async def rows(client: httpx.AsyncClient) -> dict[str, Any]:
    found = (await client.get("/api/alarms")).json()["rows"]
    return {row["alarm"]: row for row in found}


async def test_a_message_becomes_an_alarm_that_people_acknowledge(world: LinkWorld) -> None:
    client = await world.client()
    await log_in(client)
    await _acknowledged_and_gone(client)
    await _order_and_kinds(world, client)
    await _other_doors(client)
    await client.aclose()


async def _acknowledged_and_gone(client: httpx.AsyncClient) -> None:
    body = message(**RAISE)
    answer = await client.post("/api/hooks/doors", content=body, headers=signed("m1", body))
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["result"], told["alarm"], told["duplicate"]) == ("raised", "LNK.doors.d7", False)
    row = (await rows(client))["LNK.doors.d7"]
    assert row["name"] == {"zh": "七号门未关", "en": "Door 7 open"}
    assert (row["edge"], row["priority"], row["state"]) == ("link-doors", 2, "unacknowledged")
    assert row["occurrence"] == told["occurrence"]
    items = [{"alarm": row["alarm"], "occurrence": row["occurrence"], "version": row["version"]}]
    acked = await client.post(
        "/api/alarms/ack", json={"items": items}, headers={"Idempotency-Key": "ack-door-7"}
    )
    assert acked.json()["results"][0]["accepted"], acked.text

    async def answered() -> bool:
        now = (await rows(client))["LNK.doors.d7"]
        return now["state"] == "acknowledged" and not now["ack_pending"]

    await until(answered)
    body = message(**RAISE | {"active": False})
    gone = await client.post("/api/hooks/doors", content=body, headers=signed("m2", body))
    assert gone.json()["result"] == "returned"

    async def away() -> bool:
        return "LNK.doors.d7" not in await rows(client)

    await until(away)
    detail = (await client.get("/api/alarms/LNK.doors.d7")).json()
    kinds = [entry["kind"] for entry in detail["timeline"]]
    assert [k for k in kinds if k in ("raised", "returned")] == ["raised", "returned"]


async def test_a_repetition_gets_the_first_answer_and_what_is_forged_none(world: LinkWorld) -> None:
    client = await world.client()
    body = message(**RAISE)
    first = await client.post("/api/hooks/doors", content=body, headers=signed("m1", body))
    again = await client.post("/api/hooks/doors", content=body, headers=signed("m1", body))
    assert again.json() == first.json() | {"duplicate": True}
    await world.stop()
    await world.start()
    await client.aclose()
    client = await world.client()
    late = await client.post("/api/hooks/doors", content=body, headers=signed("m1", body))
    assert late.json() == first.json() | {"duplicate": True}
    assert world.brain is not None
    count = await world.brain.pool.fetchval(
        "SELECT count(*) FROM event WHERE alarm = 'LNK.doors.d7'"
    )
    assert count == 1
    await _refused(client)
    await client.aclose()


async def _refused(client: httpx.AsyncClient) -> None:
    body = message(**RAISE)
    good = signed("m1", body)
    cases = [
        ({}, body, 401, "hook_not_genuine"),
        (good, body + b" ", 401, "hook_not_genuine"),
        (good | {"webhook-id": "m2"}, body, 401, "hook_not_genuine"),
        (good | {"webhook-signature": "v1,é"}, body, 401, "hook_not_genuine"),
        (signed("m1", body, at=int(time.time()) - 400), body, 401, "hook_not_genuine"),
        (signed("m3", b"[1"), b"[1", 400, "hook_not_json"),
        (signed("m4", b"[" * 30_000), b"[" * 30_000, 400, "hook_not_json"),
    ]  # fmt: skip
    for headers, content, status, code in cases:
        encoded = {k: v.encode() for k, v in headers.items()}
        answer = await client.post("/api/hooks/doors", content=content, headers=encoded)
        assert (answer.status_code, answer.json()["code"]) == (status, code), code
    assert (await client.post("/api/hooks/none", content=body)).status_code == 404
    # The other secret of the rotation is as good.
    turned = signed("m9", body, secret=OLD_SECRET)
    assert (await client.post("/api/hooks/doors", content=body, headers=turned)).is_success
    await _unmapped(client)


async def _unmapped(client: httpx.AsyncClient) -> None:
    for change, field in (({"asset": None}, "asset"), ({"active": "yes"}, "active")):
        body = message(**RAISE | change)
        answer = await client.post("/api/hooks/doors", content=body, headers=signed("u1", body))
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, "hook_mapping")
        assert problem["params"]["field"] == field
        assert problem["params"]["mend"]
    # Nothing was taken: the same id, mended, is a first message.
    body = message(alarm="u1", active=False)
    mended = await client.post("/api/hooks/doors", content=body, headers=signed("u1", body))
    assert mended.json()["duplicate"] is False


async def _order_and_kinds(world: LinkWorld, client: httpx.AsyncClient) -> None:
    now = int(time.time())

    async def say(name: str, **more: Any) -> Any:
        body = message(**more)
        sent = await client.post("/api/hooks/doors", content=body, headers=signed(name, body))
        assert sent.is_success, sent.text
        return sent.json()["result"]

    door = RAISE | {"alarm": "d8"}
    assert await say("om1", **door, time=now - 20) == "raised"
    assert await say("om2", **door | {"active": False}, time=now - 10) == "returned"
    assert await say("om3", **door, time=now - 15) == "older"
    assert await say("om4", **door | {"active": False}, time=now) == "unchanged"
    assert await say("om5") == "recorded"
    assert await say("om6", type="ping") == "ignored"
    assert world.brain is not None

    kinds = await world.brain.pool.fetch(
        "SELECT type, body->>'note' AS note FROM event WHERE source = 'f1.link-doors' "
        "AND (alarm = 'LNK.doors.d8' OR type LIKE 'linked.%') ORDER BY seq"
    )
    found = [(row["type"], row["note"]) for row in kinds]
    assert found == [
        ("alarm", None), ("alarm", None), ("linked.door", "older"), ("linked.door", None),
    ]  # fmt: skip


async def _other_doors(client: httpx.AsyncClient) -> None:
    body = message(**RAISE)
    stamp = str(int(time.time()))
    digest = hmac.new(b"plain secret", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    headers = {"x-stamp": stamp, "x-hub-signature-256": f"sha256={digest}"}
    first = await client.post("/api/hooks/git", content=body, headers=headers)
    assert first.json()["result"] == "raised"
    replayed = await client.post(
        "/api/hooks/git", content=body, headers=headers | {"webhook-id": "made up"}
    )
    assert replayed.json()["duplicate"] is True
    moved = headers | {"x-stamp": str(int(stamp) + 1)}
    assert (await client.post("/api/hooks/git", content=body, headers=moved)).status_code == 401
    bearer = {"authorization": "Bearer a bearer token"}
    large = await client.post("/api/hooks/small", content=b"x" * 201, headers=bearer)
    assert (large.status_code, large.json()["code"]) == (413, "hook_too_large")
    codes = [
        (await client.post("/api/hooks/small", content=message(n=n), headers=bearer)).status_code
        for n in range(5)
    ]
    assert codes == [200, 200, 200, 429, 429]
    ended = await client.post(
        "/api/links/alarms/LNK.git.d7/end", headers={"Idempotency-Key": "end-door-7"}
    )
    assert ended.is_success, ended.text

    async def returned() -> bool:
        return (await rows(client))["LNK.git.d7"]["state"] == "rtn_unacknowledged"

    await until(returned)
    links = (await client.get("/api/links")).json()
    assert {link["id"]: link["alarms"] for link in links["inbound"]}["git"] == 1


async def test_the_same_words_after_an_end_are_a_new_alarm_where_the_sender_gives_no_id(
    world: LinkWorld,
) -> None:
    client = await world.client()
    headers = {"authorization": "Bearer a bearer token"}
    told = []
    for active in (True, False, True):
        body = message(alarm="d9", active=active)
        answer = await client.post("/api/hooks/small", content=body, headers=headers)
        told.append((answer.json()["result"], answer.json()["duplicate"]))
    assert told == [("raised", False), ("returned", False), ("raised", False)]
