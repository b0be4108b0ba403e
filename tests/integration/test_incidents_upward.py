"""What the group hears of a factory's incidents: in their own commit, once a minute, never half."""

from __future__ import annotations

import pytest

from factory_brain.adapters.postgres.incident_told import IncidentTold
from factory_brain.application.incidents.upward import QUIET_MS, Upward
from factory_brain.domain.incidents.seen import incident_id
from shared.messages.bodies import AlarmPoints, IncidentRecord
from shared.messages.codec import decode, encode
from shared.messages.envelope import Event
from shared.postgres.outbox import PgOutbox
from tests.support.incident_world import ANNA, HIHI, World, change, ended

pytest_plugins = ("tests.support.incident_fixtures",)


def upward(plant: World) -> Upward:
    outbox = PgOutbox(plant.pool, "ep")

    async def forward(tx, events) -> None:
        await outbox.append_many(tx, "live", 1, [encode(event) for event in events])

    made = Upward(plant.site, plant.clock, IncidentTold(), forward)
    plant.store.on_put = made.written
    return made


async def said(plant: World) -> list[IncidentRecord | AlarmPoints]:
    rows = await plant.pool.fetch("SELECT event FROM outbox ORDER BY seq")
    return [decode(row["event"], Event).body for row in rows]  # type: ignore[misc]


async def test_an_opening_a_close_and_a_reopening_are_told_at_once(plant: World) -> None:
    upward(plant)
    await plant.send(change("a", 0), change("b", 5_000))
    await plant.settle()
    [opened] = await said(plant)
    assert isinstance(opened, IncidentRecord)
    name = incident_id("a")
    assert (opened.id, opened.status, opened.site) == (name, "open", "f1")
    assert (opened.occurrences, opened.alarms, opened.alarms_total) == (["a", "b"], [HIHI], 2)
    assert opened.names["zh"]
    await plant.send(ended("a", 9_000, 0), ended("b", 9_000, 5_000))
    await plant.settle()
    assert len(await said(plant)) == 1  # it only has other figures: within the minute
    await plant.desk.acknowledge(name, ANNA)
    cause = plant.site.incidents.causes[0].id
    assert await plant.desk.close(name, cause, "nuisance", "seal replaced", ANNA) == name
    await plant.desk.reopen(name, "again", ANNA)
    told = [each for each in await said(plant) if isinstance(each, IncidentRecord)]
    assert [each.status for each in told] == ["open", "acknowledged", "closed", "open"]
    assert (told[2].cause, told[2].outcome, told[2].standing) == (cause, "nuisance", 0)
    assert (told[2].comment, told[2].cause_names["zh"]) == (
        "seal replaced", plant.site.incidents.causes[0].name.zh,
    )  # fmt: skip
    assert [e.revision for e in told] == sorted({e.revision for e in told})


async def test_figures_alone_are_told_once_a_minute_and_the_last_ones_not_forgotten(
    plant: World,
) -> None:
    telling = upward(plant)

    async def sweep() -> int:
        async with plant.store.transaction() as tx:
            await plant.store.lock(tx)
            return await telling.sweep(tx)

    await plant.send(change("a", 0))
    await plant.settle()
    for n in range(5):
        await plant.send(change(f"b{n}", 1_000 + n))
        await plant.settle()
    assert await sweep() == 0
    assert len(await said(plant)) == 1
    plant.clock.advance(QUIET_MS)
    assert await sweep() == 1
    assert await sweep() == 0
    last = (await said(plant))[-1]
    assert isinstance(last, IncidentRecord)
    assert last.alarms_total == 6


async def test_a_flood_is_told_as_soon_as_it_is_one(plant: World) -> None:
    upward(plant)
    await plant.send(change("a", 0))
    await plant.settle()
    for n in range(12):
        await plant.send(change(f"b{n}", 1_000 + n))
    await plant.settle()
    told = [each for each in await said(plant) if isinstance(each, IncidentRecord)]
    assert [each.flood for each in told] == [False, True]
    assert told[1].alarms_total == 13


async def test_what_is_undone_was_not_told(plant: World) -> None:
    upward(plant)
    await plant.send(change("a", 0))
    await plant.settle()

    async def broken(*_: object) -> None:
        raise RuntimeError("killed before the commit")

    kept, plant.store.on_put = plant.store.on_put, broken
    with pytest.raises(RuntimeError, match="killed"):
        await plant.desk.acknowledge(incident_id("a"), ANNA)
    assert (await plant.one(incident_id("a"))).incident.status == "open"
    assert len(await said(plant)) == 1
    plant.store.on_put = kept
    await plant.desk.acknowledge(incident_id("a"), ANNA)
    assert len(await said(plant)) == 2


async def test_where_alarms_stand_is_told_once_and_again_when_it_changes(plant: World) -> None:
    telling = upward(plant)
    for expected in (True, False):
        async with plant.store.transaction() as tx:
            assert await telling.points(tx) is expected
    [told] = await said(plant)
    assert isinstance(told, AlarmPoints)
    assert set(told.points) == set(plant.site.alarms)
    edge, asset, process, _, tag_class, priority = told.points[HIHI]
    assert (edge, asset, tag_class, priority) == (
        "e1", "FUR-01", "temperature", plant.site.alarms[HIHI].priority,
    )  # fmt: skip
    assert process
    assert told.kinds[HIHI] == ["limit", "HIHI"]
