"""Floods and peaks of annunciations in a sliding window. Pure; other parts may call it as well.

`floods(times)` is the one definition of a flood in Andon: figures, banner and incidents use it.
It starts at the annunciation that makes more than 10 in `(t-600 s, t]`, and ends at the first
instant at which fewer than 5 are left, arrivals at that instant included.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.alarm.kpi.limits import DEFAULT, KpiLimits

Span = tuple[int | None, int | None]
"""(beginning, end) of a flood; None: it stood already at the beginning, or stands at the end."""
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Flood:
    """One flood, in ms; `ended` is False where the period's end cut it."""

    start: int
    end: int
    ended: bool = True


@dataclass(slots=True)
class Walk:
    """What a stretch of time brought: floods, whether one stands at its end, the worst count."""

    spans: list[Span] = field(default_factory=list)
    on: bool = False
    peak: int = 0


def walk(times: Sequence[int], begin: int, until: int, on: bool, limits: KpiLimits) -> Walk:
    """Go through `[begin, until)`; `times` are sorted, `on`: a flood stands at the beginning."""
    width, total = limits.window_ms, len(times)
    out = Walk([(None, None)] if on else [], on)
    i = j = 0
    while True:
        arrival = times[i] if i < total else _NEVER
        leaving = times[j] + width if j < i else _NEVER
        at = arrival if arrival < leaving else leaving
        if at >= until:
            return out
        while j < i and times[j] + width <= at:
            j += 1
        while i < total and times[i] <= at:
            i += 1
        if at < begin:
            continue
        count = i - j
        if count > out.peak:
            out.peak = count
        if out.on:
            if count < limits.flood_below:
                out.spans[-1] = (out.spans[-1][0], at)
                out.on = False
        elif count > limits.flood_over:
            out.spans.append((at, None))
            out.on = True


def floods(
    times: Sequence[int], until: int | None = None, limits: KpiLimits = DEFAULT
) -> list[Flood]:
    """The floods among annunciations at `times` (ms, sorted), seen until `until` (not included).

    Without `until` each flood is followed to its end, a window's length after the last one.
    """
    if not times:
        return []
    end = times[-1] + limits.window_ms + 1 if until is None else until
    return cut(walk(times, times[0], end, False, limits).spans, times[0], end)


def cut(spans: Sequence[Span], begin: int, until: int) -> list[Flood]:
    """Spans as floods within a period."""
    return [
        Flood(
            begin if start is None else start,
            until if end is None else min(end, until),
            end is not None and end < until,
        )
        for start, end in spans
    ]


def peak(times: Sequence[int], limits: KpiLimits = DEFAULT) -> int:
    """The most annunciations in any window `(t-w, t]`."""
    return walk(times, -_NEVER, _NEVER, False, limits).peak


class FloodFlag:
    """The flag of the banner: on at the 11th alarm in 10 minutes, off when fewer than 5 remain.

    Holds one count for each second of the window, however many alarms there are. A late one is put
    where it belongs; what is older than the window changes nothing.
    """

    def __init__(self, limits: KpiLimits = DEFAULT) -> None:
        self._limits = limits
        self._times: list[int] = []
        self._counts: dict[int, int] = {}
        self.on = False
        self.since: int | None = None

    def add(self, at_ms: int) -> None:
        """An annunciation."""
        at = self._limits.rounded(at_ms * 1_000_000)
        self._age(at - 1)  # arrivals count before what leaves at the same instant
        if at not in self._counts:
            insort(self._times, at)
            self._counts[at] = 0
        self._counts[at] += 1
        if self.on:
            return
        # A late one may make too many of those after it.
        for time in self._times[bisect_left(self._times, at) :]:
            if time - at < self._limits.window_ms and self._count(time) > self._limits.flood_over:
                self.on, self.since = True, time
                return

    def look(self, now_ms: int) -> int:
        """How many are in the window now; switches the flag off when few enough remain."""
        self._age(now_ms)
        return self._count(now_ms)

    def _age(self, until: int) -> None:
        width = self._limits.window_ms
        while self._times and (leaving := self._times[0] + width) <= until:
            del self._counts[self._times.pop(0)]
            if self.on and self._count(leaving) < self._limits.flood_below:
                self.on, self.since = False, None

    def _count(self, at: int) -> int:
        # Rounding may put an alarm of this second up to a resolution ahead of the clock.
        low, high = at - self._limits.window_ms, at + self._limits.resolution_ms
        return sum(count for time, count in self._counts.items() if low < time <= high)
