"""What people do with incidents, on a real PostgreSQL: life, labels, making one of two."""

from __future__ import annotations

from typing import Any

from factory_brain.application.incidents.desk import By
from factory_brain.domain.incidents.seen import incident_id
from shared.errors import Rejected
from tests.support.incident_world import ANNA, ZONE2, World, change, ended

pytest_plugins = ("tests.support.incident_fixtures",)


async def test_the_life_of_an_incident_with_its_labels(plant: World) -> None:
    await plant.send(change("a", 0), change("b", 5_000, ZONE2))
    await plant.settle()
    name = incident_id("a")
    desk = plant.desk

    async def refused(act: Any) -> Rejected:
        found = await act
        assert isinstance(found, Rejected)
        return found

    assert (await refused(desk.close(name, "burner", "true", "", ANNA))).code == (
        "incident_wrong_status"
    )
    assert await desk.own(name, "bert", ANNA) == name
    assert await desk.contain(name, "gas valve shut", ANNA) == name
    standing = await refused(desk.close(name, "burner", "true", "", ANNA))
    assert (standing.code, standing.params["standing"]) == ("incident_standing", 2)
    await plant.send(ended("a", 20_000, 0), ended("b", 30_000, 5_000, ZONE2))
    await plant.settle()
    row = (await plant.one(name)).incident
    assert row.settled  # proposed; people decide
    assert row.status == "contained"
    assert (await refused(desk.close(name, "ghosts", "true", "", ANNA))).code == "unknown_cause"
    plant.clock.advance(100_000)
    assert await desk.close(name, "burner", "true", "valve stuck", ANNA) == name
    async with plant.reads.to_label(10) as waiting:
        assert {(w.occurrence, w.outcome, w.cause) for w in waiting} == {
            ("a", "true", "burner"), ("b", "true", "burner"),
        }  # fmt: skip
    async with plant.reads.to_label(10) as waiting:
        assert waiting == []
    # What comes after it was closed is another incident.
    await plant.send(change("c", 110_000))
    await plant.settle()
    assert (await plant.members())["c"].incident == incident_id("c")
    assert await desk.reopen(name, "came back", ANNA) == name
    assert (await plant.one(name)).incident.status == "open"
    elsewhere = By("zoe", lambda asset: asset != "FUR-01")
    assert (await refused(desk.note(name, "hello", elsewhere))).code == "not_allowed_here"
    assert (await refused(desk.note("INC-0", "hello", ANNA))).code == "unknown_incident"
    acts = [row[2] for row in plant.audited]
    assert acts == [
        "incident_own", "incident_contain", "incident_close", "incident_reopen",
    ]  # fmt: skip


async def test_what_people_closed_long_ago_goes_and_nothing_else(plant: World) -> None:
    """Of five closed ones two are one and one waits for labels; one is only settled, one stands."""
    day, places = 86_400_000, ("A", "B", "C", "D", "E", "F", "G")
    for index, place in enumerate(places):
        await plant.send(change(f"o{place}", index * 1000, f"{place}.X", asset=f"{place}-0{index}"))
    await plant.settle()
    names = {place: incident_id(f"o{place}") for place in places}
    assert await plant.desk.merge(names["B"], names["A"], ANNA) == names["A"]
    for index, place in enumerate(places[:6]):
        await plant.send(ended(f"o{place}", 50_000, index * 1000, f"{place}.X"))
    await plant.settle()
    plant.clock.advance(60_000)
    for place in "ACDE":
        assert await plant.desk.acknowledge(names[place], ANNA) == names[place]
        assert await plant.desk.close(names[place], "burner", "true", "", ANNA) == names[place]
    async with plant.reads.to_label(10, ["oE"]) as waiting:
        assert len(waiting) == 4
    assert await plant.store.forget(plant.clock.now_ms() - day) == 0
    plant.clock.advance(2 * day)
    assert await plant.store.forget(plant.clock.now_ms() - day, most=2) == 4
    kept = {names["E"], names["F"], names["G"]}
    for query in (
        "SELECT id FROM incident", "SELECT incident FROM incident_member",
        "SELECT incident FROM incident_entry",
    ):  # fmt: skip
        assert {row[0] for row in await plant.pool.fetch(query)} == kept, query
    assert await plant.pool.fetchval("SELECT count(*) FROM incident_join") == 0
    assert await plant.pool.fetchval("SELECT count(*) FROM occurrence") == 7
    assert await plant.store.forget(plant.clock.now_ms() - day) == 0
    await plant.settle()
    assert set(await plant.members()) == {"oE", "oF", "oG"}


async def test_people_make_one_incident_of_two(plant: World) -> None:
    await plant.send(change("a", 0), change("z", 1_000, "CMP-01.PT-202.LO", asset="CMP-01"))
    await plant.settle()
    one, other = incident_id("a"), incident_id("z")
    assert await plant.desk.acknowledge(one, ANNA) == one
    assert await plant.desk.merge(other, one, ANNA) == one
    row = (await plant.one(other)).incident
    assert (row.id, row.status, row.alarms, row.asset) == (one, "open", 2, "F1")
    # What belongs to the second is now part of the first; also after a late one.
    await plant.send(change("y", 500, "CMP-01.TT-201.HI", asset="CMP-01"))
    await plant.settle()
    members = await plant.members()
    assert {each.incident for each in members.values()} == {one}
    same = await plant.desk.merge(other, one, ANNA)
    assert isinstance(same, Rejected)
    assert same.code == "incident_same"
