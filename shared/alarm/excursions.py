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

from shared.alarm.episodes import episodes
from shared.alarm.filters import (
    AHEAD_MS,
    DAY_BUCKET_MS,
    DAY_BUCKETS,
    DAY_LEAST,
    LARGEST,
    MEAN_BUCKET_MS,
    MEAN_BUCKETS,
    MEAN_MS,
    PAUSE_MS,
    Filter,
)
from shared.alarm.grid import Grid
from shared.alarm.point import Setting, Side, is_high

__all__ = ["Counts", "Spans", "count", "episodes", "filtered", "grid_spans", "spans", "verdicts"]

AT_LEAST_MS = 300_000
"""An alarm that stands for less than this has not announced a fault."""
NEVER = np.iinfo(np.int64).max
"""The clearing time of an episode that still stands."""
Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


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
    times, signal = _numbers(times_ms, values, valid)
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
    times, signal = _numbers(times_ms, values, valid)
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
    filter: Filter | None = None,
    centre: float = 0.0,
    until: int | None = None,
    fallback: Setting | None = None,
) -> Spans:
    """The episodes of one setting as columns; the same as `episodes`, many times faster."""
    grid = Grid(
        side,
        (setting.limit,),
        (setting.deadband,),
        (setting.on_delay_ms,),
        (setting.off_delay_ms,),
        (filter or setting.filter,),
        centre,
        fallback,
    )
    return next(grid_spans(times_ms, values, grid, until))[1]


def grid_spans(
    times_ms: npt.ArrayLike, values: npt.ArrayLike, grid: Grid, until: int | None = None
) -> Iterator[tuple[int, Spans]]:
    """(candidate, its episodes) of the whole grid, in its order."""
    times, signal = _numbers(times_ms, values, None)
    end = until if until is not None else int(times[-1]) if len(times) else 0
    yield from _grid_spans(times, signal, grid, end)


def filtered(
    times: Times, values: Values, filter: Filter, centre: float = 0.0
) -> tuple[Values, Bools | None]:
    """The samples as the limit sees them, and where the filter's window is known (None: all over).

    Each uses what was known at its own time only. The same as `SignalFilter` sample by sample, to
    the last bit: sums are made in the same order.
    """
    if filter == "raw" or not len(times):
        return values, None
    clipped = np.clip(values, -LARGEST, LARGEST)
    if filter == "mean5min":
        pieces = _pieces(times, clipped, MEAN_BUCKET_MS)
        total, closed, _ = _behind(pieces, MEAN_BUCKETS - 1)
        seen = (total[pieces.of] + pieces.running) / (closed[pieces.of] + pieces.rank + 1)
        fresh = np.concatenate(([True], np.diff(times) > PAUSE_MS))
        known = times - times[np.maximum.accumulate(np.where(fresh, np.arange(len(times)), 0))]
        return np.where(known >= MEAN_MS, seen, values), known >= MEAN_MS
    pieces = _pieces(times, clipped, DAY_BUCKET_MS, np.abs(values) <= LARGEST)
    total, closed, many = _behind(pieces, DAY_BUCKETS)
    # A sample far ahead of the one before is not in the window until the next one confirms it.
    ahead = np.concatenate(([False], np.diff(times) > AHEAD_MS["day"]))
    full = (many >= DAY_LEAST)[pieces.of] & ~ahead
    usual = (total / np.maximum(closed, 1))[pieces.of]
    return np.where(full, clipped - usual + centre, values), full


@dataclass(frozen=True, slots=True)
class _Pieces:
    """A signal cut at multiples of a length of time."""

    number: Times
    """Of each piece that holds samples."""
    sums: Values
    counts: Times
    of: npt.NDArray[np.intp]
    """By sample: the place of its piece."""
    rank: npt.NDArray[np.intp]
    """By sample: how many of its piece come before it."""
    running: Values
    """By sample: the sum of its piece up to and with it."""


def _pieces(times: Times, values: Values, length: int, taken: Bools | None = None) -> _Pieces:
    """With the samples that are `taken` into sums; None: all are."""
    number, first, counts = np.unique(times // length, return_index=True, return_counts=True)
    of = np.repeat(np.arange(len(number)), counts)
    rank = np.arange(len(times)) - first[of]
    values = values if taken is None else np.where(taken, values, 0.0)
    running = values.copy()
    # One addition after the other within a piece, for all pieces at once.
    for place in range(1, int(counts.max())):
        at = first[counts > place] + place
        running[at] = running[at - 1] + values[at]
    sums = running[first + counts - 1]
    if taken is not None:
        counts = np.add.reduceat(taken.astype(np.int64), first)
    return _Pieces(number, sums, counts, of, rank, running)


def _behind(pieces: _Pieces, many: int) -> tuple[Values, Times, Times]:
    """By piece: sum and samples of the `many` pieces of time before it, and how many hold any."""
    number, size = pieces.number, len(pieces.number)
    total, closed = np.zeros(size), np.zeros(size, np.int64)
    first = np.searchsorted(number, number - many)
    held = np.arange(size) - first
    for back in range(int(held.max()), 0, -1):  # oldest first
        at = np.flatnonzero(held >= back)
        total[at] += pieces.sums[at - back]
        closed[at] += pieces.counts[at - back]
    holding = np.concatenate(([0], np.cumsum(pieces.counts > 0)))
    return total, closed, holding[:-1] - holding[first]


def _numbers(
    times_ms: npt.ArrayLike, values: npt.ArrayLike, valid: npt.ArrayLike | None
) -> tuple[Times, Values]:
    times, signal = np.asarray(times_ms, np.int64), np.asarray(values, np.float64)
    if times.shape != signal.shape or times.ndim != 1:
        raise ValueError(f"{times.shape} times for {signal.shape} values")
    good = ~np.isnan(signal)
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
    # A low limit is a high one of the mirrored signal, to the last bit.
    plain, index = sign * signal, 0
    for filter in grid.filters:
        values, known = filtered(times, signal, filter, grid.centre)
        bare = None if known is None or known.all() else grid.fallback
        seen = sign * values
        for limit in grid.limits:
            above = seen > sign * limit
            if bare is not None and known is not None:
                above = np.where(known, above, plain > sign * bare.limit)
            for deadband in grid.deadbands:
                back = above if deadband == 0 and bare is None else seen > sign * limit - deadband
                if bare is not None and known is not None:
                    back = np.where(known, back, plain > sign * bare.limit - bare.deadband)
                begins, ends = _runs(above, back)
                for on_ms in grid.on_ms:
                    on = _by_sample(on_ms, begins, known, bare and bare.on_delay_ms)
                    for off_ms in grid.off_ms:
                        off = _by_sample(off_ms, ends, known, bare and bare.off_delay_ms)
                        yield index, _delayed(_at(times, begins), _at(times, ends), on, off, end)
                        index += 1


def _by_sample(
    delay: int, places: npt.NDArray[np.intp], known: Bools | None, bare: int | None
) -> int | Times:
    """The delay that a change at each of these samples begins."""
    if known is None or bare is None or bare == delay:
        return delay
    return np.where(known[np.minimum(places, len(known) - 1)], delay, bare).astype(np.int64)


def _at(times: Times, places: npt.NDArray[np.intp]) -> Times:
    """Times of samples; the place behind the last is never."""
    over = places == len(times)
    if not over.any():
        return times[places]
    return np.where(over, NEVER, times[np.minimum(places, len(times) - 1)])


def _runs(above: Any, back: Any) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Samples at which the signal went beyond the limit and came back past the deadband."""
    step = np.flatnonzero(above[1:] & ~above[:-1]) + 1
    begins = np.concatenate(([0], step)) if len(above) and above[0] else step
    if not len(begins):
        return begins[:0], begins[:0]
    below = np.flatnonzero(~back)
    place = np.searchsorted(below, begins)
    # Runs that end at the same sample are one: the deadband held it.
    new = np.ones(len(begins), np.bool_)
    new[1:] = place[1:] != place[:-1]
    begins, place = begins[new], place[new]
    ends = np.full(len(begins), len(above), np.intp)
    over = place < len(below)
    ends[over] = below[place[over]]
    return begins, ends


def _delayed(
    begins: Times, ends: Times, on_ms: int | Times, off_ms: int | Times, end: int
) -> Spans:
    """The episodes that runs beyond the limit make under an on-delay and an off-delay."""
    if not len(begins):
        return Spans(begins, begins)
    # The pending change is made at its time if the signal has not turned by then; a run that is
    # still open has until `end`.
    told = begins + on_ms
    long = (told < ends) | (told == begins)
    if ends[-1] == NEVER and told[-1] > end:
        long[-1] = False
    # Runs with gaps that the off-delay bridges belong together: one may raise, all must end.
    closed = ends != NEVER  # only the last one may not be
    over = ends.copy()
    over[closed] += off_ms if isinstance(off_ms, int) else off_ms[closed]
    last = np.ones(len(begins), np.bool_)
    last[:-1] = (over[:-1] < begins[1:]) | (over[:-1] == ends[:-1])
    group = np.concatenate(([0], np.cumsum(last)[:-1]))
    raising = np.flatnonzero(long)
    if not len(raising):
        return Spans(begins[:0], begins[:0])
    of = group[raising]
    first = np.ones(len(raising), np.bool_)
    first[1:] = of[1:] != of[:-1]
    cleared = over[np.flatnonzero(last)[of[first]]]
    cleared[cleared > end] = NEVER
    return Spans(told[raising[first]], cleared)
