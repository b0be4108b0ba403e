"""The dispatch centre on a real store: urgency, assignments by the clock, mail, fleet, pushes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import pytest

from group_cloud.adapters.postgres.dispatch_store import DispatchStore
from group_cloud.adapters.postgres.fleet_store import FleetStore
from group_cloud.application.dispatching.desk import Asked, DispatchDesk
from group_cloud.application.dispatching.ports import Assignment
from group_cloud.application.dispatching.view import DispatchView
from group_cloud.application.fleet_push import FleetPush
from group_cloud.domain.assignment import Resource
from group_cloud.domain.rollout_plan import Change
from group_cloud.domain.scope import ALL, Scope
from shared.clock import ManualClock, SystemClock
from shared.errors import Rejected
from shared.messages.bodies import AlarmPoints, FactorySummary, IncidentRecord
from shared.postgres.audit import audit
from shared.web.dto_base import Text
from shared.web.dto_dispatch import PushRequest
from tests.support.total_world import (
    DAY,
    Teller,
    Total,
    asking,
    episode,
    people,
    running_total,
    total_on,
    transition,
)

pytest_plugins = ("tests.support.total_fixtures",)


@pytest.fixture
async def total(total_url: str) -> AsyncIterator[Total]:
    async with running_total(total_url) as made:
        clock = ManualClock(SystemClock().now_ms())
        yield total_on(made.pool, clock)


class Centre:
    """A dispatch desk over the store, with a clock that is moved by hand."""

    def __init__(self, total: Total, site: str) -> None:
        self.total, self.site = total, site
        self.clock: Any = total.clock
        self.rows = DispatchStore(total.pool)
        self.desk = DispatchDesk(self.rows, total.records, audit, total.clock)

    async def prepare(self, *resources: Resource) -> None:
        record = IncidentRecord(
            site=self.site, id="i", revision=1, status="open", opened_at=1, priority=1, asset="F"
        )
        await Teller(self.total, self.site).say((1, record))
        await self.total.pool.execute("DELETE FROM resource")
        await self.total.pool.execute("DELETE FROM assignment")
        for each in resources:
            assert await self.desk.put_resource(each, "chen", ALL) is None

    async def assign(self, **more: Any) -> Assignment:
        asked = Asked(self.site, "i", ("furnace",), None, 60, 600)
        made = await self.desk.assign(asked, "chen", more.get("scope", ALL))
        assert isinstance(made, Assignment), made
        return made

    async def states(self) -> list[tuple[str | None, str]]:
        rows = await self.rows.listed(ALL, self.site, None, False)
        return [(row.resource, row.state) for row in reversed(rows)]


def expert(name: str, *skills: str, site: str = "", tenant: str = "default") -> Resource:
    return Resource(name, tenant, "expert", {"zh": name, "en": name}, skills, site, True, "")


async def test_whoever_does_not_accept_in_time_is_followed_by_the_next(total: Total) -> None:
    centre = Centre(total, "melt")
    await centre.prepare(
        expert("near", "furnace", site="melt"), expert("broad", "furnace", "robots"),
        expert("narrow", "furnace"), expert("other", "robots"),
    )  # fmt: skip
    first = await centre.assign()
    assert first.resource == "near"
    assert await centre.desk.watch() == 0
    centre.clock.advance(60_000)
    assert await centre.desk.watch() == 1
    assert await centre.states() == [("near", "lapsed"), ("narrow", "offered")]
    second = (await centre.rows.listed(ALL, "melt", None, True))[0]
    assert second.on_site_by == first.on_site_by  # one clock until somebody is there
    moved = await centre.desk.move(second.id, "decline", "no car", "narrow", ALL)
    assert isinstance(moved, Assignment)
    third = (await centre.rows.listed(ALL, "melt", None, True))[0]
    assert third.resource == "broad"
    for move in ("accept", "depart", "arrive", "finish"):
        assert isinstance(await centre.desk.move(third.id, move, "", "broad", ALL), Assignment)
    again = await centre.desk.move(third.id, "accept", "", "broad", ALL)
    assert isinstance(again, Rejected)
    assert again.code == "assignment_state"
    mine = [each.id for each in await centre.rows.listed(ALL, "melt", None, False)]
    kept = await total.pool.fetch(
        "SELECT action FROM audit WHERE action LIKE 'assignment%' AND target = ANY($1)", mine
    )
    told = [row["action"].removeprefix("assignment_") for row in kept]
    assert [told.count(each) for each in ("offered", "lapsed", "declined", "done")] == [3, 1, 1, 1]


async def test_nobody_is_asked_twice_and_none_left_is_said(total: Total) -> None:
    centre = Centre(total, "alone")
    await centre.prepare(expert("only", "furnace"))
    made = await centre.assign()
    busy = await centre.desk.assign(Asked("alone", "i", (), "only", 60, 600), "chen", ALL)
    assert isinstance(busy, Rejected)
    assert busy.code == "resource_busy"
    centre.clock.advance(60_000)
    assert [await centre.desk.watch(), await centre.desk.watch()] == [1, 0]
    assert await centre.states() == [("only", "lapsed")]
    assert await total.pool.fetchval(
        "SELECT count(*) FROM audit WHERE action = 'assignment_nobody_left' AND target = $1",
        made.id,
    )


async def test_a_missed_arrival_is_said_once_and_two_watches_ask_one(total: Total) -> None:
    centre = Centre(total, "late")
    await centre.prepare(expert("a", "furnace"), expert("b", "furnace"), expert("c", "furnace"))
    made = await centre.assign()
    await asyncio.gather(*(Centre(total, "late").desk.watch() for _ in range(3)))
    centre.clock.advance(60_000)
    await asyncio.gather(*(Centre(total, "late").desk.watch() for _ in range(3)))
    assert await centre.states() == [("a", "lapsed"), ("b", "offered")]
    live = (await centre.rows.listed(ALL, "late", None, True))[0]
    await centre.desk.move(live.id, "accept", "", "b", ALL)
    centre.clock.advance(600_000)
    assert [await centre.desk.watch(), await centre.desk.watch()] == [1, 0]
    assert (await centre.rows.listed(ALL, "late", None, True))[0].missed
    assert made.chain == live.chain


async def test_a_tenants_people_go_to_that_tenants_factories_only(total: Total) -> None:
    centre = Centre(total, "theirs")
    await total.tenants.add("north", Text(zh="北", en="North"), "t")
    await centre.prepare(expert("mine", "furnace"), expert("n", "furnace", tenant="north"))
    await total.tenants.give("theirs", "north", "t")
    assert (await centre.assign()).resource == "n"
    other = Scope(frozenset({"default"}))
    refused = await centre.desk.assign(Asked("theirs", "i", (), None, 60, 600), "x", other)
    assert isinstance(refused, Rejected)
    assert refused.code == "unknown_incident"
    [live] = await centre.rows.listed(ALL, "theirs", None, True)
    assert isinstance(await centre.desk.move(live.id, "accept", "", "x", other), Rejected)
    assert await centre.rows.listed(other, "theirs", None, False) == []
    taken = await centre.desk.put_resource(expert("n", tenant="default"), "x", other)
    assert isinstance(taken, Rejected)


async def test_nobody_takes_over_a_resource_however_many_there_are(total: Total) -> None:
    centre = Centre(total, "many")
    await total.tenants.add("north", Text(zh="北", en="North"), "t")
    await centre.prepare(expert("z-theirs", "furnace", tenant="north"))
    await total.pool.execute(
        "INSERT INTO resource (id, tenant, kind, names, skills, site, available, contact, "
        "changed_at) SELECT 'a-' || n, 'default', 'expert', '{}', '[]', '', false, '', 1 "
        "FROM generate_series(1, 600) n"
    )
    mine = Scope(frozenset({"default"}))
    taken = await centre.desk.put_resource(expert("z-theirs", "robots"), "x", mine)
    assert isinstance(taken, Rejected)
    assert taken.code == "unknown_resource"
    kept = await total.pool.fetchrow("SELECT * FROM resource WHERE id = 'z-theirs'")
    assert kept is not None
    assert (kept["tenant"], kept["skills"]) == ("north", ["furnace"])
    own = expert("z-theirs", "cranes", tenant="north")
    assert await centre.desk.put_resource(own, "x", ALL) is None
    said = await total.pool.fetchval(
        "SELECT count(*) FROM audit WHERE action = 'resource_put' AND target = 'z-theirs'"
    )
    assert said == 2
    await total.pool.execute("DELETE FROM resource")


async def test_factories_by_urgency(total: Total) -> None:
    now = total.clock.now_ms()
    for site, worst, told in (("calm", None, 0), ("busy", 2, 14), ("grave", 1, 1)):
        teller = Teller(total, f"u-{site}")
        summary = FactorySummary(
            site=f"u-{site}", names={}, active=told, unacked=told, worst_priority=worst,
            edges_online=1, edges_total=1,
        )  # fmt: skip
        await teller.say(
            (now, summary),
            *(
                transition(f"{n}", 1, "raised", raised_at=now // 600_000 * 600_000 + n)
                for n in range(told)
            ),
        )
    view = DispatchView(
        DispatchStore(total.pool), total.records, total.clock, lambda _: now, lambda _: True
    )
    found = [f for f in (await view.factories(ALL)).factories if f.site.startswith("u-")]
    scores = {each.site: each.parts for each in found}
    assert [each.site for each in found][-1] == "u-calm"
    assert scores["u-busy"]["flood"] == 140
    assert scores["u-grave"]["priority"] == 400
    assert scores["u-calm"] == {}
    assert all(each.score == sum(each.parts.values()) for each in found)


class _Rollouts:
    """Keeps what a push begins; the roll-out itself has tests of its own."""

    def __init__(self) -> None:
        self.begun: list[tuple[Sequence[Change], str]] = []

    async def begin_changes(
        self, tx: Any, changes: Sequence[Change], policy: str, reason: str, actor: str, /
    ) -> Any:
        self.begun.append((changes, actor))
        return type("Plan", (), {"id": "plan-1"})()


async def test_a_push_is_looked_at_before_and_refuses_a_picture_that_changed(
    total: Total,
) -> None:
    def tuning(limit: float, **bounds: float) -> dict[str, Any]:
        held = {"limit_max": 100.0, "on_delay_max_ms": 20_000, "step": 1.0} | bounds
        setting = {"limit": limit, "deadband": 1.0, "on_delay_s": 5.0, "off_delay_s": 0.0}
        return {"setting": setting, "bounds": held, "side": "HI", "unit": "m3/h"}

    async def stand(version: str, limit: float) -> None:
        for site in ("p1", "p2"):
            points = {
                "F1.HI": ["e1", "P", "line", "valve", "flow", 2],
                "F2.HI": ["e2", "P", "line", "valve", "flow", 2],
                "T.HI": ["e1", "P", "line", "valve", "temperature", 2],
                "LOCKED": ["e1", "P", "line", "valve", "flow", 2],
            }
            told = AlarmPoints(
                site=site, version=version, part=1, parts=1, points=points,
                tuning={
                    "F1.HI": tuning(limit), "F2.HI": tuning(50, on_delay_max_ms=6_000),
                    "T.HI": tuning(1),
                },
            )  # fmt: skip
            await Teller(total, site).say((1, told))

    await stand("v1", 50)
    rollouts = _Rollouts()
    push = FleetPush(FleetStore(total.pool), total.records, rollouts)
    asked = PushRequest(sites=["p1", "p2"], tag_class="flow", on_delay_s=10, reason="chatter")
    seen = await push.preview(asked, ALL)
    assert seen.nodes == {"p1/e1": 1, "p2/e1": 1}
    assert (seen.changes, seen.refused) == (2, 2)
    why = {(p.site, p.alarm): p.refused for p in seen.points}
    assert why["p1", "F1.HI"] == ""
    assert why["p1", "F2.HI"] != ""
    assert ("p1", "LOCKED") not in why
    await stand("v2", 51)  # an engineer was faster
    stale = await push.push(asked.model_copy(update={"expect": seen.digest}), "chen", ALL)
    assert isinstance(stale, Rejected)
    assert stale.code == "preview_stale"
    seen = await push.preview(asked, ALL)
    begun = await push.push(asked.model_copy(update={"expect": seen.digest}), "chen", ALL)
    assert not isinstance(begun, Rejected)
    [(changes, _)] = rollouts.begun
    assert [(c.point.site, c.point.alarm, c.new.on_delay_ms) for c in changes] == [
        ("p1", "F1.HI", 10_000), ("p2", "F1.HI", 10_000),
    ]  # fmt: skip
    nothing = await push.preview(asked, Scope(frozenset({"north"})))
    assert nothing.points == []


async def test_rights_of_the_centre(total: Total) -> None:
    tokens = await people(
        total, {"watcher": [("viewer", "")], "sender": [("dispatcher", "default")]}
    )
    body = {"kind": "mobile", "name": {"zh": "吊车", "en": "Crane"}, "skills": ["lift"]}
    key = {"Idempotency-Key": "centre-0001"}

    async def put(client: httpx.AsyncClient, **more: Any) -> int:
        path = "/api/dispatch/resources/crane"
        return (await client.put(path, json=body | more, headers=key)).status_code

    async with asking(total, tokens["watcher"]) as client:
        assert await put(client) == 403
        assert (await client.get("/api/dispatch/factories")).status_code == 200
    async with asking(total, tokens["sender"]) as client:
        assert await put(client) == 200
        assert await put(client, tenant="north") in (404, 422)
        shown = (await client.get("/api/dispatch/resources")).json()["resources"]
        assert [each["id"] for each in shown if each["id"] == "crane"] == ["crane"]


async def test_a_day_of_history_is_no_flood_now(total: Total) -> None:
    at = total.clock.now_ms() // DAY * DAY - 2 * DAY
    told = [each for n in range(20) for each in episode(f"o{n}", at + n)]
    await Teller(total, "u-past").say(*told)
    rows = await DispatchStore(total.pool).plights(ALL, total.clock.now_ms())
    [mine] = [row for row in rows if row["site"] == "u-past"]
    assert (mine["ten"], mine["oldest"]) == (0, None)
