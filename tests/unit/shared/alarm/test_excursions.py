"""Counting a whole grid at once tells, episode for episode, what the live alarm point tells."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.alarm.episodes import episodes
from shared.alarm.excursions import NEVER, count, grid_spans, spans, verdicts
from shared.alarm.grid import FILTERS, Grid
from shared.alarm.point import Setting

MINUTE = 60_000
# Quarters: sums of them are exact, so that two ways to a mean agree to the last bit.
VALUE = st.one_of(st.integers(-12, 12).map(lambda v: v / 4), st.just(math.nan))
STEP = st.sampled_from([0, 1_000, 30_000, 60_000, 60_000, 60_000, 300_000, 40_000_000])
SIGNAL = st.lists(st.tuples(STEP, VALUE), min_size=0, max_size=60)


def _columns(signal: list[tuple[int, float]]) -> tuple[list[int], list[float]]:
    at, times = 1_000_000, []
    for step, _ in signal:
        at += step
        times.append(at)
    return times, [value for _, value in signal]


@settings(max_examples=250, deadline=None)
@given(
    signal=SIGNAL,
    side=st.sampled_from(["HI", "LO"]),
    limits=st.sets(st.integers(-8, 8).map(lambda v: v / 4), min_size=1, max_size=3),
    bands=st.sets(st.sampled_from([0.0, 0.25, 1.0]), min_size=1),
    on=st.sets(st.sampled_from([0, 1, 30_000, 60_000, 120_000]), min_size=1, max_size=3),
    off=st.sets(st.sampled_from([0, 60_000, 300_000]), min_size=1),
    until=st.none() | st.integers(0, 400_000),
)
def test_a_grid_tells_what_the_live_point_tells(
    signal: list[tuple[int, float]], side: str, limits: set[float], bands: set[float],
    on: set[int], off: set[int], until: int | None,
) -> None:  # fmt: skip
    """For every candidate: raise and clear times, counts, standing time and verdicts."""
    times, values = _columns(signal)
    end = None if until is None else (times[-1] if times else 0) + until
    grid = Grid(
        side, tuple(sorted(limits)), tuple(sorted(bands)), tuple(sorted(on)), tuple(sorted(off)),
        FILTERS, 0.5,
    )  # type: ignore[arg-type]  # fmt: skip
    counts = count(times, values, grid, until=None if end is None else end + 1)
    start = times[len(times) // 3] if times else 0
    stop = start + 600_000
    told = verdicts(times, values, grid, start, stop, at_least_ms=60_000, until=end)
    finite = [t for t, v in zip(times, values, strict=True) if math.isfinite(v)]
    for index, found in grid_spans(times, values, grid, end):
        setting, filter = grid.setting(index), grid.filter_of(index)
        expected = episodes(
            times, values, setting, grid.side, filter, grid.centre,
            end if end is not None else finite[-1] if finite else None,
        )  # fmt: skip
        mine = [
            (int(r), None if c == NEVER else int(c))
            for r, c in zip(found.raised, found.cleared, strict=True)
        ]
        assert mine == expected
        assert counts.activations[index] == len(expected)
        assert told[index] == _verdict(expected, start, stop, end or (finite or [0])[-1])


def _verdict(found: list[tuple[int, int | None]], start: int, stop: int, until: int) -> float:
    for raised, cleared in found:
        lasted = (until if cleared is None else cleared) - raised
        if start <= raised <= stop and lasted >= 60_000:
            return float(np.float32((raised - start) / 1000))
    return -1.0


def test_episodes_of_a_plain_signal_are_what_one_reads_off_it() -> None:
    """Two excursions of which the delay lets one through, and its off-delay."""
    values = [0, 0, 5, 0, 0, 5, 5, 5, 5, 0, 0, 0]
    times = [i * MINUTE for i in range(len(values))]
    setting = Setting(4.0, 0.0, 2 * MINUTE, MINUTE)
    assert episodes(times, values, setting, "HI") == [(7 * MINUTE, 10 * MINUTE)]
    # A gap exactly as long as the off-delay is bridged, in both ways of telling.
    gap = [5, 0, 5, 0, 0]
    bridged = episodes(times[:5], gap, Setting(1.0, 0.0, 0, MINUTE), "HI", until=4 * MINUTE)
    found = spans(times[:5], gap, Setting(1.0, 0.0, 0, MINUTE), "HI")
    assert bridged == [(0, 4 * MINUTE)]
    assert (found.raised.tolist(), found.cleared.tolist()) == ([0], [4 * MINUTE])
    mirrored = Setting(-4.0, 0.0, 2 * MINUTE, MINUTE)
    found = spans(times, [-v for v in values], mirrored, "LO")
    assert list(found.raised) == [7 * MINUTE]
    assert list(found.cleared) == [10 * MINUTE]


def test_a_day_is_counted_by_itself_with_the_day_before_as_warm_up() -> None:
    """Days add up to the whole: nothing is lost or counted twice at midnight."""
    random = np.random.default_rng(7)
    times = np.arange(3 * 1440) * MINUTE
    values = random.normal(size=len(times)).cumsum() * 0.1
    grid = Grid("HI", (0.5, 1.0), (0.0, 0.2), (0, 300_000), (0, 300_000), FILTERS)
    end = int(times[-1]) + MINUTE
    whole = count(times, values, grid, until=end)
    days = [
        count(times, values, grid, since=d * 86_400_000, until=(d + 1) * 86_400_000)
        for d in range(3)
    ]
    assert sum(d.activations for d in days).tolist() == whole.activations.tolist()  # type: ignore
    np.testing.assert_allclose(sum(d.standing_s for d in days), whole.standing_s, rtol=1e-5)
    assert whole.activations.sum() > 10


def test_bad_samples_hold_the_state_and_odd_input_is_refused() -> None:
    """A masked sample is as if it had not come; times that go back are an error of the caller."""
    grid = Grid("HI", (1.0,))
    held = count([0, 1000, 2000, 3000], [2, 0, 2, 0], grid, valid=[True, False, True, True])
    assert held.activations.tolist() == [1]
    assert held.standing_s.tolist() == [3.0]
    assert count([], [], grid).activations.tolist() == [0]
    with pytest.raises(ValueError, match="do not decrease"):
        count([2, 1], [0.0, 0.0], grid)
    with pytest.raises(ValueError, match="times for"):
        count([2], [0.0, 0.0], grid)
