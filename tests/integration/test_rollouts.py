"""Roll-outs in stages over real tables, relays and edge handlers; killed at every commit."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from group_cloud.domain.rollout_plan import ENDED
from shared.errors import Rejected
from shared.postgres.pool import connect_pool
from tests.support.rollout_world import EDGES, FAST, NEW, OLD, TABLES, WANTED, World
from tests.support.servers import PostgresForTests

KILLS = int(os.environ.get("ANDON_ROLLOUT_KILLS", "8"))
"""Of all points of one roll-out, how many are tried here; 10000: every one."""


@pytest.fixture(scope="module")
def url(postgres: PostgresForTests, cloud_template: str) -> Iterator[str]:
    """One database for all tests here."""
    yield asyncio.run(postgres.copy(cloud_template, "rollouts"))
    asyncio.run(postgres.drop("rollouts", owner=False))


@pytest.fixture
async def pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    made = await connect_pool(url)
    await made.execute(f"TRUNCATE {TABLES} CASCADE")
    yield made
    await made.close()


async def test_through_all_stages_line_by_line_then_factory_then_all(pool: asyncpg.Pool) -> None:
    world = World(pool)
    await world.begin()
    reached: list[tuple[str, ...]] = []
    for _ in range(60):
        plan = await world.plan()
        now = world.running()
        changed = tuple(sorted(alarm for alarm in WANTED if now[alarm] == WANTED[alarm]))
        if not reached or reached[-1] != (plan.state, *changed):
            reached.append((plan.state, *changed))
        if plan.ended:
            break
        await world.turn()
    states = [state for state, _ in itertools.groupby(reached, key=lambda each: each[0])]
    assert states == ["dry_run", "shadow", "canary_line", "canary_factory", "all", "done"]
    most: dict[str, set[str]] = {}
    for state, *changed in reached:
        most[state] = set(changed)
    line, factory = {"CMP-01.TT-201.HI"}, {"FUR-01.TT-101.HI", "FUR-01.TT-102.HI"}
    assert most["dry_run"] == most["shadow"] == set()
    assert most["canary_line"] == line
    assert most["canary_factory"] == line | factory
    assert most["done"] == set(WANTED)
    detail = await world.desk.detail(world.plan_id)
    assert detail is not None
    assert [stage.state for stage in detail.stages] == ["passed"] * 5
    assert {r.status for r in detail.results} == {"applied"}
    actions = [r["action"] for r in await pool.fetch(
        "SELECT action FROM audit WHERE target = $1 ORDER BY id", world.plan_id)]  # fmt: skip
    assert actions == ["rollout_begun", *["rollout_entered"] * 5, "rollout_done"]


async def test_more_alarms_than_forecast_take_the_canary_back_by_itself(
    pool: asyncpg.Pool,
) -> None:
    world = World(pool)
    await world.begin(per_day=4.0)
    await world.until("canary_line")
    while world.running()["CMP-01.TT-201.HI"] != 106.0:
        await world.turn()
    await world.raise_alarm("f1", "CMP-01.TT-201.HI", 5)
    plan = await world.until("rolled_back")
    assert (plan.code, plan.params["alarms"], plan.params["most"]) == ("rate_above_forecast", 5, 1)
    assert world.running() == world.stored() == OLD
    assert world.kind_for("f1", "e2") == "rollback"
    assert [e.applied for e in (world.edges["f1", "e1"], world.edges["f2", "e3"])] == [[], []]
    detail = await world.desk.detail(world.plan_id)
    assert detail is not None
    assert detail.why is not None
    assert "预测最多 1 次" in detail.why.zh
    assert "the forecast allows at most 1" in detail.why.en


async def test_a_recorded_fault_that_only_the_engineers_set_told_takes_it_back(
    pool: asyncpg.Pool,
) -> None:
    world = World(pool)
    await world.begin()
    await world.until("canary_factory")
    for _ in range(3):
        await world.turn()
    now = world.clock.now_ms()
    alarm = "FUR-01.TT-101.HI"
    await pool.execute(
        'INSERT INTO fault (site, id, revision, asset, line, start, "end", cause, actor, '
        "recorded_at, alarms, incident, withdrawn, received_at) VALUES "
        "('f1', 'fault-1', 1, 'FUR-01', '', $1, $2, 'leak', 'wang', $2, '[]', '', false, $2)",
        now, now + 60_000,
    )  # fmt: skip
    await pool.execute(
        "INSERT INTO shadow_count (site, edge, alarm, day, revision, since, until, coverage, "
        "digest, named, body, activations, standing, received_at) VALUES "
        "('f1', 'e1', $1, $2, 1, $3, $3, 1, '', '{}', $4, '', '', $3)",
        alarm, now // 86_400_000, now, {"engineer_only": [[now + 100, 0]]},
    )  # fmt: skip
    plan = await world.until("rolled_back")
    assert (plan.code, plan.params["alarm"], plan.params["faults"]) == (
        "fault_missed", alarm, ["fault-1"],
    )  # fmt: skip
    assert world.running() == world.stored() == OLD


async def test_an_edge_that_was_off_catches_up_and_never_sees_what_was_taken_back(
    pool: asyncpg.Pool,
) -> None:
    world = World(pool)
    await world.begin()
    late = world.edges["f2", "e3"]
    await world.until("canary_factory")
    late.online = False
    await world.until("all")
    for _ in range(8):
        await world.turn()
    assert (await world.plan()).hold == "no_answer_yet"
    late.online = True
    await world.until("done")
    assert world.running() == WANTED

    await pool.execute(f"TRUNCATE {TABLES} CASCADE")
    world = World(pool)
    await world.begin()
    late = world.edges["f2", "e3"]
    await world.until("canary_factory")
    late.online = False
    await world.until("all")
    for _ in range(4):
        await world.turn()
    await world.desk.act(world.plan_id, "abort", "not today", "zhao")
    for _ in range(8):
        await world.turn()
    plan = await world.plan()
    assert (plan.state, plan.hold, plan.hold_params["edges"]) == (
        "rolling_back", "taking_back", ["f2.e3"],
    )  # fmt: skip
    late.online = True
    await world.until("rolled_back")
    assert world.running() == world.stored() == OLD
    # The newest directive wins: the one that was taken back never reached it.
    assert late.applied == [late.limits()]


async def test_a_rollback_that_expired_on_the_way_is_signed_anew_until_the_edge_answers(
    pool: asyncpg.Pool,
) -> None:
    world = World(pool, replace(FAST, expires_s=90 * 86_400))
    await world.begin()
    await world.until("all")
    for _ in range(2):
        await world.turn()
    gone = world.edges["f2", "e3"]
    assert gone.limits() == {"LIN-01.TT-301.HI": 86.0}
    gone.online = False
    await world.desk.act(world.plan_id, "abort", "no", "zhao")
    for _ in range(3):
        await world.turn()
    await world.turn(8 * 86_400)  # longer than any directive lives
    gone.online = True
    await world.until("rolled_back")
    assert world.running() == world.stored() == OLD


async def test_paused_it_waits_yet_the_gate_watches_on(pool: asyncpg.Pool) -> None:
    world = World(pool)
    await world.begin(per_day=4.0)
    await world.until("canary_line")
    paused = await world.desk.act(world.plan_id, "pause", "shift change", "zhao")
    assert not isinstance(paused, Rejected)
    for _ in range(8):
        await world.turn()
    assert (await world.plan()).state == "paused"
    again = await world.desk.act(world.plan_id, "pause", "once more", "zhao")
    assert isinstance(again, Rejected)
    assert again.code == "rollout_state"
    await world.desk.act(world.plan_id, "resume", "go on", "zhao")
    await world.until("canary_factory")
    await world.turn()
    await world.turn()
    await world.desk.act(world.plan_id, "pause", "again", "zhao")
    await world.raise_alarm("f1", "CMP-01.TT-201.HI", 9)
    await world.until("rolled_back")
    assert world.running() == OLD


async def test_two_people_where_the_policy_wants_them(pool: asyncpg.Pool) -> None:
    world = World(pool, replace(FAST, four_eyes=True))
    await world.begin()
    for _ in range(3):
        await world.turn()
    assert (await world.plan()).state == "waiting"
    assert await pool.fetchval("SELECT count(*) FROM rollout") == 0
    same = await world.desk.act(world.plan_id, "agree", "me too", "li")
    assert isinstance(same, Rejected)
    assert same.code == "same_person"
    agreed = await world.desk.act(world.plan_id, "agree", "looked at it", "zhao")
    assert not isinstance(agreed, Rejected)
    assert (await world.until("done")).agreed_by == "zhao"
    lone = await world.begin()
    assert lone.state == "waiting"
    await world.turn(700)
    assert (await world.plan()).state == "expired"


async def test_one_roll_out_at_a_time_for_a_point(pool: asyncpg.Pool) -> None:
    world = World(pool)
    await world.begin()
    with pytest.raises(AssertionError, match="point_in_rollout"):
        await world.begin()


async def test_silence_of_a_canary_and_old_age_take_it_back(pool: asyncpg.Pool) -> None:
    world = World(pool)
    await world.begin()
    await world.until("shadow")
    world.edges["f1", "e2"].online = False
    await world.until("canary_line")
    await world.turn(31)
    await world.turn()
    plan = await world.plan()
    assert (plan.state, plan.code) == ("rolling_back", "no_answer")
    world.edges["f1", "e2"].online = True
    await world.until("rolled_back")
    assert world.running() == OLD

    await pool.execute(f"TRUNCATE {TABLES} CASCADE")
    world = World(pool)
    await world.begin()
    await world.until("canary_factory")
    world.edges["f2", "e3"].online = False
    await world.until("all")
    await world.turn(700)
    world.edges["f2", "e3"].online = True
    plan = await world.until("rolled_back")
    assert plan.code == "expired"
    assert world.running() == world.stored() == OLD


async def story(world: World, good: bool) -> dict[str, Any]:
    """One roll-out to its end, with an edge that is off for a while; what is left of it."""
    while not world.plan_id:
        try:
            await world.begin(per_day=4.0)
        except Exception as error:
            if type(error).__name__ != "KilledError":
                raise
            world.deaths += 1
            world.start_cloud()
            found = await world.plans.going()
            world.plan_id = found[0] if found else ""
    told = False
    for turn in range(120):
        plan = await world.plan()
        if plan.state in ENDED:
            break
        running = world.running()["FUR-01.TT-101.HI"] == 1236.0
        if not good and not told and running and plan.state == "canary_factory":
            await world.raise_alarm("f1", "FUR-01.TT-101.HI", 40)
            told = True
        world.edges["f2", "e3"].online = turn % 3 != 0
        await world.turn()
    plan = await world.plan()
    mixed = {
        edge: [each for each in e.applied if len({each[a] == OLD[a] for a in each}) > 1]
        for edge, e in world.edges.items()
    }  # fmt: skip
    return {
        "state": plan.state, "code": plan.code, "running": world.running(),
        "stored": world.stored(), "mixed": mixed,
        "open": await world.pool.fetchval(
            "SELECT count(*) FROM rollout WHERE status IN ('signed', 'sent', 'relayed')"
        ),
    }  # fmt: skip


@pytest.mark.parametrize("good", [True, False], ids=["continues", "rolls back"])
async def test_killed_at_any_commit_it_goes_on_to_the_same_end(
    pool: asyncpg.Pool, good: bool
) -> None:
    calm = World(pool)
    want = await story(calm, good)
    assert want["state"] == ("done" if good else "rolled_back")
    assert want["running"] == want["stored"] == (WANTED if good else OLD)
    assert want["mixed"] == {edge: [] for edge in EDGES}
    assert want["open"] == 0
    points = calm.fate.points
    kinds = {name.split(" directive_")[0] for name in points}
    assert {"before commit", "relay before commit", "edge after commit", "after put"} <= kinds
    for at in sorted(random.Random(7).sample(range(len(points)), min(KILLS, len(points)))):
        await pool.execute(f"TRUNCATE {TABLES} CASCADE")
        world = World(pool)
        world.fate.die_at = at
        assert await story(world, good) == want, (at, points[at])
        assert world.deaths == 1
    assert len(NEW) == 4
