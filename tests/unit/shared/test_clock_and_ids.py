"""Clocks, hybrid time and identifiers."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.clock import MAX_DRIFT_MS, HybridClock, ManualClock, SystemClock
from shared.hybrid_time import HybridTime
from shared.ids import Position, new_epoch, uuid7, uuid7_at

TIMES = st.builds(HybridTime, st.integers(0, 10**13 - 1), st.integers(0, 99_999))


def test_a_manual_clock_moves_only_when_told_and_jumps_only_on_the_wall() -> None:
    clock = ManualClock(1000)
    clock.advance(5)
    clock.jump(-100)
    assert (clock.now_ms(), clock.mono_ms()) == (905, 5)


def test_the_system_clock_gives_milliseconds() -> None:
    clock = SystemClock()
    assert clock.now_ms() > 1_600_000_000_000
    assert clock.mono_ms() <= clock.mono_ms()


@given(TIMES, TIMES)
def test_the_text_form_orders_as_the_time_does(one: HybridTime, two: HybridTime) -> None:
    assert HybridTime.parse(str(one)) == one
    assert (str(one) < str(two)) == (one < two)


@given(st.lists(st.one_of(st.integers(-5000, 5000), TIMES), max_size=30))
def test_hybrid_time_never_goes_back_whatever_the_wall_clock_does(
    script: list[int | HybridTime],
) -> None:
    clock = ManualClock()
    hybrid, last = HybridClock(clock), HybridTime(0)
    for happening in script:
        if isinstance(happening, HybridTime):
            hybrid.observe(happening)
        else:
            clock.jump(happening)
        issued = hybrid.tick()
        assert issued > last
        last = issued


def test_a_remote_time_is_followed_within_the_drift_and_ignored_beyond() -> None:
    clock = ManualClock(1_000_000)
    hybrid = HybridClock(clock)
    near, far = HybridTime(1_000_000 + MAX_DRIFT_MS, 7), HybridTime(1_000_001 + MAX_DRIFT_MS)
    hybrid.observe(far)
    assert hybrid.tick() == HybridTime(1_000_000)
    hybrid.observe(near)
    assert hybrid.tick() > near


def test_a_hybrid_clock_goes_on_after_a_restart() -> None:
    last = HybridTime(9_999_999, 3)
    assert HybridClock(ManualClock(1000), last).tick() == HybridTime(9_999_999, 4)


@given(st.integers(0, (1 << 48) - 1))
def test_uuid7_is_valid_and_ordered_by_time(ms: int) -> None:
    made = uuid7_at(ms)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == ms


def test_ids_are_unique() -> None:
    clock = ManualClock()
    assert len({uuid7(clock) for _ in range(1000)}) == 1000
    assert len({new_epoch() for _ in range(1000)}) == 1000


def test_a_position_says_all_of_itself() -> None:
    assert str(Position("f1.e1", "ab", "live", 7)) == "f1.e1:ab:live:7"
    assert Position("a", "b", "c", 1) < Position("a", "b", "c", 2)


def test_a_text_that_is_no_hybrid_time_is_refused() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        HybridTime.parse("yesterday")
