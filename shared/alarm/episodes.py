"""The episodes of one alarm point over a recorded signal, told by the very function that runs live.

Pure, without numpy: the edge's dry run and small replays call it. `excursions` counts the same
episodes for a whole grid at once and is tested against this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import isnan

from shared.alarm.filters import Filter, SignalFilter
from shared.alarm.point import PointState, Setting, Side, beyond, due, follow, tick

Episode = tuple[int, int | None]
"""When it was raised and when it cleared; None: it still stands."""


def episodes(
    times_ms: Iterable[int],
    values: Iterable[float],
    setting: Setting,
    side: Side,
    filter: Filter | None = None,
    centre: float = 0.0,
    until: int | None = None,
    fallback: Setting | None = None,
    before: SignalFilter | None = None,
) -> list[Episode]:
    """What the setting would have told, oldest first.

    Times do not decrease, and of samples at the same millisecond the last counts; what is not a
    number is passed over, as a bad sample is. Delays end by the clock, also between two
    samples; after the last sample time runs on to `until`. `filter`: in place of the setting's own.
    While its window is not known the samples themselves are held against `fallback`, else against
    the setting; a delay under way is the one that it began with. `before`: a filter that knows what
    was before the first sample; it is used up.
    """
    kind, bare = filter or setting.filter, fallback or setting
    # `under`: the setting by which the present delay runs.
    state, found, under = PointState(), list[Episode](), setting
    for at, value, known in filtered(times_ms, values, kind, centre, before):
        ends = due(under, state)
        if ends is not None and ends < at:
            state, change = tick(under, state, ends)
            _note(found, change, ends)
        now = setting if known else bare
        if beyond(now, side, state.beyond, value) != state.beyond:
            under = now
        state, change = follow(under, state, beyond(now, side, state.beyond, value), at)
        _note(found, change, at)
    ends = due(under, state)
    if ends is not None and until is not None and ends <= until:
        _note(found, tick(under, state, ends)[1], ends)
    return found


def _note(found: list[Episode], change: str | None, at: int) -> None:
    if change == "raise":
        found.append((at, None))
    elif change == "clear":
        found[-1] = (found[-1][0], at)


def filtered(
    times_ms: Iterable[int],
    values: Iterable[float],
    filter: Filter,
    centre: float = 0.0,
    before: SignalFilter | None = None,
) -> Iterator[tuple[int, float, bool]]:
    """(time, value as the limit sees it, whether the filter's window is known) of samples.

    Each uses what was known at its own time only; the sample itself, where it is not known.
    """
    run = before if before is not None and before.kind == filter else SignalFilter(filter)
    for at, value in _last_of_each(zip(times_ms, values, strict=True)):
        run.take(at, value)
        yield at, run.seen(value, centre), run.filled


def _last_of_each(samples: Iterable[tuple[int, float]]) -> Iterator[tuple[int, float]]:
    held: tuple[int, float] | None = None
    for at, value in samples:
        if isnan(value):
            continue
        if held is not None and at > held[0]:
            yield held
        elif held is not None and at < held[0]:
            raise ValueError("the times of a signal do not decrease")
        held = (at, value)
    if held is not None:
        yield held
