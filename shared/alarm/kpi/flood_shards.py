"""The sliding window in pieces: what a stretch of time does to a flood, whatever came before it.

`FloodShard.of` looks at a stretch by itself, `joined` puts two neighbours together, `ended` gives
the floods. Called by `shards.py`. A stretch is a whole number of windows long.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from shared.alarm.kpi.floods import Flood, Span, Walk, cut, walk
from shared.alarm.kpi.limits import KpiLimits


@dataclass(frozen=True, slots=True)
class Course:
    """A stretch entered with a flood standing or not: what happens, and how it is left."""

    spans: tuple[Span, ...] = ()
    on: bool = False

    def then(self, later: Course) -> Course:
        """This stretch and the next; a flood that stands in between is one."""
        if not (self.on and later.spans):
            return Course(self.spans + later.spans, later.on)
        (start, _), (_, end) = self.spans[-1], later.spans[0]
        return Course((*self.spans[:-1], (start, end), *later.spans[1:]), later.on)


@dataclass(frozen=True, slots=True)
class FloodShard:
    """One stretch `[begin, end)`. Its first window depends on what came before and is kept raw."""

    begin: int
    end: int
    head: tuple[int, ...]
    """Annunciations of the first window."""
    tail: tuple[int, ...]
    """Annunciations of the last window."""
    peak: int
    """The worst count after the first window."""
    courses: tuple[Course, Course]
    """After the first window, entered without and with a flood."""

    @classmethod
    def of(cls, times: Sequence[int], begin: int, end: int, limits: KpiLimits) -> FloodShard:
        """Look at a stretch; `times` are sorted and lie in it."""
        settled = begin + limits.window_ms
        ways = [walk(times, settled, end, on, limits) for on in (False, True)]
        head = tuple(times[: bisect_left(times, settled)])
        tail = tuple(times[bisect_left(times, end - limits.window_ms) :])
        return cls(begin, end, head, tail, ways[0].peak, (_course(ways[0]), _course(ways[1])))

    def joined(self, later: FloodShard, limits: KpiLimits) -> FloodShard:
        """This stretch and its next neighbour as one."""
        assert self.end == later.begin, "only neighbours can be joined"
        settled = later.begin + limits.window_ms
        times = (*self.tail, *later.head)
        between = [walk(times, later.begin, settled, on, limits) for on in (False, True)]

        def course(entered: bool) -> Course:
            here = self.courses[entered]
            first = _course(between[here.on])
            return here.then(first).then(later.courses[first.on])

        worst = max(self.peak, between[0].peak, later.peak)
        courses = (course(False), course(True))
        return FloodShard(self.begin, later.end, self.head, later.tail, worst, courses)

    def ended(self, until: int, limits: KpiLimits) -> tuple[list[Flood], int]:
        """Floods and worst count, if nothing came before; nothing after `until` is looked at."""
        first = walk(self.head, self.begin, self.begin + limits.window_ms, False, limits)
        whole = _course(first).then(self.courses[first.on])
        return cut(whole.spans, self.begin, until), max(first.peak, self.peak)


def _course(way: Walk) -> Course:
    return Course(tuple(way.spans), way.on)
