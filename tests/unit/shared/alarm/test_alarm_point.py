"""Limit, deadband and delays of one point."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.alarm.point import PointState, Setting, Side, beyond, due, sample, tick


def run(setting: Setting, side: Side, script: list[tuple[int, float]]) -> list[tuple[int, str]]:
    state, changes = PointState(), []
    for at, value in script:
        state, change = sample(setting, side, state, value, at)
        if change:
            changes.append((at, change))
    return changes


def test_the_limit_itself_is_not_beyond() -> None:
    setting = Setting(limit=100.0)
    assert run(setting, "HI", [(0, 100.0), (1, 100.1), (2, 100.0)]) == [(1, "raise"), (2, "clear")]
    assert run(setting, "LO", [(0, 100.0), (1, 99.9), (2, 100.0)]) == [(1, "raise"), (2, "clear")]


@pytest.mark.parametrize(("side", "sign"), [("HI", 1), ("HIHI", 1), ("LO", -1), ("LOLO", -1)])
def test_the_deadband_holds_until_it_is_left(side: Side, sign: int) -> None:
    setting = Setting(limit=0.0, deadband=2.0)
    script = [(0, sign * 1.0), (1, sign * -1.9), (2, sign * 0.5), (3, sign * -2.0)]
    assert run(setting, side, script) == [(0, "raise"), (3, "clear")]


def test_delays_end_by_the_clock_without_a_further_message() -> None:
    setting = Setting(limit=0.0, on_delay_ms=3000, off_delay_ms=2000)
    state, change = sample(setting, "HI", PointState(), 1.0, 1000)
    assert change is None
    assert due(setting, state) == 4000
    assert tick(setting, state, 3999) == (state, None)
    state, change = tick(setting, state, 4000)
    assert change == "raise"
    assert due(setting, state) is None
    state, change = sample(setting, "HI", state, -1.0, 5000)
    assert (change, due(setting, state)) == (None, 7000)
    assert tick(setting, state, 7000)[1] == "clear"


def test_a_condition_shorter_than_the_delay_says_nothing() -> None:
    setting = Setting(limit=0.0, on_delay_ms=3000)
    assert run(setting, "HI", [(0, 1.0), (2999, -1.0), (10_000, -1.0)]) == []


SETTINGS = st.builds(
    Setting, limit=st.just(0.0), deadband=st.floats(0, 3), on_delay_ms=st.integers(0, 5000),
    off_delay_ms=st.integers(0, 5000),
)  # fmt: skip
SIGNAL = st.lists(st.tuples(st.integers(1, 3000), st.floats(-5, 5)), max_size=40)


@given(SETTINGS, SIGNAL)
def test_raises_and_clears_alternate_and_the_sides_mirror(
    setting: Setting, steps: list[tuple[int, float]]
) -> None:
    at, script = 0, []
    for wait, value in steps:
        at += wait
        script.append((at, value))
    high = run(setting, "HI", script)
    assert [change for _, change in high] == ["raise", "clear"] * (len(high) // 2) + (
        ["raise"] if len(high) % 2 else []
    )
    assert run(setting, "LO", [(t, -v) for t, v in script]) == high


@given(SETTINGS, st.floats(-5, 5))
def test_a_wider_deadband_never_leaves_earlier(setting: Setting, value: float) -> None:
    narrow = Setting(setting.limit, 0.0)
    assert beyond(setting, "HI", True, value) or not beyond(narrow, "HI", True, value)
