"""Full-rate samples at the brain: what raises took along, and asking an edge for more."""

from __future__ import annotations

import struct

import httpx
import msgspec

from factory_brain.bootstrap import Brain
from shared.identity.policy import Grant, User
from shared.messages.bodies import SampleBatch, Snippet
from shared.messages.codec import decode, encode
from shared.messages.control import SampleAnswer, SampleRequest
from shared.messages.envelope import Event, Frame
from shared.web.auth import COOKIE
from tests.support.brain_world import ALARM, EDGE, FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)


async def test_what_a_raise_took_along_is_kept_and_shown(
    edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    raised = 1_700_000_000_001
    rows = [(0, raised - 10, 1270.0, 0), (1, raised - 5, 55.0, 0), (0, raised, 1291.5, 2)]
    columns = SampleBatch(
        names=["TT-101", "FT-103"], tags=struct.pack("<3i", *(r[0] for r in rows)),
        times=struct.pack("<3q", *(r[1] for r in rows)),
        values=struct.pack("<3d", *(r[2] for r in rows)), qualities=bytes(r[3] for r in rows),
    )  # fmt: skip
    snippet = Snippet(
        alarm=ALARM, occurrence="occ-1", raised_at=raised, since=raised - 60_000,
        until=raised + 30_000, samples=columns, truncated=True,
    )  # fmt: skip
    address = "/api/occurrences/occ-1/snippet"
    assert (await web.get(address)).json()["code"] == "unknown_occurrence"
    for seq in (1, 2):  # sent again under another number: the first stays
        event = Event(id=f"sn-{seq}", type="snippet", time=raised, body=snippet)
        frame = Frame(
            source=EDGE.source, epoch="ep", lane="history", first=seq,
            events=[msgspec.Raw(encode(event))],
        )  # fmt: skip
        await edge.bus.publish_durable(EDGE.lane("history"), encode(frame), frame.message_id)

    async def detail() -> bool:
        return (await web.get(f"/api/alarms/{ALARM}")).json().get("snippet") is True

    await until(detail)
    shown = (await web.get(address)).json()
    assert (shown["raised_at"], shown["truncated"]) == (raised, True)
    assert [(s["tag"], s["t"], s["v"], s["q"]) for s in shown["series"]] == [
        ("TT-101", [raised - 10, raised], [1270.0, 1291.5], [0, 2]),
        ("FT-103", [raised - 5], [55.0], [0]),
    ]
    await until(lambda: _all_committed(edge, 2))


async def _all_committed(edge: FakeEdge, through: int) -> bool:
    return any(report.watermarks.get("ep/history") == through for report in edge.committed)


async def test_an_operator_asks_an_edge_for_a_tag_s_every_sample(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    wishes: list[SampleRequest] = []

    async def answer(_: str, data: bytes) -> bytes:
        wishes.append(decode(data, SampleRequest))
        accepted = len(wishes) == 1
        code = "" if accepted else "too_many_requests"
        return encode(SampleAnswer(id=wishes[-1].id, accepted=accepted, code=code))

    await edge.bus.subscribe(EDGE.sampling, answer)

    async def ask(tag: str, minutes: int, key: str) -> httpx.Response:
        return await web.post(
            f"/api/tags/{tag}/sampling", json={"minutes": minutes},
            headers={"Idempotency-Key": key},
        )  # fmt: skip

    assert (await ask("TT-101", 5, "first-key")).json()["accepted"] is True
    assert (wishes[0].tag, wishes[0].ttl_ms) == ("TT-101", 300_000)
    assert (await ask("TT-101", 5, "second-key")).json()["code"] == "too_many_requests"
    assert (await ask("NO-1", 5, "third-key")).status_code == 404
    assert (await ask("TT-101", 61, "fourth-key")).status_code == 422
    assert len(wishes) == 2
    grants = (Grant("operator", "CMP-01"), Grant("viewer"))
    await brain.accounts.create("far", "correct horse battery", grants)
    token = await brain.accounts.open_session(User.of("far", grants), "local")
    web.cookies.clear()
    refused = await web.post(
        "/api/tags/TT-101/sampling", json={"minutes": 5},
        headers={"Idempotency-Key": "fifth-key", "Cookie": f"{COOKIE}={token}"},
    )  # fmt: skip
    assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed_here")
    assert len(wishes) == 2, "somebody of another area costs the edge nothing"
