"""What alignment takes and gives: streams, rows, counters, and the order in which samples count.

Used by `along` and `units`. Knows no tags, no alarms, no clock.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Fill = Literal["none", "hold", "linear"]
Take = Literal["first", "last", "mean", "min", "max"]
Mark = Literal["", "filled", "late", "missing"]
"""How a value came about: measured, filled in, measured but delivered out of order, not there."""
Value = float | str
GOOD = 0


@dataclass(frozen=True, slots=True)
class Stream:
    """One input of an alignment and how its gaps are filled."""

    name: str
    at: float = 0.0
    """Where down the line it measures: metres on a belt, milliseconds without one."""
    fill: Fill | None = None
    """None: hold along a line; nothing for units and gates, where it would be another's value."""
    max_gap: float = math.inf
    """The longest gap that is filled, in the unit of `at` (units and gates: milliseconds)."""
    tolerance: float = 0.0
    """A sample so little before the wanted place counts as measured there, not as filled."""
    low: float = -math.inf
    high: float = math.inf
    """Numbers outside are invalid."""
    take: Take = "last"
    """Which of several samples of one unit or gate counts."""

    def __post_init__(self) -> None:
        if self.fill == "linear" and not math.isfinite(self.max_gap):
            raise ValueError(
                f"{self.name}: linear filling waits for the next sample; say with max_gap how long"
            )
        if self.max_gap < 0 or self.tolerance < 0 or self.low > self.high:
            raise ValueError(f"{self.name}: max_gap and tolerance are not negative, low <= high")

    def accepts(self, value: Value, quality: int) -> bool:
        """Whether a sample is valid."""
        if quality != GOOD:
            return False
        return isinstance(value, str) or self.low <= value <= self.high  # false for NaN too


@dataclass(frozen=True, slots=True)
class Row:
    """Values that speak of the same material."""

    at: int
    """Event time: of the last step (along a line), or of the end of the unit or gate."""
    key: str
    """The unit's id, the gate's number; empty along a line."""
    values: Mapping[str, Value | None]
    marks: Mapping[str, Mark]
    timed_out: bool = False

    @property
    def complete(self) -> bool:
        """Whether no value is missing."""
        return "missing" not in self.marks.values()


@dataclass(slots=True)
class Counters:
    """What has happened since the start; nothing disappears without being counted here."""

    samples: int = 0
    rows: int = 0
    invalid: int = 0
    """Dropped: bad quality, not a number, out of range."""
    late: int = 0
    """Out of order, yet in time to be used."""
    too_late: int = 0
    """Dropped: older than what has already been aligned."""
    unplaced: int = 0
    """Dropped: no unit, no open gate or no belt speed at its time."""
    filled: int = 0
    missing: int = 0
    timed_out: int = 0
    overflowed: int = 0
    """Dropped or aligned early because a buffer was full."""


class Aligner(Protocol):
    """An alignment at work; times are milliseconds of one clock."""

    counters: Counters

    def feed(self, stream: str, time: int, value: Value, quality: int) -> list[Row]:
        """Take one sample; the rows that it completes."""
        ...

    def tick(self, now: int) -> list[Row]:
        """Let time pass: rows that wait for nothing any more."""
        ...


@dataclass(order=True, slots=True)
class Item:
    """One accepted sample."""

    time: int
    serial: int
    stream: str
    value: Value
    late: bool


class InOrder:
    """Puts samples into the order of their times, waiting `lateness_ms` for those on the way."""

    def __init__(self, counters: Counters, lateness_ms: int, capacity: int = 10_000) -> None:
        if lateness_ms < 0:
            raise ValueError("lateness is not negative")
        self._counters, self._lateness, self._capacity = counters, lateness_ms, capacity
        self._heap: list[Item] = []
        self._newest: dict[str, int] = {}
        self._done = -(2**63)
        """Everything up to here has been handed on."""
        self._serial = 0

    def push(self, stream: str, time: int, value: Value) -> Iterator[Item]:
        """Take one valid sample; yields those whose turn has come, oldest first."""
        if time < self._done:
            self._counters.too_late += 1
            return
        late = time < self._newest.get(stream, time)
        self._counters.late += late
        self._newest[stream] = max(time, self._newest.get(stream, time))
        self._serial += 1
        heapq.heappush(self._heap, Item(time, self._serial, stream, value, late))
        yield from self.until(time - self._lateness)
        while len(self._heap) > self._capacity:
            self._counters.overflowed += 1
            yield self._pop()

    def pass_to(self, now: int) -> Iterator[Item]:
        """Let the clock pass: nothing older than `now - lateness` is waited for."""
        return self.until(now - self._lateness)

    def until(self, mark: int) -> Iterator[Item]:
        """Yield what is at or before the watermark."""
        while self._heap and self._heap[0].time <= mark:
            yield self._pop()
        self._done = max(self._done, mark)

    def _pop(self) -> Item:
        item = heapq.heappop(self._heap)
        self._done = max(self._done, item.time)
        return item
