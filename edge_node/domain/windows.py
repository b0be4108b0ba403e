"""Windowed figures of tags for expressions: what has arrived in the last so many seconds.

Fed by the pipeline with good samples; bounded in length. Knows no alarms and reads no clock.
"""

from __future__ import annotations

import math
import statistics
from collections import deque

MAX_POINTS = 20_000


class Window:
    """The good samples of one tag over the longest span any expression asks for."""

    __slots__ = ("_points", "span_ms")

    def __init__(self, span_ms: int) -> None:
        self.span_ms = span_ms
        self._points: deque[tuple[int, float]] = deque(maxlen=MAX_POINTS)

    def add(self, at: int, value: float) -> None:
        """Take one sample at steady time `at`; one that is late goes to the time of the newest."""
        points = self._points
        if points and at < points[-1][0]:
            at = points[-1][0]
        points.append((at, value))
        # One point older than the span stays: it is the value that held when the window began.
        while len(points) > 1 and points[1][0] < at - self.span_ms:
            points.popleft()

    def figure(self, function: str, seconds: float, now: int) -> float | bool | None:
        """avg, min, max, stddev, count, rate, lag or changed over the window; None without data."""
        start = now - seconds * 1000
        inside = [point for point in self._points if point[0] > start]
        before = next((p for p in reversed(self._points) if p[0] <= start), None)
        if function == "count":
            return float(len(inside))
        if function == "lag":
            return before[1] if before else None
        values = [value for _, value in inside]
        if function == "changed":
            held = ([before[1]] if before else []) + values
            return None if not held else any(value != held[0] for value in held)
        if not values:  # a value that has not changed since before the window still holds
            values = [before[1]] if before else []
        if not values:
            return None
        return self._of(function, values, ([before] if before else []) + inside)

    @staticmethod
    def _of(function: str, values: list[float], points: list[tuple[int, float]]) -> float | None:
        if function == "avg":
            return math.fsum(values) / len(values)
        if function == "min":
            return min(values)
        if function == "max":
            return max(values)
        if function == "stddev":
            return statistics.pstdev(values)
        if function == "rate":  # per second, over what is known of the window
            (first, a), (last, b) = points[0], points[-1]
            return (b - a) * 1000 / (last - first) if last > first else None
        return None
