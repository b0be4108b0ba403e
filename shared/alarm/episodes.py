"""The episodes of one alarm point over a recorded signal, told by the very function that runs live.

Pure, without numpy: the edge's dry run and small replays call it. `excursions` counts the same
episodes for a whole grid at once and is tested against this module.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from math import isfinite

from shared.alarm.grid import Filter
from shared.alarm.point import PointState, Setting, Side, due, sample, tick

MEAN_MS = 300_000
DAY_MS = 86_400_000
Episode = tuple[int, int | None]
"""When it was raised and when it cleared; None: it still stands."""


def episodes(
    times_ms: Iterable[int],
    values: Iterable[float],
    setting: Setting,
    side: Side,
    filter: Filter = "raw",
    centre: float = 0.0,
    until: int | None = None,
) -> list[Episode]:
    """What the setting would have told, oldest first.

    Times do not decrease, and of samples at the same millisecond the last counts; what is not a
    finite number is passed over, as a bad sample is. Delays end by the clock, also between two
    samples; after the last sample time runs on to `until`.
    """
    state, found, at = PointState(), list[Episode](), None
    for at, value in filtered(times_ms, values, filter, centre):
        ends = due(setting, state)
        if ends is not None and ends < at:
            state, change = tick(setting, state, ends)
            _note(found, change, ends)
        state, change = sample(setting, side, state, value, at)
        _note(found, change, at)
    ends = due(setting, state)
    if ends is not None and until is not None and ends <= until:
        _note(found, tick(setting, state, ends)[1], ends)
    return found


def _note(found: list[Episode], change: str | None, at: int) -> None:
    if change == "raise":
        found.append((at, None))
    elif change == "clear":
        found[-1] = (found[-1][0], at)


def filtered(
    times_ms: Iterable[int], values: Iterable[float], filter: Filter, centre: float = 0.0
) -> Iterator[tuple[int, float]]:
    """The finite samples as the limit sees them: each uses what was known at its own time only."""
    finite = _last_of_each(zip(times_ms, values, strict=True))
    if filter == "raw":
        yield from finite
        return
    span = MEAN_MS if filter == "mean5min" else DAY_MS
    window: deque[tuple[int, float]] = deque()
    origin, total = 0.0, 0.0
    for at, value in finite:
        if not window and not total:
            origin = value
        window.append((at, value - origin))
        total += value - origin
        while window[0][0] <= at - span:
            total -= window.popleft()[1]
        mean = origin + total / len(window)
        yield at, mean if filter == "mean5min" else value - mean + centre


def _last_of_each(samples: Iterable[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    held: tuple[int, float] | None = None
    for at, value in samples:
        if not isfinite(value):
            continue
        if held is not None and at > held[0]:
            yield held
        elif held is not None and at < held[0]:
            raise ValueError("the times of a signal do not decrease")
        held = (at, value)
    if held is not None:
        yield held
