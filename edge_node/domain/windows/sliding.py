"""Windows that end now: over time as a ring of buckets, or over the last so many samples.

Used by `of_tag`. A sample costs the same however many the window holds.
"""

from __future__ import annotations

import bisect
from collections import deque
from typing import TYPE_CHECKING

from edge_node.domain.windows.figures import Figures, Late, percentile
from edge_node.kernel import Ring

BUCKETS = 32
"""A sliding window is exact while its samples are further apart than this part of its length,
and at most so much longer than written when they are closer."""
MAX_SORTED = 4096
"""Samples kept for a percentile; of more, the newest count."""


class PureSliding:
    """The samples later than `span_ms` ago, in buckets; the fallback and oracle of `Ring`."""

    __slots__ = ("_before", "_before_at", "_buckets", "_closed", "_starts", "late", "span_ms",
                 "tolerance_ms", "width")  # fmt: skip

    def __init__(self, span_ms: int, late: Late | None = None, tolerance_ms: int = 1000) -> None:
        self.span_ms, self.tolerance_ms = span_ms, tolerance_ms
        self.width = max(1, span_ms // BUCKETS)
        self.late = late or Late()
        self._buckets: deque[Figures] = deque()
        self._starts: deque[int] = deque()
        self._closed: Figures | None = None
        """All but the newest bucket, merged; None after a change among them."""
        self._before: float | None = None
        """The value that held when the window began."""
        self._before_at = 0

    def add(self, at: int, value: float) -> None:
        """Take one sample."""
        if not self._buckets or at >= self._starts[-1]:
            if not self._buckets or at >= self._starts[-1] + self.width:
                self._expire(at)
                self._buckets.append(Figures())
                self._starts.append(at)
                self._closed = None
            self._buckets[-1].add(at, value)
            return
        self._add_late(at, value)

    def _add_late(self, at: int, value: float) -> None:
        newest = self._buckets[-1].last_at
        if at <= newest - self.span_ms:
            self.late.too_late += 1
            if self._before is None or at >= self._before_at:
                self._before, self._before_at = value, at
            return
        self.late.late += at < newest - self.tolerance_ms
        place = max(0, bisect.bisect_right(self._starts, at) - 1)
        self._buckets[place].add(at, value)
        self._starts[place] = min(self._starts[place], at)
        self._closed = None

    def _expire(self, now: int) -> None:
        start = now - self.span_ms
        buckets = self._buckets
        while buckets and buckets[0].last_at <= start:
            gone = buckets.popleft()
            _ = self._starts.popleft()
            self._before, self._before_at = gone.last, gone.last_at
            self._closed = None

    def __len__(self) -> int:
        """Buckets in use."""
        return len(self._buckets)

    def ends(self) -> tuple[int, int, float, int, float]:
        """Number of samples, time and value of the first and of the last."""
        total = self._total()
        return total.n, total.first_at, total.first, total.last_at, total.last

    def _total(self) -> Figures:
        if self._closed is None:
            self._closed = Figures()
            for index in range(len(self._buckets) - 1):
                self._closed.merge(self._buckets[index])
        total = Figures()
        total.merge(self._closed)
        if self._buckets:
            total.merge(self._buckets[-1])
        return total

    def figure(self, function: str, now: int) -> float | bool | None:
        """A figure over (now - span, now]; None without data."""
        self._expire(now)
        if function == "lag":
            return self._before
        total = self._total()
        if function == "count":
            return float(total.n)
        if self._before is None:
            return total.figure(function)
        if not total.n or function in ("rate", "changed"):
            # A value that has not changed since before the window still holds; a change and a rate
            # are against the value that held when it began.
            held = Figures()
            held.add(self._before_at, self._before)
            held.merge(total)
            return held.figure(function)
        return total.figure(function)


if TYPE_CHECKING:
    Sliding = PureSliding
else:
    Sliding = PureSliding if Ring is None else Ring
"""The form that runs here; `Sliding(span_ms, late, tolerance_ms)`."""


class SlidingOrder:
    """The samples later than `span_ms` ago in the order of their values, for percentiles."""

    __slots__ = ("_before", "_newest", "_order", "_points", "dropped", "late", "span_ms",
                 "tolerance_ms")  # fmt: skip

    def __init__(self, span_ms: int, late: Late | None = None, tolerance_ms: int = 1000) -> None:
        self.span_ms, self.tolerance_ms = span_ms, tolerance_ms
        self.late = late or Late()
        self._points: list[tuple[int, float]] = []
        self._order: list[float] = []
        self._before: float | None = None
        self._newest = -(2**63)
        self.dropped = 0
        """Samples that left early because the window was full."""

    def add(self, at: int, value: float) -> None:
        """Take one sample."""
        self._expire(max(at, self._newest))
        if at <= self._newest - self.span_ms:
            self.late.too_late += 1
            return
        self.late.late += at < self._newest - self.tolerance_ms
        self._newest = max(at, self._newest)
        if len(self._points) >= MAX_SORTED:
            self.dropped += 1
            self._drop(1)
        bisect.insort(self._points, (at, value))
        bisect.insort(self._order, value)

    def _expire(self, now: int) -> None:
        gone = bisect.bisect_right(self._points, now - self.span_ms, key=lambda p: p[0])
        if gone:
            self._before = self._points[gone - 1][1]
            self._drop(gone)

    def _drop(self, count: int) -> None:
        for _, value in self._points[:count]:
            del self._order[bisect.bisect_left(self._order, value)]
        del self._points[:count]

    def percentile(self, share: float, now: int) -> float | None:
        """The percentile over (now - span, now]."""
        self._expire(now)
        return percentile(self._order, share) if self._order else self._before


class Newest:
    """The last `size` samples, and the one before them for `lag`."""

    __slots__ = ("_points",)

    def __init__(self, size: int) -> None:
        self._points: deque[tuple[int, float]] = deque(maxlen=size + 1)

    def add(self, at: int, value: float) -> None:
        """Take one sample; one that is late has its place by its arrival."""
        self._points.append((at, value))

    def figure(self, function: str, share: float | None = None) -> float | bool | None:
        """A figure over the last samples; None while there are fewer than the window holds.

        `lag` is the value so many samples before the newest.
        """
        points, size = self._points, (self._points.maxlen or 1) - 1
        if function == "lag":
            return points[0][1] if len(points) > size else None
        if function == "count":
            return float(min(len(points), size))
        if len(points) < size:
            return None
        inside = list(points)[-size:]
        if function == "percentile":
            return percentile(sorted(value for _, value in inside), share or 0.0)
        if function == "changed" and len(points) > size:
            inside = list(points)
        total = Figures()
        for at, value in inside:
            total.add(at, value)
        return total.figure(function)
