"""What goes up to the factory, decided sample by sample: all, changes, windows or nothing.

Called by the sampler with every batch. `PureReporter` is the contract and the fallback of the
compiled form; it knows places of tags, no names, and never drops a row without counting it.
"""

from __future__ import annotations

import math
import os
import sys
from array import array
from typing import TYPE_CHECKING

__all__ = ["CHANGE", "OFF", "RAW", "STATS", "WINDOW", "PureReporter", "Reporter"]
OFF, CHANGE, RAW, WINDOW = range(4)
STATS = ("avg", "min", "max", "last")
"""Figures of a window, by bit and by place: row `4 * tag + place`."""
LAST = 3
NEVER = 255
Drained = tuple[list[int], bytes, bytes, bytes, bytes]


class _Window:
    __slots__ = ("count", "good", "last", "least", "most", "start", "time", "total", "worst")

    def __init__(self) -> None:
        self.count = self.good = self.start = self.time = self.worst = 0
        self.total = self.least = self.most = self.last = 0.0


class PureReporter:
    """Modes and last reported values of one source's tags, and the rows that wait."""

    def __init__(self, n: int, most: int, repeat: int) -> None:
        if n < 0 or most < 0:
            raise ValueError(f"{n} tags, {most} rows: out of range")
        self._n, self._most, self._repeat = n, most, repeat
        self._mode, self._grade = bytearray(n), bytearray([NEVER]) * n
        self._last, self._deadband = [0.0] * n, [0.0] * n
        self._time, self._every, self._stats = [0] * n, [0] * n, [0] * n
        self._windows: dict[int, _Window] = {}
        self._rows: list[tuple[int, int, float, int]] = []
        self.dropped = 0
        self.first = self.last = 0
        """Span of the source times of the last batch."""

    def __len__(self) -> int:
        return len(self._rows)

    def set_mode(
        self, tag: int, mode: int, deadband: float = 0.0, every: int = 0, stats: int = 8
    ) -> None:
        """How `tag` is reported from now on; its next sample is reported in any case."""
        if not 0 <= tag < self._n:
            raise ValueError(f"tag index {tag} is not below {self._n}")
        if not OFF <= mode <= WINDOW or (mode == WINDOW and (every <= 0 or not 0 < stats < 16)):
            raise ValueError(f"mode {mode} with every {every} and stats {stats} is not possible")
        self._mode[tag], self._deadband[tag], self._grade[tag] = mode, deadband, NEVER
        self._every[tag], self._stats[tag] = every, stats
        self._windows.pop(tag, None)

    def take(self, tags: bytes, times: bytes, values: bytes, qualities: bytes) -> None:
        """Note one batch: rows that are to be reported, and the batch's span of time.

        A change is a difference of more than the deadband from the value last reported, another
        quality, or the time `repeat` since. A row that finds no room counts as dropped and its tag
        as not reported, so that its next sample is a change again.
        """
        columns = (
            memoryview(tags).cast("i"), memoryview(times).cast("q"),
            memoryview(values).cast("d"), memoryview(qualities),
        )  # fmt: skip
        if len({len(column) for column in columns}) != 1:
            raise ValueError("columns of a batch differ in length")
        span: tuple[int, int] | None = None
        for tag, time, value, grade in zip(*columns, strict=True):
            if not 0 <= tag < self._n:
                raise ValueError(f"a tag index is not below {self._n}")
            span = (min(span[0], time), max(span[1], time)) if span else (time, time)
            mode = self._mode[tag]
            if mode == WINDOW:
                self._gather(tag, time, value, grade)
            elif (
                mode == RAW or (mode == CHANGE and self._differs(tag, time, value, grade))
            ) and self._put(4 * tag + LAST, time, value, grade):
                self._last[tag], self._grade[tag], self._time[tag] = value, grade, time
        if span is not None:
            self.first, self.last = span

    def _differs(self, tag: int, time: int, value: float, grade: int) -> bool:
        last = self._last[tag]
        same = grade == self._grade[tag] and (
            grade != 0
            or value == last
            or abs(value - last) <= self._deadband[tag]
            or (math.isnan(value) and math.isnan(last))
        )
        return not same or time - self._time[tag] >= self._repeat

    def _gather(self, tag: int, time: int, value: float, grade: int) -> None:
        window = self._windows.setdefault(tag, _Window())
        every = self._every[tag]
        if window.count and time >= window.start + every:
            self._shut(tag, window)
        if not window.count:
            window.start = time - time % every
            window.good, window.total, window.worst, window.time = 0, 0.0, 0, time
        window.count += 1
        window.worst = max(window.worst, grade)
        window.time = max(window.time, time)
        if grade or math.isnan(value):
            return
        window.least = min(window.least, value) if window.good else value
        window.most = max(window.most, value) if window.good else value
        window.good += 1
        window.total += value
        window.last = value

    def _shut(self, tag: int, window: _Window) -> None:
        good = window.good > 0
        grade = min(window.worst, 1) if good else window.worst
        mean = window.total / window.good if good else math.nan
        for place, value in enumerate((mean, window.least, window.most, window.last)):
            if self._stats[tag] >> place & 1:
                self._put(4 * tag + place, window.time, value if good else math.nan, grade)
        window.count = 0

    def close(self, until: int) -> None:
        """End the windows that should have ended by `until`, though no sample came to end them."""
        for tag in sorted(self._windows):
            window = self._windows[tag]
            if window.count and window.start + self._every[tag] <= until:
                self._shut(tag, window)

    def _put(self, out: int, time: int, value: float, grade: int) -> bool:
        if len(self._rows) >= self._most:
            self.dropped += 1
            return False
        self._rows.append((out, time, value, grade))
        return True

    def drain(self, most: int = sys.maxsize) -> Drained:
        """The oldest rows and forget them: (outputs used, index column, times, values, grades).

        At most `most` of them, so that a large number goes up in parts and holds nobody up.
        """
        most = max(most, 0)
        rows, self._rows = self._rows[:most], self._rows[most:]
        place: dict[int, int] = {}
        tags = array("i", (place.setdefault(row[0], len(place)) for row in rows))
        return (
            list(place), tags.tobytes(), array("q", (row[1] for row in rows)).tobytes(),
            array("d", (row[2] for row in rows)).tobytes(), bytes(row[3] for row in rows),
        )  # fmt: skip


if TYPE_CHECKING or os.environ.get("ANDON_KERNEL", "") == "python":
    Reporter = PureReporter
else:
    try:
        from edge_node.kernel._report import Reporter
    except ImportError:  # installed without a compiler: the fallback is complete, only slower
        Reporter = PureReporter
