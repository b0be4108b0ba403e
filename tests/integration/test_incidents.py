"""Alarms become incidents on a real PostgreSQL: late data, kills, several brains, marks, floods.

Events come through the real receiver; a restart is a new correlator on the same store.
"""

from __future__ import annotations

import random
from typing import Any

import pytest

from factory_brain.adapters.postgres.feed import Feed, FeedMovedError
from factory_brain.application.incidents.correlator import Correlator
from factory_brain.domain.incidents.seen import incident_id
from shared.messages.bodies import AlarmTransition
from tests.support.incident_world import (
    ANNA,
    DOOR,
    EMPTY,
    HIHI,
    NOW,
    ZONE2,
    World,
    change,
    ended,
)

pytest_plugins = ("tests.support.incident_fixtures",)


async def test_alarms_become_one_incident_and_children_stand_behind_their_parent(
    plant: World,
) -> None:
    await plant.send(change("a", 0), change("b", 5_000, ZONE2), change("c", 9_000, DOOR))
    await plant.settle()
    members = await plant.members()
    assert {each.incident for each in members.values()} == {incident_id("a")}
    assert members["a"].shown.first_out == "first"
    assert members["b"].shown.hidden_behind == HIHI
    assert members["c"].shown.hidden_behind == ""
    row = (await plant.one(incident_id("a"))).incident
    assert (row.status, row.alarms, row.standing, row.asset) == ("open", 3, 3, "FUR-01")
    # The parent ends: its child still stands and comes back.
    await plant.send(ended("a", 20_000, 0))
    await plant.settle()
    assert (await plant.members())["b"].shown.hidden_behind == ""
    kinds = [each.kind for each in await plant.reads.entries(incident_id("a"))]
    assert kinds.count("alarm_hidden") == kinds.count("alarm_came_back") == 1


async def test_a_recovery_is_not_hidden_behind_the_parent(plant: World) -> None:
    await plant.send(change("a", 0), change("b", 5_000, ZONE2))
    await plant.settle()
    gone = change("b", 9_000, ZONE2, active=False, version=2, raised=5_000)
    await plant.send(gone)
    await plant.settle()
    member = (await plant.members())["b"]
    assert member.seen.open
    assert member.shown.hidden_behind == ""


async def test_times_that_clocks_cannot_tell_apart_are_a_tie(plant: World) -> None:
    unsure: dict[str, Any] = {"clock_offset_ms": 0.0, "clock_uncertainty_ms": 30.0}
    await plant.send(change("a", 0, **unsure), change("b", 50, ZONE2, **unsure))
    await plant.settle()
    marks = {name: each.shown.first_out for name, each in (await plant.members()).items()}
    assert marks == {"a": "tie", "b": "tie"}
    assert (await plant.one(incident_id("a"))).first_alarms == (HIHI, ZONE2)


async def test_a_late_earlier_alarm_renames_the_incident_and_loses_nothing(plant: World) -> None:
    await plant.send(change("b", 5_000))
    await plant.settle()
    old = incident_id("b")
    assert await plant.desk.acknowledge(old, ANNA) == old
    assert await plant.desk.note(old, "looked at the burner", ANNA) == old
    await plant.send(change("a", -60_000, DOOR), edge="e2")
    await plant.settle()
    new = (await plant.one(old)).incident  # the old name leads to the new one
    assert new.id == incident_id("a")
    assert (new.status, new.acknowledged_by, new.alarms) == ("acknowledged", "anna", 2)
    kinds = [each.kind for each in await plant.reads.entries(new.id)]
    assert {"incident_note", "incident_renamed"} <= set(kinds)


async def test_any_order_of_arrival_ends_in_the_same_rows(plant: World) -> None:
    chance = random.Random(11)
    definitions = list(plant.site.alarms.values())
    bodies: dict[str, AlarmTransition] = {}
    for index in range(60):
        one = chance.choice(definitions)
        at = chance.randrange(3_000) * 1_000
        name = f"o{index:02}"
        bodies[name] = change(name, at, one.id, asset=one.asset, priority=one.priority)
    expected: dict[str, Any] | None = None
    for seed in range(3):
        await plant.pool.execute(EMPTY)
        plant.seq.clear()
        plant.correlator = plant.brain()
        order = list(bodies.values())
        random.Random(seed).shuffle(order)
        while order:
            size = chance.randrange(1, 12)
            batch, order = order[:size], order[size:]
            await plant.send(*batch)
            if chance.random() < 0.7:
                await plant.settle()
            if chance.random() < 0.3:
                plant.correlator = plant.brain()  # killed and started again
        await plant.settle()
        members = await plant.members()
        found = {
            "members": {n: (m.incident, m.place, m.shown.first_out) for n, m in members.items()},
            "incidents": {
                each.incident.id: (
                    each.incident.alarms, each.incident.first_at, each.incident.last_at,
                    each.incident.first_out, each.incident.asset, each.incident.flood,
                )
                for each in await plant.reads.page("all", 1000, None)
            },
        }  # fmt: skip
        expected = expected or found
        assert found == expected
    assert expected is not None
    assert len(expected["members"]) == 60
    assert 1 < len(expected["incidents"]) < 60


async def test_a_kill_before_the_commit_leaves_nothing_and_loses_nothing(plant: World) -> None:
    await plant.send(change("a", 0))
    note, plant.store.note = plant.store.note, _killed  # type: ignore[method-assign]
    with pytest.raises(_KilledError):
        await plant.correlator.round()
    assert await plant.members() == {}
    plant.store.note = note  # type: ignore[method-assign]
    plant.correlator = plant.brain()
    await plant.settle()
    assert set(await plant.members()) == {"a"}
    assert (await plant.one(incident_id("a"))).incident.alarms == 1


class _KilledError(Exception):
    pass


async def _killed(*_: Any) -> None:
    raise _KilledError


async def test_of_two_brains_one_does_the_round(plant: World) -> None:
    other = plant.brain()
    await plant.send(*(change(f"o{i}", i * 1000) for i in range(20)))
    async with plant.store.transaction() as tx:
        await plant.store.lock(tx)
        assert await other.round() == 0  # somebody else is at it
    for _ in range(6):
        for each in (plant.correlator, other):
            try:
                await each.round()
            except FeedMovedError:
                continue
    assert len(await plant.members()) == 20
    opened = await plant.pool.fetchval(
        "SELECT count(*) FROM incident_entry WHERE kind = 'incident_opened'"
    )
    assert opened == 1


async def test_alarms_that_stood_before_there_were_incidents_are_taken_in(plant: World) -> None:
    await plant.send(change("a", 0))
    feed = Feed(plant.pool, "later", begin="now")
    fresh = Correlator(plant.rules, plant.clock, plant.store, feed)
    await fresh.round()
    assert set(await plant.members()) == {"a"}


async def test_marks_come_and_go(plant: World) -> None:
    for index in range(3):
        at = index * 20_000
        await plant.send(change(f"x{index}", at, DOOR))
        if index < 2:
            await plant.send(ended(f"x{index}", at + 1_000, at, DOOR))
    plant.clock.advance(41_000)
    await plant.settle()
    assert (await plant.members())["x2"].shown.marks == ("chattering",)
    plant.clock.advance(700_000)
    await plant.correlator.round()
    assert (await plant.members())["x2"].shown.marks == ()
    plant.clock.advance(86_400_000)
    await plant.correlator.round()
    assert (await plant.members())["x2"].shown.marks == ("stale",)


async def test_a_flood_marks_the_incidents_in_it(plant: World) -> None:
    names = list(plant.site.alarms)[:11]
    await plant.send(
        *(change(f"f{i}", i * 1_000, name) for i, name in enumerate(names)),
        change("late", 7_200_000, DOOR),
    )
    await plant.settle()
    found = {
        each.incident.id: each.incident.flood for each in await plant.reads.page("all", 9, None)
    }
    assert found == {incident_id("f0"): True, incident_id("late"): False}


async def test_a_clock_in_another_year_does_not_make_the_past_anew(plant: World) -> None:
    day = 86_400_000
    await plant.send(change("old", -400 * day), change("mid", -200 * day), change("new", 0))
    await plant.settle()
    before = {name: (m.incident, m.place) for name, m in (await plant.members()).items()}
    await plant.send(change("x", -NOW, DOOR), change("y", -NOW + 1_000, ZONE2), edge="e2")
    await plant.send(change("z", -400 * day + 1_000, DOOR))
    await plant.settle()
    after = {name: (m.incident, m.place) for name, m in (await plant.members()).items()}
    assert {name: after[name] for name in before} == before
    assert after["x"][0] == after["y"][0] == incident_id("x")
    assert after["z"][0] == incident_id("old")
