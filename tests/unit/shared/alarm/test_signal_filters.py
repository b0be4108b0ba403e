"""Signal filters of limits: sample by sample the same as over a whole record, and never blind."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.alarm import excursions
from shared.alarm.episodes import episodes, filtered
from shared.alarm.excursions import NEVER, count, grid_spans
from shared.alarm.filters import (
    DAY_BUCKET_MS,
    DAY_LEAST,
    DAY_MS,
    FILTERS,
    MEAN_MS,
    MOST_LATE,
    Filter,
    SignalFilter,
)
from shared.alarm.grid import Grid
from shared.alarm.point import Setting, Side

MINUTE = 60_000
GAPS = (0, 200_000, 3_600_000, 30_000_000, 200_000_000)


def _signal(seed: int, every: int, days: float, gap: int) -> tuple[list[int], list[float]]:
    """Irregular samples with a hole, some bad, some at one instant, and a value beyond all sums."""
    random = np.random.default_rng(seed)
    many = min(1_800, int(days * DAY_MS / every))
    steps = random.integers(0, 2 * every, many)
    steps[random.random(many) < 0.02] = 0
    steps[many // 2] += gap
    values = random.normal(size=many).cumsum() * 0.3 + random.normal(size=many)
    values[random.random(many) < 0.01] = math.nan
    values[random.integers(0, many, 4)] = (1e300, -1e300, math.inf, -math.inf)
    times = 1_700_000_000_123 + np.cumsum(steps)
    return times.tolist(), values.tolist()


SIGNAL = st.builds(
    _signal, st.integers(0, 1 << 32), st.sampled_from([900, 7_000, 55_000, 61_000, 140_000]),
    st.sampled_from([0.01, 0.1, 2.8]), st.sampled_from(GAPS),
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(signal=SIGNAL, kind=st.sampled_from(FILTERS))
def test_the_running_filter_sees_what_the_counting_sees(
    signal: tuple[list[int], list[float]], kind: Filter
) -> None:
    """Every sample to the last bit, and the same samples of which the window is not known."""
    times, values = signal
    told = list(filtered(times, values, kind, 0.5))
    at, good = excursions._numbers(times, values, None)
    seen, known = excursions.filtered(at, good, kind, 0.5)
    assert [each[0] for each in told] == at.tolist()
    assert [each[1] for each in told] == seen.tolist()
    assert [each[2] for each in told] == ([True] * len(at) if known is None else known.tolist())


@settings(max_examples=12, deadline=None)
@given(
    signal=SIGNAL,
    side=st.sampled_from(get_args(Side)),
    fallback=st.none() | st.builds(
        Setting, st.sampled_from([-1.0, 0.0, 2.0]), st.sampled_from([0.0, 0.7]),
        st.sampled_from([0, 30_000, 600_000]), st.sampled_from([0, 90_000]),
    ),
)  # fmt: skip
def test_a_grid_with_filters_tells_what_the_live_point_tells(
    signal: tuple[list[int], list[float]], side: Side, fallback: Setting | None
) -> None:
    """Also where the window fills, where a hole empties it, and under the engineer's numbers."""
    times, values = signal
    grid = Grid(
        side, (0.5, 1.5), (0.0, 0.4), (0, 60_000), (0, 300_000), FILTERS, 0.5, fallback,
    )  # fmt: skip
    end = times[-1] + 100_000
    for index, found in grid_spans(times, values, grid, end):
        mine = [
            (int(r), None if c == NEVER else int(c))
            for r, c in zip(found.raised, found.cleared, strict=True)
        ]
        assert mine == episodes(
            times, values, grid.setting(index), grid.side, None, 0.5, end, fallback
        )


def test_a_mean_is_the_mean_and_a_day_is_the_deviation_from_its_mean() -> None:
    """Plain numbers, held against plain arithmetic."""
    times = [i * MINUTE for i in range(2 * 1440)]
    values = [float(i % 7) for i in range(len(times))]
    mean = list(filtered(times, values, "mean5min"))
    assert [known for _, _, known in mean[:7]] == [False] * 5 + [True] * 2
    assert mean[3][1] == 3.0, "until it is filled, the sample itself"
    assert mean[100][1] == pytest.approx(sum(values[96:101]) / 5)
    day = list(filtered(times, values, "day", 10.0))
    assert [known for _, _, known in day].index(True) == DAY_LEAST * 5
    # 288 whole pieces of 5 min before the one under way.
    assert day[-1][1] == pytest.approx(values[-1] - sum(values[-1445:-5]) / 1440 + 10.0)


def test_a_hole_empties_the_mean_at_once_and_the_day_by_what_is_missing() -> None:
    """After a pause the limit is held against samples again, until enough is known."""
    run, day = SignalFilter("mean5min"), SignalFilter("day")
    for minute in range(2 * 1440):
        run.take(minute * MINUTE, 1.0)
        day.take(minute * MINUTE, 1.0)
    late = 2 * 1440 * MINUTE + 3 * 3_600_000
    run.take(late, 5.0)
    day.take(late, 5.0)
    assert (run.filled, run.seen(5.0)) == (False, 5.0)
    assert (day.filled, day.seen(5.0)) == (False, 5.0), "its time is confirmed by no other"
    day.take(late + MINUTE, 5.0)
    assert (day.filled, day.seen(5.0)) == (True, 4.0), "three hours of a day are missing"
    day.take(late + 8 * 3_600_000, 5.0)
    day.take(late + 8 * 3_600_000 + MINUTE, 5.0)
    assert (day.filled, day.seen(5.0)) == (False, 5.0), "eleven hours are"
    assert run.share() == 0.0
    assert 0.5 < day.share() < 1.0


@pytest.mark.parametrize("kind", ["mean5min", "day"])
def test_a_clock_that_goes_back_does_not_blind_it(kind: Filter) -> None:
    """A few overtaken samples count where they belong; a clock set back begins anew, on samples."""
    run = SignalFilter(kind)
    for second in range(0, 2 * 86_400, 20):
        run.take(second * 1000, 1.0)
    assert run.filled
    run.take(2 * DAY_MS - 30_000, 1.0)
    assert run.filled
    for step in range(MOST_LATE):
        run.take(DAY_MS // 2 + step * 1000, 9.0)
    assert not run.filled
    assert run.seen(9.0) == 9.0
    for step in range(MOST_LATE, 400):
        run.take(DAY_MS // 2 + step * 1000, 9.0)
    assert run.filled == (kind == "mean5min")
    assert run.seen(9.0) == 9.0


@pytest.mark.parametrize("kind", FILTERS)
def test_an_infinite_value_is_an_alarm_under_every_filter(kind: Filter) -> None:
    """As on raw samples; and it does not hide the deviations of the day after it."""
    times = [i * MINUTE for i in range(1500)]
    values = [1.0] * len(times)
    values[1450] = math.inf
    setting = Setting(50.0, filter=kind)
    found = episodes(times, values, setting, "HI", None, 1.0)
    assert [raised for raised, _ in found] == [1450 * MINUTE]
    counted = excursions.spans(times, values, setting, "HI", None, 1.0)
    assert counted.raised.tolist() == [1450 * MINUTE]
    day = SignalFilter("day")
    for at, value in zip(times, values, strict=True):
        day.take(at, value)
    assert day.seen(3.0, 1.0) == 3.0


@pytest.mark.parametrize("kind", ["mean5min", "day"])
def test_while_late_samples_are_dropped_the_samples_themselves_count(kind: Filter) -> None:
    """A clock set back by more than the window: no old mean stands in for what is measured now."""
    run = SignalFilter(kind)
    for second in range(0, 3 * 86_400, 20):
        run.take(second * 1000, 1.0)
    run.take(DAY_MS, 9.0)
    assert (run.filled, run.seen(9.0)) == (False, 9.0)
    run.take(3 * DAY_MS, 1.0)
    assert run.filled, "it was one alone"


@pytest.mark.parametrize("kind", ["mean5min", "day"])
def test_one_sample_from_the_future_empties_nothing(kind: Filter) -> None:
    """It is held against the engineer's limit by itself; the next of the right time goes on."""
    run, asked = SignalFilter(kind), 2 * DAY_MS
    for second in range(0, 2 * 86_400, 20):
        run.take(second * 1000, 1.0)
    run.asked = True
    run.take(asked + 3 * DAY_MS, 9.0)
    assert (run.filled, run.seen(9.0), run.share()) == (False, 9.0, float(kind == "day"))
    run.take(asked + 20_000, 1.0)
    assert (run.filled, run.seen(1.0, 1.0)) == (True, 1.0)
    # Two that agree are a clock that was set forward; history is asked again after one set back.
    run.take(asked + 3 * DAY_MS, 9.0)
    run.take(asked + 3 * DAY_MS + 20_000, 9.0)
    assert not run.filled
    for step in range(MOST_LATE):
        run.take(asked + 40_000 + step * 20_000, 1.0)
    assert not run.asked


def test_memory_is_bounded_whatever_comes() -> None:
    """A fast signal costs no more than a slow one, and times from anywhere cost nothing."""
    run = SignalFilter("day")
    for step in range(40_000):
        run.take(step * 7_777, float(step))
    run.take(4_000_000_000_000_000, 1.0)
    assert len(run._pieces) <= 289


def test_history_fills_what_a_restart_has_emptied_to_the_last_bit() -> None:
    """What was before the start, from history, makes the filter that had never stopped."""
    random = np.random.default_rng(3)
    times = [int(t) for t in np.cumsum(random.integers(1, 60_000, 6_000))]
    values = [float(v) for v in random.normal(size=len(times))]
    whole, again = SignalFilter("day"), SignalFilter("day")
    cut = len(times) * 3 // 4
    for at, value in zip(times, values, strict=True):
        whole.take(at, value)
    for at, value in zip(times[cut:], values[cut:], strict=True):
        again.take(at, value)
    until = again.first_closed
    assert until is not None
    assert until % DAY_BUCKET_MS == 0
    older = SignalFilter("day")
    for at, value in zip(times, values, strict=True):
        if at < until:
            older.take(at, value)
    again.prepend(older, until)
    assert again.filled
    assert again.seen(values[-1], 0.5) == whole.seen(values[-1], 0.5)


def test_a_grid_keeps_its_name_unless_it_has_a_fallback() -> None:
    """Counters of days add up by the digest: grids of raw samples are what they were."""
    plain = Grid("HI", (1.0, 2.0))
    assert "fallback" not in plain.to_dict()
    held = Grid("HI", (1.0, 2.0), filters=("raw", "day"), fallback=Setting(1.0, 0.5, 1000, 2000))
    assert Grid.from_dict(held.to_dict()) == held
    assert held.digest != Grid("HI", (1.0, 2.0), filters=("raw", "day")).digest
    assert held.setting(1).filter == "raw"
    assert held.index(held.setting(3)) == 3
    assert held.setting(3).filter == "day"
    with pytest.raises(ValueError, match="not a grid"):
        Grid.from_dict({**plain.to_dict(), "fallback": [1.0]})
    with pytest.raises(ValueError, match="finite"):
        Grid("HI", (1.0,), fallback=Setting(math.nan))


def test_a_day_of_samples_a_second_is_counted_quickly() -> None:
    """The brain counts a grid with filters over a day at full rate."""
    times = np.arange(2 * 86_400) * 1000
    values = np.random.default_rng(1).normal(size=len(times))
    grid = Grid("HI", (2.0, 3.0), filters=FILTERS, fallback=Setting(3.0))
    found = count(times, values, grid, since=DAY_MS, until=2 * DAY_MS)
    assert found.activations[0] > found.activations[1] > 0
    assert found.activations[2] == 0, "a mean of 300 samples lies within two sigma"
    assert MEAN_MS == 300_000
