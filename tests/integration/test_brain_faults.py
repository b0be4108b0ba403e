"""A running brain: the record of faults over REST, and shadow counting wired to what goes up."""

from __future__ import annotations

import httpx
import msgspec

from factory_brain.bootstrap import Brain
from shared.clock import SystemClock
from shared.messages.bodies import AlarmTransition, FaultRecord, OutcomeRecord
from shared.messages.codec import decode
from shared.messages.envelope import Event
from tests.support.brain_world import FakeEdge, log_in, transition, until

pytest_plugins = ("tests.support.brain_fixtures",)
HOUR = 3_600_000


async def said(brain: Brain, kind: type) -> list[object]:
    rows = await brain.pool.fetch("SELECT event FROM outbox ORDER BY seq")
    bodies = [decode(row["event"], Event).body for row in rows]
    return [body for body in bodies if isinstance(body, kind)]


async def test_faults_are_recorded_withdrawn_and_made_by_labels(
    brain: Brain, edge: FakeEdge, web: httpx.AsyncClient
) -> None:
    await log_in(web)
    cause = (await web.get("/api/incidents/causes")).json()[0]["id"]
    now = SystemClock().now_ms()
    body = {"asset": "FUR-01", "start": now - HOUR, "end": now, "cause": cause}
    assert (await web.post("/api/faults", json=body)).status_code == 422, "without a key"
    key = {"Idempotency-Key": "fault-0001"}
    made = await web.post("/api/faults", json=body, headers=key)
    again = await web.post("/api/faults", json=body, headers=key)
    assert made.status_code == again.status_code == 200, made.text
    assert made.json() == again.json()
    assert (made.json()["line"], made.json()["alarms"]) == ("REHEAT", [])
    for wrong, code in (
        ({"asset": "MOON"}, "unknown_asset"),
        ({"end": now - 2 * HOUR}, "fault_times"),
    ):
        refused = await web.post(
            "/api/faults", json={**body, **wrong}, headers={"Idempotency-Key": f"k-{code}-0001"}
        )
        assert (refused.status_code, refused.json()["code"]) == (422, code)
    name = made.json()["id"]
    read = await web.get(f"/api/faults/{name}")
    assert [each["id"] for each in (await web.get("/api/faults")).json()["items"]] == [name]
    stale = {"Idempotency-Key": "withdraw-01", "If-Match": '"of another day"'}
    path, why = f"/api/faults/{name}/withdraw", {"reason": "misheard"}
    assert (await web.post(path, json=why, headers=stale)).status_code == 412
    fresh = {"Idempotency-Key": "withdraw-02", "If-Match": read.headers["etag"]}
    gone = await web.post(path, json=why, headers=fresh)
    assert (gone.status_code, gone.json()["withdrawn"]) == (200, True), gone.text
    assert (await web.get("/api/faults")).json()["items"] == []
    assert len((await web.get("/api/faults?withdrawn=true")).json()["items"]) == 1

    # An occurrence that is over and unjudged is told of once, then its label, then its fault.
    await edge.send(transition(1, active=True, acked=False, kind="raised"))
    back = transition(2, active=False, acked=True, kind="returned")
    await edge.send(msgspec.structs.replace(back, returned_at=back.source_time))

    async def told() -> bool:
        return len(await said(brain, OutcomeRecord)) == 1

    await until(told)
    label = await web.post(
        "/api/occurrences/occ-1/outcome", json={"outcome": "true", "cause": cause},
        headers={"Idempotency-Key": "label-0001"},
    )  # fmt: skip
    assert label.status_code == 200, label.text
    outcomes = await said(brain, OutcomeRecord)
    assert [getattr(each, "label", None) for each in outcomes] == ["", "true"]
    faults = [each for each in await said(brain, FaultRecord) if isinstance(each, FaultRecord)]
    assert [(each.revision, each.withdrawn) for each in faults[:2]] == [(1, False), (2, True)]
    assert faults[-1].alarms == ["FUR-01.TT-101.HIHI"]
    refused = await web.post(
        f"/api/faults/{faults[-1].id}/withdraw", json=why,
        headers={"Idempotency-Key": "withdraw-03"},
    )  # fmt: skip
    assert (refused.status_code, refused.json()["code"]) == (409, "fault_of_labels")
    audited = await brain.pool.fetch(
        "SELECT action FROM audit WHERE action LIKE 'fault_%' ORDER BY id"
    )
    assert [row["action"] for row in audited] == ["fault_record", "fault_withdraw"]
    await overtaken_is_judged(brain, edge, web)


async def overtaken_is_judged(brain: Brain, edge: FakeEdge, web: httpx.AsyncClient) -> None:
    """The label of what was raised again since brings nothing back to the live list."""
    now = SystemClock().now_ms()
    # The first one returned and nobody acknowledged it; the second one was, and is over.
    for number, (name, acked) in enumerate((("occ-8", False), ("occ-9", True))):
        at = now - 60_000 + number * 10_000
        await edge.send(later(transition(1, active=True, acked=False, kind="raised"), name, at))
        back = later(transition(2, active=False, acked=acked, kind="returned"), name, at)
        await edge.send(msgspec.structs.replace(back, returned_at=at + 5_000))

    async def settled() -> bool:
        rows = await brain.pool.fetch(
            "SELECT open FROM occurrence WHERE raised_at >= $1 ORDER BY raised_at", now - 60_000
        )
        return not await listed(web) and [row["open"] for row in rows] == [True, False]

    await until(settled)
    label = await web.post(
        "/api/occurrences/occ-8/outcome", json={"outcome": "nuisance"},
        headers={"Idempotency-Key": "label-0008"},
    )  # fmt: skip
    assert label.json()["accepted"], label.text
    # Nobody could acknowledge it there: the desk takes nothing of what was raised again since.
    assert await listed(web) == []


async def listed(web: httpx.AsyncClient) -> list[str]:
    """The plant's alarms in the live list; the product's own are none of them."""
    rows = (await web.get("/api/alarms")).json()["rows"]
    return [row["occurrence"] for row in rows if not row["system"]]


def later(body: AlarmTransition, occurrence: str, at: int) -> AlarmTransition:
    return msgspec.structs.replace(body, occurrence=occurrence, raised_at=at, source_time=at)
