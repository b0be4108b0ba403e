"""The alarm desk over REST on real PostgreSQL and NATS, with an edge spoken by the test."""

from __future__ import annotations

import hashlib
import itertools
import json
from typing import Any

import httpx
import msgspec

from factory_brain.adapters.postgres.rebuild import compare
from factory_brain.bootstrap import Brain
from factory_brain.rebuild_cli import run_rebuild
from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition, Fact, FactResult
from shared.messages.codec import decode, encode
from shared.messages.control import Committed
from shared.messages.envelope import Event, Frame
from tests.support.brain_world import EDGE, FakeEdge, log_in, until
from tests.support.brain_world import transition as of_safety_alarm

pytest_plugins = ("tests.support.brain_fixtures",)
KEYS = (f"desk-key-{n:06d}" for n in itertools.count())
ALARM, QUIET, OTHER = "FUR-01.TT-101.HI", "FUR-01.TT-102.HI", "FUR-01.TT-101.STALE"
SAFETY = "FUR-01.TT-101.HIHI"
PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 64


def transition(version: int, *, active: bool, acked: bool, kind: str) -> AlarmTransition:
    body = of_safety_alarm(version, active=active, acked=acked, kind=kind)
    return msgspec.structs.replace(body, alarm=ALARM)


async def say(edge: FakeEdge, body: Fact | FactResult, kind: str) -> None:
    edge.seq += 1
    at = 1_700_000_100_000 + edge.seq
    event = Event(id=f"ev-{edge.seq}", type=kind, time=at, body=body)
    frame = Frame(
        source=EDGE.source, epoch="ep", lane="live", first=edge.seq,
        events=[msgspec.Raw(encode(event))],
    )  # fmt: skip
    await edge.bus.publish_durable(EDGE.lane("live"), encode(frame), frame.message_id)


async def answer(edge: FakeEdge, action: str, result: str = "applied", code: str = "") -> Fact:
    """The edge answers the newest fact of a kind."""

    async def arrived() -> Fact | None:
        return next((f for f in reversed(edge.facts) if f.action == action), None)

    fact: Fact = await until(arrived)
    told = FactResult(
        fact=fact.id, alarm=fact.alarm, occurrence=fact.occurrence, result=result, code=code
    )
    await say(edge, told, f"fact.{result}")
    return fact


async def act(
    web: httpx.AsyncClient, action: str, *, alarm: str = ALARM, occurrence: str = "occ-1",
    version: int = 1, **args: Any,
) -> dict[str, Any]:  # fmt: skip
    item = {"alarm": alarm, "occurrence": occurrence, "version": version}
    body = {"action": action, "items": [item], "args": args}
    done = await web.post("/api/alarms/actions", json=body, headers={"Idempotency-Key": next(KEYS)})
    assert done.status_code == 200, done.text
    return done.json()["results"][0]


async def code(web: httpx.AsyncClient, action: str, **more: Any) -> str:
    return (await act(web, action, **more))["code"]


async def row_of(web: httpx.AsyncClient, alarm: str = ALARM) -> dict[str, Any] | None:
    rows = (await web.get("/api/alarms")).json()["rows"]
    return next((row for row in rows if row["alarm"] == alarm), None)


async def held(web: httpx.AsyncClient, which: str) -> list[dict[str, Any]]:
    return (await web.get(f"/api/alarms/{which}")).json()["items"]


async def until_row(web: httpx.AsyncClient, **wanted: Any) -> dict[str, Any]:
    async def found() -> dict[str, Any] | None:
        row = await row_of(web)
        return row if row and all(row[k] == v for k, v in wanted.items()) else None

    return await until(found)


def shelved(body: AlarmTransition, until_at: int, **changes: Any) -> AlarmTransition:
    state = {**body.state, "shelf": "T", "shelved_until": until_at}
    return msgspec.structs.replace(body, kind="shelved", annunciate=False, state=state, **changes)


async def test_actions_lists_and_refusals(brain: Brain, edge: FakeEdge, web, capsys) -> None:
    await log_in(web)
    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    await until_row(web, state="unacknowledged")
    # what is refused at once, with the edge's own codes
    assert await code(web, "shelve", minutes=30) == "reason_required"
    assert await code(web, "shelve", minutes=60_000, reason="r") == "Bad_ShelvingTimeOutOfRange"
    assert await code(web, "shelve", version=0, minutes=5, reason="r") == "not_seen"
    assert await code(web, "shelve", occurrence="occ-0", minutes=5, reason="r") == (
        "Bad_EventIdUnknown"
    )
    assert await code(web, "unshelve") == "Bad_ConditionNotShelved"
    assert await code(web, "reset") == "Bad_MethodInvalid"
    assert await code(web, "comment", text=" ") == "bad_argument"
    assert await code(web, "out_of_service", reason="r") == "permit_required"
    assert await code(web, "out_of_service", reason="r", permit="P1", approved_by="z", until=1) == (
        "permit_over"
    )
    # the edge refuses what the desk took: shown, and kept in the audit log
    assert await code(web, "acknowledge") == "ok"
    assert (await until_row(web, acked=True))["pending"] == ["acknowledge"]
    await answer(edge, "acknowledge", "refused", "not_seen")
    row = await until_row(web, acked=False)
    assert (row["refused"]["code"], row["refused"]["actor"], row["pending"]) == (
        "not_seen", "admin", [],
    )  # fmt: skip
    told = await brain.pool.fetchrow("SELECT * FROM audit WHERE action = 'fact_refused'")
    assert (told["actor"], told["data"]["actor"], told["data"]["code"]) == (
        "e1", "admin", "not_seen",
    )  # fmt: skip
    # spoken: recorded, shown, no state changed
    assert await code(web, "comment", text="看过了") == "ok"
    assert await code(web, "assign", to="li") == "ok"
    row = await until_row(web, comments=1, assigned_to="li")
    assert row["state"] == "unacknowledged"
    # shelved: pending until the edge says so, then with owner, reason and end
    assert await code(web, "shelve", minutes=30, reason="传感器检修") == "ok"
    assert "shelve" in (await until_row(web, state="unacknowledged"))["pending"]
    fact = await answer(edge, "shelve")
    assert (fact.args["ms"], fact.args["reason"], fact.place) == (
        1_800_000,
        "传感器检修",
        "factory",
    )
    end = brain.clock.now_ms() + 1_800_000
    base = transition(2, active=True, acked=False, kind="shelved")
    await edge.send(shelved(base, end, fact=fact.id, actor="admin"))
    row = await until_row(web, state="shelved")
    assert row["shelf"] == {
        "mode": "timed", "until": end, "by": "admin", "reason": "传感器检修",
        "since": row["shelf"]["since"],
    }  # fmt: skip
    (listed,) = await held(web, "shelved")
    assert (listed["alarm"], listed["active"], listed["until"]) == (ALARM, True, end)
    assert 0 < listed["remaining_ms"] <= 1_800_000
    assert await code(web, "acknowledge", version=2) == "REJECT_not_annunciated"
    detail = (await web.get(f"/api/alarms/{ALARM}")).json()
    told = [(e["kind"], e["actor"]) for e in detail["timeline"] if e["lane"] == "people"]
    assert ("comment", "admin") in told
    assert ("shelve", "admin") in told
    assert len([kind for kind, _ in told if kind == "fact_refused"]) == 1
    await from_the_group(brain, edge, web)
    await never_raised(brain, edge, web)
    await rights(brain, web)
    # what people said goes up to the group as well
    sent = await brain.pool.fetch("SELECT event FROM outbox WHERE lane = 'live'")
    bodies = [decode(each["event"], Event).body for each in sent]
    assert {b.action for b in bodies if isinstance(b, Fact)} >= {"acknowledge", "comment", "shelve"}
    assert any(isinstance(b, FactResult) and b.result == "refused" for b in bodies)
    # the stored state is what the journal folds to, byte by byte
    found = await compare(brain.pool)
    assert found.holds, found
    assert found.equal == found.occurrences == 2
    await brain.pool.execute("UPDATE occurrence SET raised_at = 5 WHERE occurrence = 'occ-1'")
    found = await compare(brain.pool, mend=True)
    assert [e["columns"] for e in found.examples] == [["raised_at"]]
    assert await run_rebuild(brain.settings.database_url, True, True) == 0
    assert json.loads(capsys.readouterr().out)["equal"] == 2


async def from_the_group(brain: Brain, edge: FakeEdge, web: httpx.AsyncClient) -> None:
    """What the group says goes down to the edge once, whatever is repeated or forged."""
    said = Fact(
        id="g-1", alarm=ALARM, occurrence="occ-1", version_seen=2, action="comment",
        actor="zhao", place="group", hlc="0000000000009.00000", args={"text": "集团已知"},
    )  # fmt: skip
    forged = msgspec.structs.replace(said, id="g-2", place="edge", actor="nobody")
    events = [Event(id=f.id, type="fact", time=1, body=f) for f in (said, forged)]
    frame = Frame(
        source="cloud", epoch="c", lane="fact-f1", first=1,
        events=[msgspec.Raw(encode(event)) for event in events],
    )  # fmt: skip
    for _ in range(2):
        answered = await brain.bus.request_down(brain.node, brain.node.fact, encode(frame), 5)
        assert decode(answered, Committed).watermarks == {"c/fact-f1": 2}
    await until_row(web, comments=2)

    async def below() -> bool:
        return any(fact.id == "g-1" for fact in edge.facts)

    await until(below)
    assert [fact.actor for fact in edge.facts if fact.id.startswith("g-")] == ["zhao"]


async def never_raised(brain: Brain, edge: FakeEdge, web: httpx.AsyncClient) -> None:
    """Alarms at rest may be shelved, suppressed and taken out of service too."""
    known = (await web.get("/api/desk/alarms", params={"q": "tt-10", "limit": 1})).json()
    more = {"q": "tt-10", "cursor": known["next"]}
    rest_of = (await web.get("/api/desk/alarms", params=more)).json()
    names = [each["alarm"] for page in (known, rest_of) for each in page["items"]]
    assert len(names) == len(set(names)) >= 4
    quiet_one = next(each for each in rest_of["items"] if each["alarm"] == QUIET)
    assert (quiet_one["occurrence"], quiet_one["state"]) == ("", "normal")
    never = {"alarm": SAFETY, "occurrence": "", "version": 0}
    assert await code(web, "shelve", **never, minutes=5, reason="r") == "safety_alarm"
    rest = {"alarm": QUIET, "occurrence": "", "version": 0}
    assert await code(web, "shelve", **rest, minutes=5, reason="试车") == "ok"
    shelf = [each for each in await held(web, "shelved") if each["alarm"] == QUIET]
    assert [(each["pending"], each["reason"]) for each in shelf] == [(True, "试车")]
    first, _ = await held(web, "shelved")
    assert first["alarm"] == QUIET  # it ends first
    fact = await answer(edge, "shelve")
    state = AlarmState(shelf="T", shelved_until=brain.clock.now_ms() + 300_000).to_dict()
    quiet = transition(1, active=False, acked=True, kind="shelved")
    await edge.send(
        msgspec.structs.replace(
            quiet,
            alarm=QUIET,
            occurrence="occ-q",
            annunciated_version=0,
            state=state,
            fact=fact.id,
            annunciate=False,
        )
    )

    async def in_force() -> bool:
        rows = [each for each in await held(web, "shelved") if each["alarm"] == QUIET]
        # Between the edge's answer and its transition it is in neither state for a moment.
        return bool(rows) and rows[0]["occurrence"] == "occ-q" and not rows[0]["pending"]

    await until(in_force)
    assert await row_of(web, QUIET) is None  # nothing to see in the list of alarms
    rest = {"alarm": OTHER, "occurrence": "", "version": 0}
    assert await code(web, "suppress", **rest, reason="停炉") == "ok"
    await answer(edge, "suppress")

    async def suppressed() -> bool:
        rows = await held(web, "suppressed")
        return bool(rows) and not rows[0]["pending"]

    await until(suppressed)
    (row,) = await held(web, "suppressed")
    assert (row["by"], row["suppressed_by"], row["active"]) == ("admin", ["operator"], False)
    permit = {"permit": "WP-7", "approved_by": "zhao", "until": brain.clock.now_ms() + 60_000}
    assert await code(web, "out_of_service", **rest, reason="校准", **permit) == "ok"
    (row,) = await held(web, "out-of-service")
    assert (row["permit"], row["approved_by"], row["pending"]) == ("WP-7", "zhao", True)


async def rights(brain: Brain, web: httpx.AsyncClient) -> None:
    """Each row by itself, on the server."""
    await brain.accounts.create("guest", "only looking here", ["viewer"])
    async with httpx.AsyncClient(base_url=web.base_url, timeout=10) as guest:
        login = {"username": "guest", "password": "only looking here"}
        assert (await guest.post("/api/session", json=login)).status_code == 204
        assert await code(guest, "comment", text="hello") == "not_allowed_here"
        assert (await guest.get("/api/alarms/shelved")).status_code == 200
        made = await guest.post("/api/handover", json={}, headers={"Idempotency-Key": next(KEYS)})
        assert made.json()["code"] == "not_allowed"


async def test_attachments_and_hand_over(brain: Brain, edge: FakeEdge, web) -> None:
    await log_in(web)
    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    await until_row(web, state="unacknowledged")
    await brain.accounts.create("li", "the next shift", ["operator"])
    async with httpx.AsyncClient(base_url=web.base_url, timeout=10) as li:
        login = {"username": "li", "password": "the next shift"}
        assert (await li.post("/api/session", json=login)).status_code == 204
        await attachments(brain, web, li)
        await hand_over(brain, edge, web, li)


async def attach(
    web: httpx.AsyncClient, name: str, kind: str, content: bytes, **subject: str
) -> httpx.Response:
    return await web.post(
        "/api/attachments", params={"name": name, **subject}, content=content,
        headers={"Idempotency-Key": next(KEYS), "Content-Type": kind},
    )  # fmt: skip


async def attachments(brain: Brain, web: httpx.AsyncClient, li: httpx.AsyncClient) -> None:
    mine = {"occurrence": "occ-1"}
    for refused, name, kind, content, subject in (
        ("attachment_kind", "a.html", "text/html", b"<script>", mine),
        ("attachment_kind", "a.png", "image/png", b"<script>", mine),
        ("attachment_kind", "a.txt", "text/plain", b"a\x00b", mine),
        ("attachment_empty", "a.png", "image/png", b"", mine),
        ("attachment_too_large", "a.png", "image/png", PNG + bytes(8 << 20), mine),
        ("unknown_subject", "a.png", "image/png", PNG, {"occurrence": "occ-9"}),
        ("one_subject", "a.png", "image/png", PNG, {}),
    ):
        assert (await attach(web, name, kind, content, **subject)).json()["code"] == refused
    kept = (await attach(web, '../炉 "1"\r\n.png', "image/png", PNG, **mine)).json()
    assert (kept["name"], kept["sha256"]) == ("炉 _1_.png", hashlib.sha256(PNG).hexdigest())
    listed = (await li.get("/api/attachments", params=mine)).json()["items"]
    assert [each["id"] for each in listed] == [kept["id"]]
    got = await li.get(f"/api/attachments/{kept['id']}")
    assert got.content == PNG
    assert got.headers["content-disposition"].startswith("attachment;")
    assert got.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in got.headers["content-security-policy"]
    other = await li.delete(f"/api/attachments/{kept['id']}")
    assert (other.status_code, other.json()["code"]) == (403, "attachment_not_yours")
    assert (await web.delete(f"/api/attachments/{kept['id']}")).status_code == 204
    assert (await web.get(f"/api/attachments/{kept['id']}")).status_code == 404
    row = await brain.pool.fetchrow("SELECT * FROM attachment")
    assert (row["content"], row["deleted_by"], row["sha256"]) == (None, "admin", kept["sha256"])
    done = await brain.pool.fetch("SELECT action FROM audit WHERE action IN ('attach', 'detach')")
    assert sorted(each["action"] for each in done) == ["attach", "detach"]


async def hand_over(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient, li: httpx.AsyncClient
) -> None:
    assert await code(web, "comment", text="盯住它") == "ok"
    assert await code(web, "assign", to="li") == "ok"
    draft = (await web.get("/api/handover/current")).json()
    shift, content = draft["shift"], draft["content"]
    assert shift["id"] in {"early", "late", "night"}
    assert shift["start"] <= content["at"] < shift["end"] == draft["next_shift"]["start"]
    for part in ("standing", "unacknowledged", "stale"):  # it was raised long ago
        assert [each["alarm"] for each in content[part]] == [ALARM], part
    assert [each["text"] for each in content["comments"]] == ["盯住它"]
    assert [each["assigned_to"] for each in content["assignments"]] == ["li"]

    async def post(who: httpx.AsyncClient, path: str, note: str) -> httpx.Response:
        head = {"Idempotency-Key": next(KEYS)}
        return await who.post(f"/api/handover{path}", json={"note": note}, headers=head)

    report = (await post(web, "", "交给中班")).json()
    assert (report["created_by"], report["counts"]["standing"], report["signed_by"]) == (
        "admin", 1, None,
    )  # fmt: skip
    frozen = (await web.get(f"/api/handover/{report['id']}")).json()["content"]
    assert await code(web, "acknowledge") == "ok"
    same = await post(web, f"/{report['id']}/sign", "")
    assert (same.status_code, same.json()["code"]) == (409, "same_person")
    signed = await post(li, f"/{report['id']}/sign", "已接班")
    assert (signed.json()["signed_by"], signed.json()["sign_note"]) == ("li", "已接班")
    assert (await post(li, f"/{report['id']}/sign", "")).json()["code"] == "already_signed"
    assert (await post(li, "/none/sign", "")).status_code == 404
    again = (await web.get(f"/api/handover/{report['id']}")).json()
    assert again["content"] == frozen  # what was given stays as it was given
    text = await brain.pool.fetchval("SELECT content FROM handover")
    assert hashlib.sha256(text.encode()).hexdigest() == again["entry"]["digest"]
    second = (await post(li, "", "")).json()
    assert second["counts"]["unacknowledged"] == 0
    page = (await web.get("/api/handover", params={"limit": 1})).json()
    assert [each["id"] for each in page["items"]] == [second["id"]]
    rest = (await web.get("/api/handover", params={"limit": 1, "cursor": page["next"]})).json()
    assert ([each["id"] for each in rest["items"]], rest["next"]) == ([report["id"]], None)
    assert (await web.get("/api/handover", params={"cursor": "x"})).json()["code"] == "bad_cursor"
    acts = await brain.pool.fetch("SELECT action FROM audit WHERE target = $1", report["id"])
    assert sorted(each["action"] for each in acts) == ["hand_over", "take_over"]
