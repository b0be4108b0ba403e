"""The running figures of a stretch of samples: count, mean, spread, extremes, first and last.

Used by every shape of window. Two stretches can be merged, so that a window is a few of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(slots=True)
class Late:
    """What came late to a tag's windows; nothing that is late disappears uncounted."""

    late: int = 0
    """Older than the allowed lateness, and yet taken in."""
    corrected: int = 0
    """Figures of closed windows that a late sample has put right."""
    too_late: int = 0
    """Older than every window that is still kept: only counted."""


class Figures:
    """Mean and spread by Welford's method, which keeps its digits however large the values."""

    __slots__ = ("first", "first_at", "high", "last", "last_at", "low", "m2", "mean", "n")

    def __init__(self) -> None:
        self.n = 0
        self.mean = self.m2 = 0.0
        self.low, self.high = math.inf, -math.inf
        self.first = self.last = math.nan
        self.first_at, self.last_at = 0, 0

    def add(self, at: int, value: float) -> None:
        """Take one sample, in any order of time."""
        self.n += 1
        delta = value - self.mean
        self.mean += delta / self.n
        self.m2 += delta * (value - self.mean)
        if value < self.low:
            self.low = value
        if value > self.high:
            self.high = value
        if self.n == 1:
            self.first, self.first_at, self.last, self.last_at = value, at, value, at
        elif at >= self.last_at:
            self.last, self.last_at = value, at
        elif at < self.first_at:
            self.first, self.first_at = value, at

    def merge(self, other: Figures) -> None:
        """Take in a later stretch."""
        if not other.n:
            return
        if not self.n:
            for name in self.__slots__:
                setattr(self, name, getattr(other, name))
            return
        n = self.n + other.n
        delta = other.mean - self.mean
        self.mean += delta * other.n / n
        self.m2 += other.m2 + delta * delta * self.n * other.n / n
        self.n = n
        self.low, self.high = min(self.low, other.low), max(self.high, other.high)
        if other.last_at >= self.last_at:
            self.last, self.last_at = other.last, other.last_at
        if other.first_at < self.first_at:
            self.first, self.first_at = other.first, other.first_at

    def figure(self, function: str) -> float | bool | None:
        """One figure; None where there is no sample to tell it."""
        if function == "count":
            return float(self.n)
        if not self.n:
            return None
        match function:
            case "avg":
                return self.mean
            case "min":
                return self.low
            case "max":
                return self.high
            case "stddev":
                return math.sqrt(max(0.0, self.m2) / self.n)
            case "sum":
                return self.mean * self.n
            case "range":
                return self.high - self.low
            case "first":
                return self.first
            case "last":
                return self.last
            case "changed":
                return self.low != self.high
            case "rate":  # per second
                span = self.last_at - self.first_at
                return (self.last - self.first) * 1000 / span if span > 0 else None
        return None


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The value below which `share` percent of the sorted values lie, interpolated; None if empty.

    >>> percentile([10.0, 20.0, 30.0, 40.0], 50)
    25.0
    """
    if not ordered:
        return None
    place = (len(ordered) - 1) * share / 100
    below = math.floor(place)
    low, high = ordered[below], ordered[min(below + 1, len(ordered) - 1)]
    return low + (high - low) * (place - below)
