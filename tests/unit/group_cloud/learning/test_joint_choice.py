"""The joint choice, its guardrails and its one-sided gate on problems small enough to work out."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from group_cloud.learning.limits.gate import Shield, accept
from group_cloud.learning.limits.joint import Block, Cover, JointCosts, Problem, point_costs, solve
from group_cloud.learning.limits.optimizer import Optimizer, PointInfo, stricter
from group_cloud.learning.limits.rails import Rails, allowed_candidates
from shared.alarm.grid import FILTERS, Grid
from tests.unit.group_cloud.learning.learners import GRID, by_point

PLAIN = JointCosts(delay_hour=0.0, standing_hour=0.0, faint=0.0, margin=0.0)


def _problem(quiet: list[list[float]], delays: list[list[list[int]]], costs: JointCosts) -> Problem:
    """`delays[point][candidate][fault]`; no chance, every candidate is its own stricter one."""
    columns = tuple(np.array(d, np.int16).T for d in delays)
    quiet_array = np.array(quiet, np.float32)
    block = Block(columns, columns[0].shape[0], 1.0)
    own = np.arange(quiet_array.shape[1])
    return Problem(quiet_array, np.zeros_like(quiet_array), (block,), own, costs)


def _price(problem: Problem, choice: tuple[int, ...]) -> float:
    """J by its definition: what is quiet, and what is left of every fault's price."""
    costs, total = problem.costs, 0.0
    for point, candidate in enumerate(choice):
        total += float(problem.quiet[point, candidate])
    for fault in range(len(problem.weights)):
        delays = [float(problem.delays(p, c)[fault, 0]) for p, c in enumerate(choice)]
        heard = [d for d in delays if d >= 0]
        early = [d for d in heard if d < costs.faint_min]
        total += costs.missed * costs.by_one ** len(heard)
        total += costs.faint * costs.faint_share ** len(early)
        total += costs.delay_hour / 60 * min([*heard, costs.longest_min])
    return total


SMALL = st.integers(1, 3).flatmap(
    lambda points: st.integers(1, 4).flatmap(
        lambda faults: st.tuples(
            st.lists(st.lists(st.integers(0, 900), min_size=3, max_size=3),
                     min_size=points, max_size=points),
            st.lists(st.lists(st.lists(st.sampled_from([-1, 5, 60, 200]), min_size=faults,
                     max_size=faults), min_size=3, max_size=3), min_size=points, max_size=points),
        )
    )
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(problem=SMALL)
def test_no_change_of_one_point_betters_what_is_chosen(
    problem: tuple[list[list[float]], list[list[list[int]]]],
) -> None:
    """By the definition of J, not by the solver's own arithmetic."""
    quiet, delays = problem
    made = _problem(quiet, delays, JointCosts(margin=0.0))
    points = len(quiet)
    allowed = np.ones((points, 3), np.bool_)
    choice = solve(made, np.zeros(points, int), allowed, sweeps=50)
    best = _price(made, tuple(choice))
    for point, candidate in product(range(points), range(3)):
        other = list(choice)
        other[point] = candidate
        assert _price(made, tuple(other)) >= best - 0.05
    # And it is what the solver believes a change to cost.
    cover = Cover(made, choice)
    prices = point_costs(made, cover, 0, np.arange(3))
    true = [_price(made, (c, *choice[1:])) for c in range(3)]
    np.testing.assert_allclose(prices - prices[0], np.array(true) - true[0], atol=0.05)


def test_two_points_share_the_faults_between_them() -> None:
    """Each alone would be cheapest asleep; together one takes each fault, none takes both."""
    delays = [[[-1, -1], [5, -1], [5, 5]], [[-1, -1], [-1, 5], [5, 5]]]
    quiet = [[0.0, 10.0, 700.0], [0.0, 10.0, 700.0]]
    choice = solve(_problem(quiet, delays, PLAIN), np.zeros(2, int), np.ones((2, 3), np.bool_))
    assert choice.tolist() == [1, 1]


def test_the_gate_lets_protection_pass_and_quiet_only_without_a_price() -> None:
    """More alarms for a missed fault: yes. Fewer alarms for a fault less: no, though J says so."""
    delays = [[[5], [-1]], [[-1], [-1]]]
    problem = _problem([[2000.0, 0.0], [0.0, 0.0]], delays, PLAIN)
    false = np.array([[2000.0, 0.0], [0.0, 0.0]], np.float32)
    wanted = solve(problem, np.zeros(2, int), np.ones((2, 2), np.bool_))
    assert wanted.tolist() == [1, 0]
    assert accept(problem, false, np.zeros(2, int), wanted) == []
    cheap = _problem([[1.0, 0.0], [0.0, 0.0]], delays, PLAIN)
    steps = accept(cheap, (false / 2000).astype(np.float32), np.array([1, 0]), np.array([0, 0]))
    assert [(s.point, s.before, s.after) for s in steps] == [(0, 1, 0)]
    assert Shield(cheap, np.array([1, 0])).exposed() == 1.0
    assert Shield(cheap, np.array([0, 0])).exposed() == PLAIN.by_one


def test_one_point_may_take_over_from_another_within_a_push() -> None:
    """The noisy one may fall silent because the other tells now: protection first, then quiet."""
    delays = [[[-1], [5]], [[5], [-1]]]
    problem = _problem([[0.0, 1.0], [900.0, 0.0]], delays, PLAIN)
    false = np.array([[0.0, 1.0], [900.0, 0.0]], np.float32)
    current, wanted = np.array([0, 0]), np.array([1, 1])
    assert solve(problem, current, np.ones((2, 2), np.bool_)).tolist() == wanted.tolist()
    steps = accept(problem, false, current, wanted)
    assert [(s.point, s.before, s.after) for s in steps] == [(0, 0, 1), (1, 0, 1)]
    # The noisy one alone may not.
    assert accept(problem, false, current, np.array([0, 1])) == []


@settings(max_examples=40, deadline=None)
@given(problem=SMALL, data=st.data())
def test_no_step_of_a_push_leaves_less_protection_than_before_it(
    problem: tuple[list[list[float]], list[list[list[int]]]], data: st.DataObject
) -> None:
    """Whatever is wanted, and wherever the push ends."""
    quiet, delays = problem
    made = _problem(quiet, delays, JointCosts(margin=0.0))
    drawn = st.lists(st.integers(0, 2), min_size=len(quiet), max_size=len(quiet))
    current, wanted = np.array(data.draw(drawn)), np.array(data.draw(drawn))
    before, choice = Shield(made, current).exposed(), current.copy()
    for step in accept(made, made.quiet, current, wanted):
        assert (step.before, step.after) == (choice[step.point], wanted[step.point])
        choice[step.point] = step.after
        assert Shield(made, choice).exposed() <= before + 1e-3


def test_what_a_rattling_point_announces_by_chance_is_no_protection() -> None:
    """It tells of the fault, as it would of any time: silencing it costs nothing in the gate."""
    problem = _problem([[900.0, 0.0], [0.0, 0.0]], [[[5], [-1]], [[5], [-1]]], PLAIN)
    false = np.array([[900.0, 0.0], [0.0, 0.0]], np.float32)
    assert accept(problem, false, np.zeros(2, int), np.array([1, 0])) == []
    problem.rate[0, 0] = 20.0
    steps = accept(problem, false, np.zeros(2, int), np.array([1, 0]))
    assert [(s.point, s.after) for s in steps] == [(0, 1)]


@settings(max_examples=40, deadline=None)
@given(current=st.integers(0, 1349), tag_class=st.sampled_from(["flow", "level"]))
def test_one_push_keeps_inside_the_guardrails(current: int, tag_class: str) -> None:
    """Two sigmas, three times the delay, the cap of the class, the least distance."""
    limits = tuple(float(k) for k in (2, 3, 4, 5, 6, 7, 8, 9, 10, 12))
    on, off = (0, 60_000, 120_000, 300_000, 600_000), (0, 300_000, 900_000)
    grid = Grid("HI", limits, (0.0, 0.5, 1.0), on, off, FILTERS, 0.0)
    info = PointInfo("T.HI", "T.HI", tag_class, 1.0, grid)
    was = grid.setting(current)
    for index in np.flatnonzero(allowed_candidates([info], Rails(), np.array([current]))[0]):
        new = grid.setting(int(index))
        assert abs(new.limit - was.limit) <= 2.0
        assert new.on_delay_ms <= max(3 * was.on_delay_ms, 60_000)
        assert new.off_delay_ms <= max(3 * was.off_delay_ms, 300_000)
        assert new.on_delay_ms <= (300_000 if tag_class == "level" else 600_000)
        assert new.limit >= (2.0 if grid.filter_of(int(index)) == "mean5min" else 3.0)


def test_the_stricter_candidate_is_two_limits_further() -> None:
    further = stricter(GRID)
    for index in range(len(GRID)):
        own, next_one = GRID.setting(index), GRID.setting(int(further[index]))
        place = min(GRID.limits.index(own.limit) + 2, len(GRID.limits) - 1)
        assert next_one.limit == GRID.limits[place]
        assert (next_one.deadband, next_one.on_delay_ms) == (own.deadband, own.on_delay_ms)


def test_a_new_factory_starts_from_the_group_by_key_and_else_by_class() -> None:
    """It has learnt nothing itself; a tag nobody has is started by its kin, or left alone."""
    member = Optimizer([PointInfo(f"T{i}.HI", f"T{i}.HI", "flow", 1.0, GRID) for i in range(3)])
    for x, y in by_point(1, 60):
        member.learn_one(x, y)
    names = ("T0.HI", "NEW.HI", "STRANGE.HI")
    classes = ("flow", "flow", "vibration")
    infos = [PointInfo(n, n, c, 1.0, GRID) for n, c in zip(names, classes, strict=True)]
    late = Optimizer(infos, [member], reference=len(GRID) - 1)
    problem = late.problem(list(names), own=False)
    same = member.banks["T0.HI"].false_per_day()
    kin = np.mean([bank.false_per_day() for bank in member.banks.values()], axis=0)
    np.testing.assert_allclose(
        problem.quiet[0] / problem.quiet[1].sum(), same / kin.sum(), rtol=0.3
    )
    assert problem.quiet[2].sum() == 0
    start = late.start(list(names))
    assert start[0] != len(GRID) - 1
    assert problem.weights.sum() == pytest.approx(15)
