"""What every candidate of a grid would have told about a recorded signal: one scan for all.

Called by the brain's shadow counting and by the group's back-test. The episodes are those of
`episodes`, which drives the live alarm point sample by sample; it never judges a candidate.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from shared.alarm.episodes import DAY_MS, MEAN_MS, episodes
from shared.alarm.grid import Filter, Grid
from shared.alarm.point import Setting, Side, is_high

__all__ = ["Counts", "Spans", "count", "episodes", "filtered", "grid_spans", "spans", "verdicts"]

AT_LEAST_MS = 300_000
"""An alarm that stands for less than this has not announced a fault."""
NEVER = np.iinfo(np.int64).max
"""The clearing time of an episode that still stands."""
Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Spans:
    """Episodes as two columns: when they were raised, when they cleared (or `NEVER`)."""

    raised: Times
    cleared: Times


@dataclass(frozen=True, slots=True)
class Counts:
    """Per candidate: how often it would have told, and for how long in all."""

    activations: npt.NDArray[np.int32]
    standing_s: npt.NDArray[np.float32]


def count(
    times_ms: npt.ArrayLike,
    values: npt.ArrayLike,
    grid: Grid,
    valid: npt.ArrayLike | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Counts:
    """Activations and standing time of every candidate within [`since`, `until`).

    Samples before `since` only warm up filters and delays. Without `until` the last sample is the
    end of time; what still stands then is counted as standing to the end.
    """
    times, signal = _finite(times_ms, values, valid)
    activations = np.zeros(len(grid), np.int32)
    standing = np.zeros(len(grid), np.float32)
    if not len(times):
        return Counts(activations, standing)
    start = int(times[0]) if since is None else since
    end = int(times[-1]) if until is None else until
    for index, found in _grid_spans(times, signal, grid, end):
        inside = found.raised >= start
        if until is not None:
            inside &= found.raised < until
        activations[index] = np.count_nonzero(inside)
        lasted = np.minimum(found.cleared, end) - np.maximum(found.raised, start)
        standing[index] = lasted[lasted > 0].sum() / 1000
    return Counts(activations, standing)


def verdicts(
    times_ms: npt.ArrayLike,
    values: npt.ArrayLike,
    grid: Grid,
    start: int,
    end: int,
    valid: npt.ArrayLike | None = None,
    at_least_ms: int = AT_LEAST_MS,
    until: int | None = None,
) -> npt.NDArray[np.float32]:
    """Per candidate the seconds from `start` to its first alarm that announced the fault, else -1.

    It announces the fault when it begins in [`start`, `end`] and stands for `at_least_ms`; what
    stood before the fault began has said nothing about it.
    """
    times, signal = _finite(times_ms, values, valid)
    delays = np.full(len(grid), -1.0, np.float32)
    if not len(times):
        return delays
    last = int(times[-1]) if until is None else until
    for index, found in _grid_spans(times, signal, grid, last):
        lasted = np.minimum(found.cleared, last) - found.raised
        told = (found.raised >= start) & (found.raised <= end) & (lasted >= at_least_ms)
        if told.any():
            delays[index] = (found.raised[told.argmax()] - start) / 1000
    return delays


def spans(
    times_ms: npt.ArrayLike,
    values: npt.ArrayLike,
    setting: Setting,
    side: Side,
    filter: Filter = "raw",
    centre: float = 0.0,
    until: int | None = None,
) -> Spans:
    """The episodes of one setting as columns; the same as `episodes`, many times faster."""
    grid = Grid(
        side,
        (setting.limit,),
        (setting.deadband,),
        (setting.on_delay_ms,),
        (setting.off_delay_ms,),
        (filter,),
        centre,
    )
    return next(grid_spans(times_ms, values, grid, until))[1]


def grid_spans(
    times_ms: npt.ArrayLike, values: npt.ArrayLike, grid: Grid, until: int | None = None
) -> Iterator[tuple[int, Spans]]:
    """(candidate, its episodes) of the whole grid, in its order."""
    times, signal = _finite(times_ms, values, None)
    end = until if until is not None else int(times[-1]) if len(times) else 0
    yield from _grid_spans(times, signal, grid, end)


def filtered(times: Times, values: Values, filter: Filter, centre: float = 0.0) -> Values:
    """The samples as the limit sees them: each uses what was known at its own time only."""
    if filter == "raw" or not len(times):
        return values
    span = MEAN_MS if filter == "mean5min" else DAY_MS
    origin = values[0]
    total = np.concatenate(([0.0], np.cumsum(values - origin)))
    first = np.searchsorted(times, times - span, side="right")
    behind = np.arange(1, len(times) + 1)
    mean = origin + (total[behind] - total[first]) / (behind - first)
    return mean if filter == "mean5min" else values - mean + centre


def _finite(
    times_ms: npt.ArrayLike, values: npt.ArrayLike, valid: npt.ArrayLike | None
) -> tuple[Times, Values]:
    times, signal = np.asarray(times_ms, np.int64), np.asarray(values, np.float64)
    if times.shape != signal.shape or times.ndim != 1:
        raise ValueError(f"{times.shape} times for {signal.shape} values")
    good = np.isfinite(signal)
    if valid is not None:
        good &= np.asarray(valid, np.bool_)
    if not good.all():
        times, signal = times[good], signal[good]
    step = np.diff(times)
    if len(times) > 1 and step.min() <= 0:
        if step.min() < 0:
            raise ValueError("the times of a signal do not decrease")
        last = np.concatenate((step > 0, [True]))
        times, signal = times[last], signal[last]
    return times, signal


def _grid_spans(times: Times, signal: Values, grid: Grid, end: int) -> Iterator[tuple[int, Spans]]:
    sign = 1.0 if is_high(grid.side) else -1.0
    index = 0
    for filter in grid.filters:
        # A low limit is a high one of the mirrored signal, to the last bit.
        seen = sign * filtered(times, signal, filter, grid.centre)
        for limit in grid.limits:
            above = seen > sign * limit
            for deadband in grid.deadbands:
                back = above if deadband == 0 else seen > sign * limit - deadband
                runs = _runs(times, above, back)
                for on_ms in grid.on_ms:
                    for off_ms in grid.off_ms:
                        yield index, _delayed(*runs, on_ms, off_ms, end)
                        index += 1


def _runs(times: Times, above: Any, back: Any) -> tuple[Times, Times]:
    """Times at which the signal went beyond the limit and came back past the deadband."""
    step = np.flatnonzero(above[1:] & ~above[:-1]) + 1
    begins = np.concatenate(([0], step)) if len(above) and above[0] else step
    if not len(begins):
        return times[:0], times[:0]
    below = np.flatnonzero(~back)
    place = np.searchsorted(below, begins)
    # Runs that end at the same sample are one: the deadband held it.
    new = np.ones(len(begins), np.bool_)
    new[1:] = place[1:] != place[:-1]
    begins, place = begins[new], place[new]
    ends = np.full(len(begins), NEVER, np.int64)
    over = place < len(below)
    ends[over] = times[below[place[over]]]
    return times[begins], ends


def _delayed(begins: Times, ends: Times, on_ms: int, off_ms: int, end: int) -> Spans:
    """The episodes that runs beyond the limit make under an on-delay and an off-delay."""
    if not len(begins):
        return Spans(begins, begins)
    # The pending change is made at its time if the signal has not turned by then; a run that is
    # still open has until `end`.
    long = begins + on_ms < ends if on_ms else np.ones(len(begins), np.bool_)
    if ends[-1] == NEVER and begins[-1] + on_ms > end:
        long[-1] = False
    # Runs with gaps that the off-delay bridges belong together: one may raise, all must end.
    last = np.ones(len(begins), np.bool_)
    if off_ms:
        last[:-1] = ends[:-1] + off_ms < begins[1:]
    group = np.concatenate(([0], np.cumsum(last)[:-1]))
    raising = np.flatnonzero(long)
    if not len(raising):
        return Spans(begins[:0], begins[:0])
    of = group[raising]
    first = np.ones(len(raising), np.bool_)
    first[1:] = of[1:] != of[:-1]
    closing = ends[np.flatnonzero(last)[of[first]]]
    cleared = np.full(len(closing), NEVER, np.int64)
    closed = closing != NEVER
    cleared[closed] = closing[closed] + off_ms
    cleared[cleared > end] = NEVER
    return Spans(begins[raising[first]] + on_ms, cleared)
