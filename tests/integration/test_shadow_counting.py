"""Shadow counting at the brain on a real PostgreSQL: days, late data, kills, faults, labels."""

from __future__ import annotations

import asyncio
import struct

import pytest

from factory_brain.adapters.shadow_process import ShadowProcess
from factory_brain.application.shadow.faults import By, Telling
from factory_brain.domain.faults import Fault
from factory_brain.domain.shadow import DAY_MS
from shared.alarm.episodes import episodes
from shared.alarm.grid import Grid
from shared.errors import Rejected
from shared.messages.bodies import FaultRecord, OutcomeRecord, ShadowCounts, ShadowVerdicts
from tests.support.incident_world import ANNA, NOW, change, ended
from tests.support.shadow_world import HI, TODAY, ZONE2, Shadow, wandering

pytest_plugins = ("tests.support.shadow_fixtures",)
HOUR, MINUTE = 3_600_000, 60_000


def direct(rows: list[tuple[int, float]], grid: Grid, index: int, day: int) -> int:
    """Raises of one candidate on a day, by the kernel that runs live, sample by sample."""
    told = episodes(
        [at for at, _ in rows], [v for _, v in rows], grid.setting(index), grid.side,
        until=(day + 1) * DAY_MS,
    )  # fmt: skip
    return sum(day * DAY_MS <= began < (day + 1) * DAY_MS for began, _ in told)


def holds(body: ShadowCounts, rows: list[tuple[int, float]]) -> None:
    grid = Grid.from_dict(body.grid)
    found = struct.unpack(f"<{len(grid)}i", body.activations)
    for index in range(0, len(grid), max(1, len(grid) // 20)):
        assert found[index] == direct(rows, grid, index, body.day), grid.setting(index)


async def test_each_finished_day_is_counted_once_and_as_counting_directly_would(
    shadow: Shadow,
) -> None:
    limit = shadow.site.alarms[HI].setting.limit
    rows = [
        *await shadow.store("TT-101", wandering(TODAY - 2, limit, 1)),
        *await shadow.store("TT-101", wandering(TODAY - 1, limit, 2)),
    ]
    await shadow.store("TT-101", wandering(TODAY, limit, 3)[:60])
    await shadow.nominate(HI)
    assert await shadow.job().round() == 2
    first, second = await shadow.said(ShadowCounts)
    assert [first.day, second.day] == [TODAY - 2, TODAY - 1], "today is not over"
    holds(first, rows)
    holds(second, rows)
    assert first.grid == second.grid, "days of one point add up"
    assert first.coverage == pytest.approx(1.0, abs=0.01)
    assert set(first.named) == {"live", "engineer"}
    assert first.named["live"] == first.named["engineer"]
    assert await shadow.job().round() == 0
    assert len(await shadow.said(ShadowCounts)) == 2


async def test_the_named_sets_are_the_sites_the_directives_and_the_one_on_trial(
    shadow: Shadow,
) -> None:
    own = shadow.site.alarms[HI].setting
    await shadow.store("TT-101", wandering(TODAY - 1, own.limit, 2))
    pushed = {"limit": own.limit + 8, "deadband": 0.0, "on_delay_s": 300.0, "off_delay_s": 0.0}
    await shadow.world.pool.execute(
        "INSERT INTO alarm_setting (alarm, setting, version, at) VALUES ($1, $2, 7, 0)", HI, pushed
    )
    await shadow.nominate(HI, candidate={**pushed, "limit": own.limit + 12})
    await shadow.job().round()
    [body] = await shadow.said(ShadowCounts)
    assert body.settings["live"]["limit"] == own.limit + 8
    assert body.settings["engineer"]["limit"] == own.limit
    assert body.settings["candidate"]["limit"] == own.limit + 12
    assert body.named["engineer"][0] > body.named["live"][0] >= body.named["candidate"][0]
    assert len(body.engineer_only) > 0


async def test_a_round_that_is_cut_short_goes_on_and_counts_nothing_twice(shadow: Shadow) -> None:
    for tag, alarm in (("TT-101", HI), ("TT-102", ZONE2)):
        limit = shadow.site.alarms[alarm].setting.limit
        for day in (TODAY - 2, TODAY - 1):
            await shadow.store(tag, wandering(day, limit, day))
    await shadow.nominate(HI, ZONE2)
    reached = asyncio.Event()

    async def stuck() -> None:
        if shadow.here.asked == 3:
            reached.set()
            await asyncio.Event().wait()

    shadow.here.before = stuck
    killed = asyncio.create_task(shadow.job().run())
    await asyncio.wait_for(reached.wait(), 20)
    killed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await killed
    assert len(await shadow.said(ShadowCounts)) == 2
    shadow.here.before = None
    # The power goes at the very end of a count's transaction: nothing of it stands.
    shadow.up.breaks = 1
    with pytest.raises(ConnectionError):
        await shadow.job().round()
    assert len(await shadow.said(ShadowCounts)) == 2
    assert await shadow.job().round() == 2
    said = [(body.alarm, body.day) for body in await shadow.said(ShadowCounts)]
    wanted = {(alarm, day) for alarm in (HI, ZONE2) for day in (TODAY - 2, TODAY - 1)}
    assert len(said) == len(set(said)) == 4
    assert set(said) == wanted


async def test_two_brains_at_once_tell_one_count(shadow: Shadow) -> None:
    await shadow.store("TT-101", wandering(TODAY - 1, shadow.site.alarms[HI].setting.limit))
    await shadow.nominate(HI)
    counted = await asyncio.gather(shadow.job().round(), shadow.job().round())
    assert sum(counted) == 1
    assert len(await shadow.said(ShadowCounts)) == 1


async def test_late_samples_have_their_day_counted_again_while_they_may_come(
    shadow: Shadow,
) -> None:
    rows = wandering(TODAY - 1, shadow.site.alarms[HI].setting.limit)
    await shadow.store("TT-101", rows[:700])
    await shadow.nominate(HI)
    await shadow.job().round()
    await shadow.store("TT-101", rows[700:])
    assert await shadow.job().round() == 1
    half, whole = await shadow.said(ShadowCounts)
    assert whole.revision > half.revision
    assert half.coverage < 0.6 < whole.coverage
    holds(whole, rows)
    # After the days of grace it stays as it was told.
    shadow.world.clock.advance(4 * DAY_MS)
    await shadow.store("TT-101", [(at + 1, value) for at, value in rows[:20]])
    assert await shadow.job().round() == 0


async def test_the_day_that_runs_is_counted_where_that_is_wanted(shadow: Shadow) -> None:
    rows = await shadow.store(
        "TT-101", wandering(TODAY, shadow.site.alarms[HI].setting.limit)[:900]
    )
    await shadow.nominate(HI)
    assert await shadow.job().round() == 0
    assert await shadow.job(running_day=True).round() == 1
    shadow.world.clock.advance(60_000)
    assert await shadow.job(running_day=True).round() == 1
    first, second = await shadow.said(ShadowCounts)
    assert (first.until, second.until) == (NOW, NOW + 60_000)
    assert second.revision > first.revision
    assert first.named["live"][0] == second.named["live"][0] > 0
    assert len(rows) == 900


async def test_counting_in_the_other_process_says_the_same_and_ends_with_its_work(
    shadow: Shadow,
) -> None:
    await shadow.store("TT-101", wandering(TODAY - 1, shadow.site.alarms[HI].setting.limit))
    await shadow.nominate(HI)
    job, process = shadow.job(), ShadowProcess()
    try:
        job._counters = process
        job.on_rest = process.close
        assert await job.round() == 1
        assert process._pool is None, "no process stays while there is nothing to count"
    finally:
        await process.close()
    [there] = await shadow.said(ShadowCounts)
    await shadow.world.pool.execute("TRUNCATE shadow_day, outbox")
    await shadow.job().round()
    [here] = await shadow.said(ShadowCounts)
    assert (there.activations, there.standing) == (here.activations, here.standing)


def fault(start: int, end: int, **more: object) -> Fault:
    plain = {
        "id": "x", "revision": 1, "asset": "FUR-01", "line": "REHEAT", "start": start, "end": end,
        "cause": "burner", "actor": "anna", "recorded_at": NOW, **more,
    }  # fmt: skip
    return Fault(**plain)  # type: ignore[arg-type]


async def test_a_fault_recorded_days_late_is_judged_and_one_without_samples_is_said_to_be_unknown(
    shadow: Shadow,
) -> None:
    limit, start = shadow.site.alarms[HI].setting.limit, (TODAY - 2) * DAY_MS + 6 * HOUR
    rows = [
        (at, limit + (30 if at >= start + 2 * MINUTE else -100))
        for at in range(start - HOUR, start + HOUR, 10_000)
    ]
    await shadow.store("TT-101", rows)
    await shadow.nominate(HI, "FUR-01.TT-101.HIHI")
    async with shadow.faults.transaction() as tx:
        await shadow.faults.put(tx, fault(start, start + 30 * MINUTE))
        await shadow.faults.put(tx, fault(start - 60 * DAY_MS, start - 59 * DAY_MS, id="old"))
        await shadow.faults.put(
            tx, fault(start, start + 9, id="elsewhere", asset="CMP-01", line="UTILITIES")
        )
    job = shadow.job()
    await job.round()
    said = {(v.fault, v.alarm): v for v in await shadow.said(ShadowVerdicts)}
    points = [HI] if ("x", "FUR-01.TT-101.HIHI") not in said else [HI, "FUR-01.TT-101.HIHI"]
    assert set(said) == {(name, point) for name in ("x", "old") for point in points}
    own = shadow.site.alarms[HI].setting
    assert said["x", HI].named["engineer"] == 120 + own.on_delay_ms / 1000
    assert len(said["x", HI].delays) == 4 * len(Grid.from_dict(said["x", HI].grid))
    assert (said["old", HI].delays, said["old", HI].coverage) == (b"", 0.0)
    count = len(await shadow.said(ShadowVerdicts))
    await shadow.job().round()
    assert len(await shadow.said(ShadowVerdicts)) == count, "judged once"
    async with shadow.faults.transaction() as tx:
        await shadow.faults.put(tx, fault(start + MINUTE, start + 30 * MINUTE, revision=2))
    await shadow.job().round()
    again = [v for v in await shadow.said(ShadowVerdicts) if (v.fault, v.alarm) == ("x", HI)]
    assert [v.fault_revision for v in again] == [1, 2]
    assert again[1].named["engineer"] == again[0].named["engineer"] - 60


async def closed_incident(shadow: Shadow, outcome: str) -> str:
    world = shadow.world
    await world.send(change("a", 0, HI), change("b", 2_000, ZONE2))
    await world.send(ended("a", 60_000, 0, HI), ended("b", 90_000, 2_000, ZONE2))
    world.clock.advance(120_000)
    await world.settle()
    incident = (await world.members())["a"].incident
    cause = next(iter(each.id for each in world.site.incidents.causes))
    await world.desk.contain(incident, "", ANNA)
    found = await world.desk.close(incident, cause, outcome, "seen", ANNA)
    assert found == incident, found
    for name in ("a", "b"):
        assert await shadow.outcomes.label(name, outcome, cause, "", "anna") is None
    return incident


async def test_a_closed_incident_makes_one_fault_and_a_corrected_label_withdraws_it(
    shadow: Shadow,
) -> None:
    incident = await closed_incident(shadow, "true")
    told = await shadow.said(FaultRecord)
    assert [record.revision for record in told] == [1], "one fault, whoever labels how many alarms"
    [record] = told
    assert (record.incident, record.line, record.withdrawn) == (incident, "REHEAT", False)
    assert (record.start, record.end) == (NOW, NOW + 90_000)
    assert record.alarms == sorted([HI, ZONE2])
    await shadow.outcomes.label("a", "nuisance", "", "", "bo")
    await shadow.outcomes.label("b", "drill", "", "", "bo")
    told = await shadow.said(FaultRecord)
    assert [(each.revision, each.alarms, each.withdrawn) for each in told[1:]] == [
        (2, [ZONE2], False), (3, [ZONE2], True),
    ]  # fmt: skip
    await shadow.outcomes.label("b", "true", "", "", "bo")
    newest = (await shadow.said(FaultRecord))[-1]
    assert (newest.revision, newest.withdrawn) == (4, False)


async def test_a_nuisance_makes_no_fault_and_an_occurrence_alone_makes_one_of_its_own(
    shadow: Shadow,
) -> None:
    await closed_incident(shadow, "nuisance")
    assert await shadow.said(FaultRecord) == []
    await shadow.world.send(change("lone", 400_000, HI), ended("lone", 500_000, 400_000, HI))
    await shadow.outcomes.label("lone", "true", "burner", "", "anna")
    [alone] = await shadow.said(FaultRecord)
    assert (alone.id, alone.alarms) == ("occ-lone", [HI])
    # Its incident is understood only now: the fault becomes the incident's.
    await shadow.world.settle()
    await shadow.outcomes.label("lone", "true", "burner", "", "anna")
    *_, stale, joined = await shadow.said(FaultRecord)
    assert (stale.id, stale.withdrawn, stale.revision) == ("occ-lone", True, 2)
    assert joined.id.startswith("inc-")


async def test_a_person_tells_of_a_fault_that_no_alarm_told_of(shadow: Shadow) -> None:
    cause = next(iter(each.id for each in shadow.site.incidents.causes))
    told = Telling("FUR-01", NOW - HOUR, NOW, cause, "heard it")
    made = await shadow.desk.record(told, By("anna"))
    assert isinstance(made, Fault)
    [record] = await shadow.said(FaultRecord)
    assert (record.id, record.alarms, record.line, record.actor) == (made.id, [], "REHEAT", "anna")
    for wrong, code in (
        (Telling("MOON", NOW - 1, NOW, cause), "unknown_asset"),
        (Telling("FUR-01", NOW - 1, NOW, "because"), "unknown_cause"),
        (Telling("FUR-01", NOW, NOW - 1, cause), "fault_times"),
        (Telling("FUR-01", NOW, NOW + DAY_MS, cause), "fault_times"),
        (Telling("FUR-01", NOW - 1, NOW, cause, "", ("nonsense",)), "unknown_alarm"),
    ):
        refused = await shadow.desk.record(wrong, By("anna"))
        assert isinstance(refused, Rejected)
        assert refused.code == code
    nobody = await shadow.desk.record(told, By("bo", lambda _: False))
    assert isinstance(nobody, Rejected)
    assert nobody.code == "not_allowed_here"
    gone = await shadow.desk.withdraw(made.id, "misheard", By("anna"), lambda _: None)
    assert isinstance(gone, Fault)
    assert gone.withdrawn
    again = await shadow.desk.withdraw(made.id, "misheard", By("anna"), lambda _: None)
    assert isinstance(again, Rejected)
    assert again.code == "fault_withdrawn"
    assert [r.revision for r in await shadow.said(FaultRecord)] == [1, 2]


async def test_what_was_done_about_an_unjudged_alarm_is_told_once_and_a_label_comes_after(
    shadow: Shadow,
) -> None:
    world = shadow.world
    await world.send(change("a", 0, HI), change("b", 1_000, ZONE2))
    while await shadow.closings.some():
        pass
    assert await shadow.said(OutcomeRecord) == [], "they stand"
    await world.send(ended("a", 60_000, 0, HI))
    await shadow.outcomes.label("b", "true", "", "", "anna")
    await world.send(ended("b", 60_000, 1_000, ZONE2))
    shadow.up.breaks = 1
    with pytest.raises(ConnectionError):
        await shadow.closings.some()
    while await shadow.closings.some():
        pass
    judged, plain = await shadow.said(OutcomeRecord)
    assert (judged.occurrence, judged.label) == ("b", "true")
    assert (plain.occurrence, plain.label, plain.verdicts) == ("a", "", {})
    assert plain.resolved_after_s == 60.0
    assert (plain.dismissed, plain.shelved, plain.side) == (False, False, "HI")
    await shadow.outcomes.label("a", "nuisance", "", "", "anna")
    corrected = (await shadow.said(OutcomeRecord))[-1]
    assert (corrected.label, corrected.dismissed) == ("nuisance", True)
    await world.send(change("a", 61_000, HI, active=False, acked=True, version=10, raised=0))
    while await shadow.closings.some():
        pass
    assert len(await shadow.said(OutcomeRecord)) == 3
