"""Shadow candidates and verdicts: bounds, sides, delays that end by the clock."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.alarm.definition import Bounds
from shared.alarm.point import Setting, Side
from shared.alarm.shadow import (
    bounds_data,
    bounds_of,
    candidate_id,
    candidates,
    longest_delay,
    outside,
    setting_data,
    setting_of,
    step_of,
    verdict,
)
from shared.paths import demo_sites
from shared.site.loader import load_site

HI = Setting(1230.0, 5.0, 1_000, 2_000)
BOUNDS = Bounds(limit_min=1200.0, limit_max=1265.0, on_delay_max_ms=60_000, deadband_max=20.0)
RAISED = 100_000


def ramp(*points: tuple[float, float]) -> list[tuple[int, float]]:
    """(seconds after RAISED, value) as samples."""
    return [(RAISED + round(s * 1000), value) for s, value in points]


class TestCandidates:
    def test_limit_steps_times_delays_with_the_current_one(self):
        found = candidates(HI, "HI", BOUNDS, 6.5)
        assert sorted({s.limit for s in found.values()}) == [1223.5, 1230.0, 1236.5, 1243.0]
        assert sorted({s.on_delay_ms for s in found.values()}) == [0, 1_000, 3_000]
        assert len(found) == 12
        assert found[candidate_id(HI)] == HI

    def test_a_low_limit_moves_down_to_alarm_later(self):
        low = Setting(6.0, 0.4, 2_000, 2_000)
        found = candidates(low, "LO", Bounds(limit_min=5.0, limit_max=7.0), 0.2)
        assert sorted({s.limit for s in found.values()}) == [5.6, 5.8, 6.0, 6.2]

    def test_what_lies_outside_the_bounds_is_no_candidate(self):
        near = Setting(1262.0, 5.0, 30_000, 2_000)
        found = candidates(near, "HI", BOUNDS, 6.5)
        assert max(s.limit for s in found.values()) == 1262.0
        assert max(s.on_delay_ms for s in found.values()) == 30_000

    def test_no_bound_in_a_direction_means_not_tunable_that_way(self):
        found = candidates(HI, "HI", Bounds(limit_min=1200.0), 5.0)
        assert {s.limit for s in found.values()} == {1225.0, 1230.0}

    def test_a_locked_point_has_only_what_runs(self):
        assert list(candidates(HI, "HI", Bounds(1200.0, 1265.0, locked=True), 5.0).values()) == [HI]

    def test_the_current_setting_stays_even_if_it_is_outside(self):
        assert HI in candidates(HI, "HI", Bounds(limit_min=1300.0), 5.0).values()

    @given(
        limit=st.floats(-1e6, 1e6),
        span=st.floats(0, 1e5),
        delay=st.integers(0, 600_000),
        step=st.floats(1e-3, 1e4),
        side=st.sampled_from(["HIHI", "HI", "LO", "LOLO"]),
    )
    def test_every_candidate_but_the_current_one_is_inside(
        self, limit: float, span: float, delay: int, step: float, side: Side
    ):
        bounds = Bounds(limit - span, limit + span, on_delay_max_ms=120_000)
        current = Setting(limit, 0.0, delay, 0)
        found = candidates(current, side, bounds, step)
        assert current in found.values()
        assert len(found) <= 12
        for setting in found.values():
            assert outside(bounds, current, setting) is None
            assert setting.on_delay_ms <= longest_delay(delay)
            assert abs(setting.limit - limit) <= 2 * step * (1 + 1e-6) + abs(limit) * 1e-8


class TestOutside:
    @pytest.mark.parametrize(
        ("new", "code"),
        [
            (Setting(1270.0, 5.0, 1_000, 2_000), "limit_outside_bounds"),
            (Setting(1199.9, 5.0, 1_000, 2_000), "limit_outside_bounds"),
            (Setting(math.nan, 5.0, 1_000, 2_000), "not_a_number"),
            (Setting(math.inf, 5.0, 1_000, 2_000), "not_a_number"),
            (Setting(1230.0, 21.0, 1_000, 2_000), "deadband_outside_bounds"),
            (Setting(1230.0, -1.0, 1_000, 2_000), "deadband_outside_bounds"),
            (Setting(1230.0, 5.0, 61_000, 2_000), "on_delay_outside_bounds"),
            (Setting(1230.0, 5.0, -1, 2_000), "on_delay_outside_bounds"),
            (Setting(1230.0, 5.0, 1_000, 900_001), "off_delay_outside_bounds"),
        ],
    )
    def test_refusals(self, new: Setting, code: str):
        refusal = outside(BOUNDS, HI, new)
        assert refusal is not None
        assert refusal.code == code

    def test_the_site_may_keep_what_it_runs(self):
        assert outside(Bounds(locked=True), HI, HI) is None

    def test_locked(self):
        refusal = outside(Bounds(1200.0, 1265.0, locked=True), HI, Setting(1231.0, 5.0, 1000, 2000))
        assert refusal is not None
        assert refusal.code == "point_locked"


class TestVerdict:
    def test_the_current_setting_announces_with_no_delay(self):
        samples = ramp((-60, 1180), (-1, 1231), (0, 1232), (5, 1233), (9, 1200))
        assert verdict(HI, "HI", samples, RAISED) == (True, 0.0)

    def test_a_higher_limit_announces_later_or_never(self):
        samples = ramp((-1, 1231), (4, 1238), (6, 1239), (9, 1200))
        later = Setting(1236.0, 5.0, 1_000, 2_000)
        never = Setting(1240.0, 5.0, 1_000, 2_000)
        assert verdict(later, "HI", samples, RAISED) == (True, 5.0)
        assert verdict(never, "HI", samples, RAISED) == (False, -1.0)

    def test_a_delay_ends_between_two_samples(self):
        samples = ramp((-1, 1231), (30, 1232))
        assert verdict(Setting(1230, 5, 3_000, 0), "HI", samples, RAISED) == (True, 2.0)

    def test_a_short_excursion_does_not_outlast_a_longer_delay(self):
        samples = ramp((-1, 1231), (1, 1200), (30, 1200))
        assert verdict(Setting(1230, 5, 3_000, 0), "HI", samples, RAISED) == (False, -1.0)

    def test_the_sample_at_the_very_end_of_the_delay_decides(self):
        samples = ramp((-1, 1231), (2, 1200))
        assert verdict(Setting(1230, 5, 3_000, 0), "HI", samples, RAISED) == (False, -1.0)

    def test_the_last_value_holds_until_the_end_of_the_window(self):
        samples = ramp((-1, 1231))
        setting = Setting(1230, 5, 10_000, 0)
        assert verdict(setting, "HI", samples, RAISED) == (False, -1.0)
        assert verdict(setting, "HI", samples, RAISED, RAISED + 9_000) == (True, 9.0)

    def test_deadband_keeps_the_condition_standing_for_the_delay(self):
        samples = ramp((-1, 1231), (1, 1227), (5, 1226))
        assert verdict(Setting(1230, 5, 4_000, 0), "HI", samples, RAISED) == (True, 3.0)
        assert verdict(Setting(1230, 0, 4_000, 0), "HI", samples, RAISED) == (False, -1.0)

    def test_haste_earns_nothing(self):
        samples = ramp((-60, 1180), (-30, 1225), (0, 1232))
        assert verdict(Setting(1220, 5, 0, 0), "HI", samples, RAISED) == (True, 0.0)

    def test_low_side_and_values_that_are_no_numbers(self):
        samples = ramp((-1, math.nan), (0, 5.5), (1, math.nan), (4, 5.4))
        assert verdict(Setting(6, 0.4, 2_000, 0), "LO", samples, RAISED) == (True, 2.0)

    def test_no_samples_no_verdict(self):
        assert verdict(HI, "HI", [], RAISED) == (False, -1.0)

    @given(
        values=st.lists(
            st.tuples(st.integers(0, 5_000), st.floats(1200, 1260)), min_size=1, max_size=40
        ),
        looser=st.floats(0, 20),
        longer=st.integers(0, 10_000),
    )
    def test_a_looser_setting_is_never_earlier(
        self, values: list[tuple[int, float]], looser: float, longer: int
    ):
        at, samples = RAISED, []
        for gap, value in values:
            at += gap
            samples.append((at, value))
        tight = verdict(HI, "HI", samples, RAISED, at + 30_000)
        loose_setting = Setting(1230.0 + looser, 5.0, 1_000 + longer, 2_000)
        loose = verdict(loose_setting, "HI", samples, RAISED, at + 30_000)
        if loose[0]:
            assert tight[0]
            assert tight[1] <= loose[1]


class TestPlainData:
    def test_settings_and_bounds_travel_both_ways(self):
        assert setting_of(setting_data(HI)) == HI
        assert bounds_of(bounds_data(BOUNDS, 6.5)) == BOUNDS
        assert bounds_of(bounds_data(Bounds(locked=True), 1.0)).locked

    def test_missing_bounds_stay_strict(self):
        assert bounds_of({}) == Bounds()

    def test_step_is_a_tenth_of_the_span_else_the_deadband(self):
        assert step_of(BOUNDS, HI) == 6.5
        assert step_of(Bounds(), HI) == 5.0
        assert step_of(Bounds(), Setting(200.0)) == 2.0

    def test_every_tunable_demo_alarm_has_candidates(self):
        site = load_site(demo_sites() / "f1")
        alarm = site.alarms["FUR-01.TT-101.HI"]
        assert alarm.side is not None
        step = step_of(alarm.bounds, alarm.setting)
        assert len(candidates(alarm.setting, alarm.side, alarm.bounds, step)) == 12
        safety = site.alarms["FUR-01.TT-101.HIHI"]
        assert safety.side is not None
        assert len(candidates(safety.setting, safety.side, safety.bounds, 1.0)) == 1


def test_an_announcement_taken_back_before_is_another_episode() -> None:
    slow = Setting(limit=100.0, on_delay_ms=3_000)
    # Six seconds beyond the limit long before, then the episode in question: two seconds only.
    earlier = [(0, 90.0), (1_000, 110.0), (7_000, 90.0)]
    episode = [(40_000, 110.0), (42_000, 90.0)]
    assert verdict(slow, "HI", earlier + episode, raised_at=40_000) == (False, -1.0)
    # One that still stands when the episode begins does count, without a delay.
    standing = [(0, 90.0), (30_000, 110.0), (42_000, 90.0)]
    assert verdict(slow, "HI", standing, raised_at=40_000) == (True, 0.0)
