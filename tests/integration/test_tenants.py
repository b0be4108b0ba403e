"""Attacks on tenants: who belongs to one reads, by whatever route, nothing of another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from group_cloud.adapters.postgres.flood_store import FloodStore
from group_cloud.adapters.postgres.notice_store import NoticeStore
from group_cloud.adapters.postgres.nuisance_store import NuisanceStore
from group_cloud.application.dispatching.desk import Asked
from group_cloud.application.dispatching.ports import Assignment
from group_cloud.application.fleet import FactoryView
from group_cloud.application.floods.learning import FloodLearning
from group_cloud.application.notices.ports import Notice
from group_cloud.application.nuisance.ports import PointRank, Spot
from group_cloud.domain.assignment import Resource
from group_cloud.domain.scope import ALL, Scope
from shared.messages.bodies import (
    AlarmPoints,
    FleetReport,
    IncidentRecord,
    OutcomeRecord,
    PlaybookOutcome,
)
from shared.web.dto_dispatch import MessageOut, MessageRequest
from tests.support.notice_world import noticing_on
from tests.support.summary import say
from tests.support.total_world import (
    DAY,
    Teller,
    Total,
    asking,
    centre,
    episode,
    people,
    running_total,
)

SECRET = "geheim"
"""Stands in all that the other tenant's factory has told."""

pytest_plugins = ("tests.support.total_fixtures",)


@pytest.fixture
async def total(total_url: str) -> AsyncIterator[Total]:
    async with running_total(total_url) as made:
        yield made


async def tell_all(total: Total, site: str, word: str) -> None:
    """A factory with something of every kind, the word in all of it."""
    at = total.clock.now_ms() // DAY * DAY - DAY
    alarm, run = f"{word}.HI", f"{word}-run"
    outcome = OutcomeRecord(
        site=site, edge="e1", alarm=alarm, occurrence=f"{word}-o", tag_class="temperature",
        side="HI", raised_at=at, returned_at=at + 9, acked_after_s=1.0, label="true", cause=word,
    )  # fmt: skip
    await Teller(total, site).say(
        *episode(f"{word}-o", at, alarm=alarm),
        (at, outcome),
        (at, IncidentRecord(
            site=site, id=f"{word}-i", revision=1, status="open", opened_at=at, priority=1,
            asset=word, occurrences=[f"{word}-o"], alarms=[alarm], runs=[run], cause=word,
            flood=True,
        )),
        (at, PlaybookOutcome(
            run=run, playbook=f"{word}-book", version=1, alarm=alarm, occurrence=f"{word}-o",
            status="success", success=True, ended_at=at,
        )),
        (at, FleetReport(site=site, at=at, site_here=word, edges=[{"edge": word}])),
        (at, AlarmPoints(
            site=site, version=word, part=1, parts=1,
            points={alarm: ["e1", word, word, "furnace", "temperature", 2]},
        )),
    )  # fmt: skip


async def notice_all(total: Total, word: str, site: str) -> None:
    """A notice, a ranked point and a proposal to shelve it."""
    noticing, at = noticing_on(total.pool, total.clock), total.clock.now_ms()
    made = Notice(f"{word}-n", site, "alarms", f"{word}.HI", "e1", "alarm_rate", 1, 1, 9)
    rank = PointRank(f"{word}.HI", "e1", 0.9, 0.8, 1.0, 40, 38, 9, None, ())
    spot = Spot(f"{word}.HI", "e1", 4, True, 40, 38, None, 40, 38)
    async with total.records.transaction() as tx:
        assert await NoticeStore(total.pool).add(tx, made, 9)
        await NuisanceStore(total.pool).keep_ranks(tx, site, [rank], at)
        shelving = noticing.parts.shelving
        await shelving.propose(tx, site, [rank], {rank.alarm: spot})


@pytest.fixture
async def tokens(total: Total) -> dict[str, str]:
    """People of tenant A, of tenant B, of both, of all and of none."""
    if not await total.pool.fetchval("SELECT true FROM tenant WHERE id = 'a'"):
        from shared.web.dto_base import Text

        for tenant in ("a", "b"):
            assert await total.tenants.add(tenant, Text(zh=tenant, en=tenant), "t") is None
        await tell_all(total, "fa", "offen")
        await tell_all(total, "fb", SECRET)
        assert await total.tenants.give("fa", "a", "t") is None
        assert await total.tenants.give("fb", "b", "t") is None
        learning = FloodLearning(FloodStore(total.pool), total.records, total.clock)
        assert await learning.take_up() >= 2
        assert await learning.begin() >= 2
        parts = centre(total, FactoryView(total.records, total.clock))
        desk, mail = parts["dispatch"].desk, parts["dispatch"].mail
        made = Resource(f"{SECRET}-expert", "b", "expert", {}, (), "fb", True, SECRET)
        assert await desk.put_resource(made, "t", ALL) is None
        asked = Asked("fb", f"{SECRET}-i", (), None, 600, 6000, SECRET)
        assert isinstance(await desk.assign(asked, "t", ALL), Assignment)
        await notice_all(total, SECRET, "fb")
        sent = await mail.send(MessageRequest(site="fb", text=SECRET), "t", ALL)
        assert isinstance(sent, MessageOut)
    held = {
        "of-a": [("engineer", "a"), ("administrator", "a"), ("viewer", "a")],
        "of-b": [("viewer", "b")],
        "of-both": [("viewer", "a"), ("viewer", "b")],
        "of-all": [("administrator", "")],
        "of-none": [("viewer", "no-such-tenant")],
    }
    return await people(total, held)


READS = (
    "/api/factories", "/api/group/events", "/api/group/events?site=fb",
    f"/api/group/events?occurrence={SECRET}-o", f"/api/group/events?alarm={SECRET}.HI",
    "/api/group/incidents?state=all", "/api/group/incidents?state=all&site=fb",
    f"/api/group/incidents/fb/{SECRET}-i", f"/api/factories/fb/occurrences/{SECRET}-o",
    "/api/group/runs", "/api/group/runs?site=fb", f"/api/group/runs?playbook={SECRET}-book",
    "/api/group/playbooks", "/api/group/statistics", "/api/group/causes",
    "/api/group/compare?by=process", "/api/group/compare?by=asset_class",
    "/api/group/compare?by=tag_class", "/api/tenants", "/api/audit",
    "/api/dispatch/factories", "/api/dispatch/resources", "/api/dispatch/assignments",
    "/api/dispatch/assignments?site=fb", f"/api/dispatch/assignments?incident={SECRET}-i",
    "/api/dispatch/messages", "/api/dispatch/messages?site=fb", "/api/group/fleet",
    "/api/group/floods", "/api/group/floods?site=fb", f"/api/group/floods?incident={SECRET}-i",
    "/api/notices", "/api/notices?site=fb&state=all", "/api/nuisance", "/api/nuisance?site=fb",
    "/api/shelving-proposals", "/api/shelving-proposals?site=fb",
)  # fmt: skip


async def test_no_route_shows_another_tenant(total: Total, tokens: dict[str, str]) -> None:
    tried = 0
    async with asking(total, tokens["of-all"]) as client:
        for path in READS:
            # The attack would find something: who may see it does.
            answer = await client.get(path)
            assert answer.status_code == 200, path
            assert SECRET in answer.text or '"fb"' in answer.text or "tenant" in answer.text, path
    for who in ("of-a", "of-none"):
        async with asking(total, tokens[who]) as client:
            for path in READS:
                answer = await client.get(path)
                tried += 1
                assert answer.status_code in (200, 403, 404), path
                params = answer.json().get("params", {}) if answer.status_code != 200 else {}
                shown = answer.text if answer.status_code == 200 else ""
                assert SECRET not in shown, f"{path} as {who}"
                assert '"fb"' not in shown, f"{path} as {who}"
                assert "fb" not in params.values(), path
    async with asking(total, tokens["of-a"]) as client:
        own = (await client.get("/api/group/incidents?state=all")).json()["items"]
        assert [each["id"] for each in own] == ["offen-i"]
    say("tenant-attacks", f"{tried} reads of another tenant's data, none of them answered")


async def test_no_cursor_leads_into_another_tenant(total: Total, tokens: dict[str, str]) -> None:
    async with asking(total, tokens["of-all"]) as client:
        pages = {
            path: (await client.get(path, params={"limit": 1})).json()["next"]
            for path in ("/api/group/events", "/api/group/incidents?state=all", "/api/group/runs")
        }
    assert any(pages.values())
    async with asking(total, tokens["of-none"]) as client:
        for path, cursor in pages.items():
            if cursor is not None:
                got = await client.get(path.partition("?")[0], params={"cursor": cursor})
                assert got.json()["items"] == []


async def test_an_administrator_of_one_tenant_administers_nothing_of_the_group(
    total: Total, tokens: dict[str, str]
) -> None:
    key = {"Idempotency-Key": "attack-0001"}
    async with asking(total, tokens["of-a"]) as client:
        tried = [
            await client.put("/api/factories/fb/tenant", json={"tenant": "a"}, headers=key),
            await client.post(
                "/api/tenants", json={"id": "c", "name": {"zh": "c", "en": "c"}}, headers=key
            ),
            await client.get("/api/accounts"),
            await client.put(
                "/api/accounts/of-a/grants", headers=key,
                json={"grants": [{"role": "viewer", "area": ""}], "why": "x"},
            ),
            await client.get("/api/audit"),
        ]  # fmt: skip
    assert [each.status_code for each in tried] == [403] * 5
    assert await total.pool.fetchval("SELECT tenant FROM factory WHERE site = 'fb'") == "b"


async def test_a_factory_that_changes_hands_is_seen_by_the_new_owner_alone(
    total: Total, tokens: dict[str, str]
) -> None:
    await tell_all(total, "fc", "wander")
    for owner, sees in (("a", ("of-a",)), ("b", ("of-b",))):
        assert await total.tenants.give("fc", owner, "t") is None
        for who in ("of-a", "of-b"):
            async with asking(total, tokens[who]) as client:
                shown = (await client.get("/api/factories")).json()["factories"]
                assert ("fc" in [each["site"] for each in shown]) is (who in sees)
    async with asking(total, tokens["of-both"]) as client:
        shown = (await client.get("/api/factories")).json()["factories"]
        assert [each["site"] for each in shown] == ["fa", "fb", "fc"]


async def test_every_viewer_of_the_stream_gets_the_own_part(total: Total) -> None:
    from group_cloud.application.live import GroupLive

    live = GroupLive(FactoryView(total.records, total.clock), None, total.clock.now_ms)  # type: ignore[arg-type]
    live.drop("proposals")
    scopes = [Scope(frozenset({"a"})), Scope(frozenset({"b"})), ALL, Scope()]
    streams = [await live.stream(scope, None) for scope in scopes]
    seen = [b""] * len(scopes)

    async def read(index: int, frames: int) -> None:
        for _ in range(frames):
            seen[index] += await anext(streams[index])  # type: ignore[call-overload]

    async with asyncio.timeout(10):
        await asyncio.gather(*(read(n, 2) for n in range(len(scopes))))  # the first, a resync
        waiting = [asyncio.create_task(read(n, 1)) for n in range(len(scopes))]
        await asyncio.sleep(0)
        live.touch_factories()
        await live.broadcast()
        await asyncio.gather(*waiting)
    assert (live.viewers, live.frames) == (4, 4)
    for index, (mine, theirs) in enumerate(((b'"fa"', b'"fb"'), (b'"fb"', b'"fa"'))):
        assert seen[index].count(mine) == 2
        assert theirs not in seen[index]
    assert seen[2].count(b'"fa"') == seen[2].count(b'"fb"') == 2
    assert b'"site"' not in seen[3]
    for stream in streams:
        await stream.aclose()  # type: ignore[attr-defined]
    assert live.viewers == 0
