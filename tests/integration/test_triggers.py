"""What starts playbooks, on a real PostgreSQL: each firing once, over restarts and two brains."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared.errors import StoreError
from shared.messages.bodies import LinkedEvent
from tests.support.trigger_world import ALARM, TriggerWorld, trigger_world

HOT = f"[{{id: hot, alarm: {ALARM}}}]"


@pytest.fixture
async def world(brain_url: str, tmp_path: Path) -> AsyncIterator[TriggerWorld]:
    async with trigger_world(brain_url, tmp_path) as made:
        yield made


async def test_check_07_a_thousand_alarms_on_one_furnace_are_one_run(world: TriggerWorld) -> None:
    names = [f"FUR-01.T{n}.HI" for n in range(1000)]
    world.site.bindings.alarms["zone-hot"] = names
    await world.book("[{id: hot, alarm: zone-hot}]", "{key: alarm.asset, mode: single}")
    for start in range(0, 1000, 200):
        await world.send(
            *(world.moved(f"o-{n}", alarm=names[n]) for n in range(start, start + 200))
        )
    await world.settle()
    assert await world.outcomes() == {"started": 1, "attached": 999}
    (run,) = await world.runs()
    count, joined = await world.store.joined(run, 5)
    assert (count, joined[0].alarm) == (999, names[999])
    shown = await world.pool.fetchval("SELECT count(*) FROM occurrence WHERE run = $1", run)
    assert shown == 1000
    assert (await world.store.fired_of("o-7", 10))[0][0].outcome == "attached"
    await world.end(run)
    await world.settle()
    assert len(await world.runs()) == 1  # who joined has had its answer
    await world.send(world.moved("o-new", alarm=names[3]))
    await world.settle()
    assert len(await world.runs()) == 2


async def test_a_committed_raise_starts_its_run_once_whatever_dies(world: TriggerWorld) -> None:
    await world.book(HOT)
    await world.send(world.moved("o-1"))
    real = world.triggers._after

    async def killed(_: object) -> None:
        raise RuntimeError("the process ends behind the commit")

    world.triggers._after = killed  # type: ignore[method-assign]
    with pytest.raises(RuntimeError):
        await world.triggers.round()
    world.triggers._after = real  # type: ignore[method-assign]
    again = world.brain()
    await again.look(await world.alarms.open_occurrences())
    await world.settle(again)
    await world.settle(world.brain())
    assert await world.outcomes() == {"started": 1}
    ids = await world.runs()
    # An older database is restored: the same raise starts the same run again, by its id.
    await world.pool.execute("DELETE FROM run")
    await world.pool.execute("DELETE FROM trigger_fired")
    await world.pool.execute("DELETE FROM feed_position")
    await world.settle(world.brain())
    assert await world.runs() == ids


async def test_two_brains_answer_each_alarm_once(world: TriggerWorld) -> None:
    await world.book(HOT, "{key: alarm.occurrence, mode: parallel, max: 100}")
    brains = [world.brain() for _ in range(3)]

    async def follow(which: int) -> None:
        for _ in range(30):
            try:
                await brains[which].round()
            except StoreError:
                continue
            await asyncio.sleep(0)

    async def feed() -> None:
        for n in range(60):
            await world.send(world.moved(f"o-{n}"))

    async with asyncio.timeout(60):
        await asyncio.gather(feed(), *(follow(n) for n in range(3)))
    await world.settle()
    assert await world.outcomes() == {"started": 60}
    assert len(await world.runs()) == 60


async def test_transitions_have_their_own_triggers(world: TriggerWorld) -> None:
    for word in ("raised", "acknowledged", "cleared", "shelved", "escalated"):
        await world.book(f"[{{id: t, alarm: {ALARM}, transition: {word}}}]", name=f"b-{word}")
    await world.send(world.moved("o-1"))
    await world.send(world.moved("o-1", "re_alarmed", version=2))
    await world.settle()
    await world.send(world.moved("o-1", "acknowledged", version=2, acked=True))
    await world.send(world.moved("o-1", "shelved", version=3, shelf="T"))
    await world.settle()
    await world.send(world.moved("o-1", "unshelved", version=4))
    await world.send(world.moved("o-1", "returned", version=5))
    await world.settle()
    rows = await world.pool.fetch("SELECT playbook, outcome FROM trigger_fired ORDER BY playbook")
    assert [tuple(row) for row in rows] == [
        (f"b-{word}", "started")
        for word in ("acknowledged", "cleared", "escalated", "raised", "shelved")
    ]


async def test_what_is_hidden_is_answered_when_it_shows_and_history_never(
    world: TriggerWorld,
) -> None:
    await world.book(HOT, "{key: alarm.occurrence}")
    await world.send(world.moved("o-1", suppressed=True))
    await world.settle()
    assert await world.outcomes() == {}
    await world.send(world.moved("o-1", "unsuppressed", version=2))
    await world.settle()
    assert await world.outcomes() == {"started": 1}
    old = world.clock.now_ms() - 600_000
    gone = world.moved("o-2", "returned", version=2, at=old + 5_000, raised_at=old)
    await world.send(world.moved("o-2", at=old), gone)
    await world.settle()
    assert await world.outcomes() == {"started": 1, "gone": 1}
    # Raised and gone a moment ago: that is no history, it gets its run.
    await world.send(world.moved("o-3"), world.moved("o-3", "returned", version=2))
    await world.settle()
    assert await world.outcomes() == {"started": 2, "gone": 1}


async def test_check_12_an_old_alarm_asks_first(world: TriggerWorld) -> None:
    await world.book(HOT, more="stale_after: 10m")
    await world.send(world.moved("o-1", at=world.clock.now_ms() - 3_600_000))
    await world.settle()
    run = await world.pool.fetchrow("SELECT context, control FROM run")
    assert run["context"]["stale_ms"] == 3_600_000
    assert run["control"]["outages"][0]["ms"] == 3_600_000  # as after an outage: it asks first


async def test_where_and_the_inputs_of_the_site(world: TriggerWorld) -> None:
    world.site.bindings.inputs["b"] = {"least": 1300}
    inputs = "inputs: {least: {type: number, default: 1200}}"
    where = f"[{{id: hot, alarm: {ALARM}, where: alarm.value > inputs.least}}]"
    await world.book(where, more=inputs)
    await world.send(world.moved("o-1"))
    await world.settle()
    assert await world.runs() == []
    world.site.bindings.inputs["b"] = {"least": 1250.5}
    await world.send(world.moved("o-2"))
    await world.settle()
    assert (await world.pool.fetchval("SELECT context FROM run"))["inputs"] == {"least": 1250.5}


async def test_check_15_for_goes_on_over_a_restart_and_ends_with_a_dip(
    world: TriggerWorld,
) -> None:
    await world.book(f"[{{id: hot, alarm: {ALARM}, for: 10s}}]", "{key: alarm.occurrence}")
    await world.send(world.moved("stood"), world.moved("dipped", alarm=ALARM))
    await world.settle()
    world.clock.advance(6_000)
    await world.send(world.moved("dipped", "returned", version=2))
    brain = world.brain()  # a restart at 6 s
    await world.settle(brain)
    world.clock.advance(3_900)
    await world.settle(brain)
    assert await world.runs() == []
    world.clock.advance(100)
    await world.settle(brain)
    assert await world.outcomes() == {"started": 1, "dipped": 1}
    assert await world.pool.fetchval("SELECT occurrence FROM run") == "stood"
    assert await world.pool.fetchval("SELECT started_at - (context->'alarm'->>'raised_at')::bigint "
                                     "FROM run") == 10_000  # fmt: skip


async def test_for_and_a_shelf(world: TriggerWorld) -> None:
    await world.book(f"[{{id: hot, alarm: {ALARM}, for: 10s}}]")
    await world.send(world.moved("o-1"))
    await world.settle()
    raised = world.clock.now_ms()
    world.clock.advance(5_000)
    await world.send(world.moved("o-1", "shelved", version=2, shelf="T", raised_at=raised))
    world.clock.advance(6_000)
    await world.settle()
    assert await world.outcomes() == {}
    await world.send(world.moved("o-1", "unshelved", version=3, raised_at=raised))
    await world.settle()
    assert await world.outcomes() == {"started": 1}  # it stood all the time


async def test_a_throttle_outlives_a_restart(world: TriggerWorld) -> None:
    after = "throttle: {once_after: 10s, by: alarm.asset}"
    await world.book(f"[{{id: hot, alarm: {ALARM}, {after}}}]", "{key: alarm.occurrence}")
    for n in range(3):
        await world.send(world.moved(f"o-{n}"), world.moved(f"x-{n}", asset="FUR-02"))
        world.clock.advance(1_000)
    await world.settle()
    brain = world.brain()
    world.clock.advance(6_000)
    await world.settle(brain)
    assert await world.outcomes() == {"throttled": 6}
    world.clock.advance(1_500)
    await world.settle(brain)
    assert await world.outcomes() == {"started": 2, "throttled": 4}
    rows = await world.pool.fetch("SELECT occurrence, context->>'gathered' AS n FROM run")
    assert sorted(tuple(row) for row in rows) == [("o-2", "3"), ("x-2", "3")]
    within = "throttle: {once_within: 10s}"
    await world.book(f"[{{id: hot, alarm: {ALARM}, {within}}}]", name="c")
    for n in range(3):
        await world.send(world.moved(f"w-{n}"))
        await world.settle(world.brain())
    found = "SELECT outcome FROM trigger_fired WHERE playbook = 'c' ORDER BY n"
    outcomes = [row["outcome"] for row in await world.pool.fetch(found)]
    assert outcomes == ["started", "throttled", "throttled"]


async def test_check_15_a_brain_that_was_down_waits_for_what_the_edge_still_has_to_say(
    world: TriggerWorld,
) -> None:
    await world.book(f"[{{id: hot, alarm: {ALARM}, for: 10s}}]")
    raised = world.clock.now_ms()
    await world.send(world.moved("o-1"))
    await world.settle()
    world.clock.advance(14_000)
    brain = world.brain()
    brain.times.heard = lambda _: False
    await world.settle(brain)
    assert await world.runs() == []
    await world.send(world.moved("o-1", "returned", version=2, at=raised + 8_000,
                                 raised_at=raised))  # fmt: skip
    await world.settle(brain)
    assert await world.outcomes() == {"dipped": 1}


async def test_check_15_cron_fires_each_minute_once_in_all_brains(world: TriggerWorld) -> None:
    await world.book('[{id: c, cron: "*/5 * * * *"}]', "{key: run, mode: parallel, max: 100}",
                     more="stale_after: 10m")  # fmt: skip
    brains = [world.brain(), world.brain()]
    for _ in range(16):
        for brain in brains:
            await world.settle(brain)
        world.clock.advance(60_000)
    assert await world.outcomes() == {"started": 3}
    world.clock.advance(31 * 60_000)  # both were down
    brains = [world.brain(), world.brain()]
    for brain in brains:
        await world.settle(brain)
    found = await world.outcomes()
    assert found["started"] == 4  # the newest of those that were missed
    assert found["missed"] in (5, 6)


async def test_events_incidents_and_chains(world: TriggerWorld) -> None:
    many = "{key: alarm.event, mode: parallel, max: 100}"
    await world.book("[{id: e, event: batch.done}]", many, name="b-link")
    await world.book("[{id: e, event: made.hot}]", many, name="b-emit")
    for word in ("opened", "escalated", "closed"):
        await world.book(f"[{{id: i, incident: {word}}}]", many, name=f"b-{word}")
    await world.settle()
    linked = LinkedEvent(link="mes", kind="batch.done", asset="FUR-01", value=3.0)
    await world.send(linked, LinkedEvent(link="mes", kind="other", asset="FUR-01"))
    await world.settle()
    context = await world.pool.fetchval("SELECT context FROM run WHERE playbook = 'b-link'")
    assert context["alarm"]["asset"] == "FUR-01"
    run = (await world.runs())[0]
    emitted = (
        "INSERT INTO emitted (id, run, path, type, data, at) VALUES ($1, $2, '/steps/e', "
        "'made.hot', '{\"asset\": \"FUR-02\"}', $3)"
    )
    await world.pool.execute(emitted, "x:1", run, world.clock.now_ms())
    await world.settle()
    second = await world.pool.fetchrow("SELECT id, context FROM run WHERE playbook = 'b-emit'")
    assert (second["context"]["chain"], second["context"]["alarm"]["asset"]) == (1, "FUR-02")
    for n in range(2, 12):  # a loop of playbooks that answer one another ends
        newest = await world.pool.fetchval(
            "SELECT id FROM run WHERE playbook = 'b-emit' ORDER BY (context->>'chain')::int DESC"
        )
        await world.pool.execute(emitted, f"x:{n}", newest, world.clock.now_ms())
        await world.settle()
    assert (await world.outcomes())["too_deep"] == 3
    incident = (
        "INSERT INTO incident (id, status, first_at, last_at, first_out, asset, priority, alarms, "
        "standing, unacked, settled, flood, owner, opened_at, acknowledged_by, contained_by, "
        "closed_by, cause, outcome, reopened, changed) VALUES ('i', $1, 1, $3, '[\"o-9\"]', 'A', "
        "$2, 1, 1, 1, false, false, '', 1, '', '', '', '', '', 0, nextval('incident_change')) "
        "ON CONFLICT (id) DO UPDATE SET status = $1, priority = $2, changed = excluded.changed"
    )
    for status, priority in (("open", 3), ("open", 2), ("open", 2), ("closed", 2)):
        await world.pool.execute(incident, status, priority, world.clock.now_ms())
        await world.settle()
    rows = await world.pool.fetch("SELECT playbook FROM run WHERE playbook LIKE 'b-%ed' ORDER BY 1")
    assert [row["playbook"] for row in rows] == ["b-closed", "b-escalated", "b-opened"]


async def test_what_newly_answers_a_standing_alarm_does_so_at_once_and_only_once(
    world: TriggerWorld,
) -> None:
    await world.send(world.moved("o-1"))
    await world.settle()
    hot = f"[{{id: hot, alarm: {ALARM}, where: 'alarm.value > inputs.least'}}]"
    await world.book(hot, more="inputs: {least: {type: number, default: 2000}}")
    await world.book("[{id: named, alarm: overheated}]", name="bound")
    await world.triggers.catch_up()
    assert not await world.runs()
    # An input is set, and the site's file gives the code a meaning: no transition tells of either.
    world.releases.chosen = {"b": {"least": 1000}}
    await world.triggers.catch_up()
    assert await world.outcomes() == {"started": 1}
    world.site.bindings.alarms["overheated"] = [ALARM]
    world.releases.site_taken()
    await world.triggers.catch_up()
    assert await world.outcomes() == {"started": 2}
    # Released again, put back, or seen by another brain: it was answered.
    world.releases.withdraw("b")
    await world.book(hot, more="inputs: {least: {type: number, default: 900}}")
    for brain in (world.triggers, world.brain()):
        await brain.catch_up()
        await world.settle(brain)
    assert await world.outcomes() == {"started": 2}


async def test_an_alarm_that_stands_since_long_before_its_playbook_is_asked_about_first(
    world: TriggerWorld,
) -> None:
    await world.send(world.moved("o-1"))
    world.clock.advance(600_000)
    await world.book(f"[{{id: t, alarm: {ALARM}, for: 5s}}]", more="stale_after: 5m")
    await world.triggers.catch_up()
    assert not await world.runs()  # it is held, as any alarm of this trigger
    await world.settle()
    (run,) = await world.runs()  # its time has long passed: it counts from the raise
    context = await world.pool.fetchval("SELECT context FROM run WHERE id = $1", run)
    assert context["stale_ms"] == 600_000
