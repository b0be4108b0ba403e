"""The optimiser on what running factories counted: what moves a limit, what must not, who learns
from whom. All data simulated."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from group_cloud.application.limit_trainer import Wanted
from group_cloud.application.limit_wording import limit_body
from group_cloud.domain.guardrails import Guardrails
from group_cloud.domain.limit_evidence import (
    DAY_MS,
    SiteEvidence,
    counted_bar,
    judged,
    teaching_days,
)
from group_cloud.learning.live.lattice import placed, size
from group_cloud.learning.live.search import search
from shared.alarm.definition import Bounds
from shared.alarm.grid import FILTERS, Filter, Grid, grid_around
from shared.alarm.point import Setting, Side
from shared.alarm.shadow import bounds_of, setting_of
from tests.support.limit_world import BOUNDS, FIRST, NOW, factory, spans, unjudged

WANTED = Wanted()


@pytest.fixture(scope="module")
def f1() -> SiteEvidence:
    return factory("f1", 1, spans())


def test_a_flooding_limit_is_moved_and_no_fault_is_missed_for_it(f1: SiteEvidence):
    found = search(f1, (), WANTED)
    assert found
    for each in found:
        assert each.then.false_per_day < each.now.false_per_day / 2
        assert each.then.missed <= each.now.missed == 0
        assert each.lost == ()
        rails = Guardrails(bounds_of(f1.points[0].bounds), f1.points[0].bounds["step"])
        assert rails.refuse(each.current, each.proposed) is None
    assert found[0].supposes == ()
    assert search(f1, (), WANTED) == found


def test_what_nobody_has_judged_never_moves_a_limit(f1: SiteEvidence):
    silent = unjudged(f1)
    assert search(silent, (), WANTED) == []
    assert search(silent, (), Wanted(0.0, 0)) == []
    # Nor do faults alone let the silent days of a flooding point count.
    recorded = replace(silent, faults=f1.faults, judged_at=f1.judged_at)
    taught = teaching_days(recorded.points[0], recorded)
    assert {day.day for day in taught} == {FIRST + 1, FIRST + 4, FIRST + 7}


def test_a_quieter_limit_that_would_miss_the_faults_is_not_proposed(f1: SiteEvidence):
    # One point alone covers the faults, and every later limit is blind to them.
    blind: list = []
    for point in f1.points[:1]:
        grid = Grid.from_dict(point.grid)
        told = np.array([0.0 if grid.setting(i) == NOW else -1.0 for i in range(len(grid))], "<f4")
        data = {fault: told.tobytes() for fault in point.verdicts}
        blind.append(replace(point, verdicts=data))
    assert search(replace(f1, points=tuple(blind)), (), WANTED) == []


def test_too_few_days_or_faults_are_not_enough(f1: SiteEvidence):
    assert search(f1, (), Wanted(min_days=11)) == []
    assert search(f1, (), Wanted(min_faults=4)) == []


def test_a_new_factory_starts_from_its_owners_other_factories(f1: SiteEvidence):
    fresh = factory("f2", 7, ())
    # Five judged days and no fault of its own: alone it knows nothing of what it would miss.
    fresh = replace(fresh, judged_at=(FIRST * DAY_MS,))
    assert search(fresh, (), WANTED) == []
    found = search(fresh, (f1,), WANTED)
    assert {each.point.site for each in found} == {"f2"}
    assert all(each.faults == 0 and each.group_faults == 3 for each in found)
    assert all(each.then.false_per_day < each.now.false_per_day for each in found)
    # A factory that shares no process with them gets nothing from them.
    alien = replace(fresh, points=tuple(replace(p, key=f"f2/{p.key}") for p in fresh.points))
    assert search(alien, (f1,), WANTED) == []


def test_a_day_counts_if_people_were_judging(f1: SiteEvidence):
    point = f1.points[0]
    [first, *_] = point.days
    quiet = replace(first, told=0.0)
    assert not judged(first, set(), (), (first.since,))
    assert judged(first, {first.day}, (), ())
    assert judged(quiet, set(), (), (first.since + 6 * DAY_MS,))
    assert not judged(quiet, set(), (), (first.since + 9 * DAY_MS,))
    assert not judged(quiet, set(), (), ())


@pytest.mark.parametrize(
    ("filters", "lattice"),
    [
        (("raw",), ("raw",)), (("raw",), FILTERS), (("raw", "day"), FILTERS),
        (("mean5min",), ("raw", "mean5min")),
    ],
)  # fmt: skip
def test_the_lattice_keeps_every_own_candidate_once(
    filters: tuple[Filter, ...], lattice: tuple[Filter, ...]
):
    wide = Bounds(limit_min=0.0, limit_max=200.0, deadband_max=5.0)
    tried: tuple[tuple[Side, float, float], ...] = (
        ("HI", 53.0, 50.0), ("LO", 40.0, 50.0), ("HI", 90.0, 50.0),
    )  # fmt: skip
    for side, limit, mean in tried:
        grid = grid_around(Setting(limit, 0.3, 2_000, 5_000), side, wide, 1.0, filters, mean)
        assert len(grid.limits) == 10
        put = placed(grid, mean, 1.0, lattice)
        assert len(put.grid) == size(lattice)
        assert sorted(put.own[put.real].tolist()) == list(range(len(grid)))
        for candidate in range(0, len(grid), 7):
            assert put.grid.setting(put.place(candidate)) == grid.setting(candidate)
        # Further along the axis is always the later alarm.
        limits = [put.grid.setting(int(p)).limit for p in np.flatnonzero(put.real)]
        away = [abs(value - mean) for value in dict.fromkeys(limits)]
        assert away == sorted(away)


def test_where_only_a_filter_can_help_it_is_proposed_by_name(f1: SiteEvidence):
    """Short spikes over a limit that nobody may move: the mean of 5 min does not see them."""
    fixed = Bounds(53.0, 53.0, 0, 0, 0.0)
    assert search(factory("f1", 1, spans(), bounds=fixed), (), WANTED) == []
    allowed = replace(fixed, filters=("mean5min",))
    site = factory("f1", 1, spans(), bounds=allowed)
    found = search(site, (f1,), WANTED)
    assert [each.proposed for each in found] == [replace(NOW, filter="mean5min")] * 2
    assert all(each.then.missed == 0 for each in found)
    assert all(each.then.false_per_day < 1 < each.now.false_per_day for each in found)
    body = limit_body(site.points[0], found[0])
    assert "信号滤波由原始采样值改为5 分钟均值" in body["explanation"]["zh"]
    assert "their mean of 5 minutes instead of raw samples" in body["explanation"]["en"]
    assert setting_of(body["candidates"][1]["setting"]) == found[0].proposed


def test_a_proposal_says_what_it_rests_on(f1: SiteEvidence):
    [first, *_] = search(f1, (), WANTED)
    point = next(p for p in f1.points if p.point == first.point)
    body = limit_body(point, first)
    assert body["bars"]["proposed"]["false_per_day"] < body["bars"]["now"]["false_per_day"]
    assert len(body["trend"]) == 10
    assert body["forecast"]["before_per_day"] > body["forecast"]["per_day"] >= 0
    assert "3 次已记录故障" in body["explanation"]["zh"]
    assert "3 recorded faults" in body["explanation"]["en"]
    now = counted_bar(point, f1, NOW)
    assert now is not None
    assert now["missed"] == 0
    assert counted_bar(point, f1, Setting(1.0)) is None
    assert BOUNDS.limit_max is not None
