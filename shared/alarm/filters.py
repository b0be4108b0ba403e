"""What a limit is held against: the sample itself, the mean of 5 min, or the deviation from a day.

Pure and incremental, by event time. The edge runs these very classes sample by sample; `excursions`
makes the same numbers of a whole record at once. It never judges an alarm.
"""

from __future__ import annotations

from collections import deque
from math import isfinite
from typing import Literal, get_args

Filter = Literal["raw", "mean5min", "day"]
"""`raw`: the sample. `mean5min`: the mean of the last 5 min. `day`: how far the sample lies from
the mean of the day before, written around the engineer's normal value (`centre`), so that limits
of all filters are in the tag's own scale."""
FILTERS: tuple[Filter, ...] = get_args(Filter)
MEAN_MS, DAY_MS = 300_000, 86_400_000
MEAN_BUCKET_MS, DAY_BUCKET_MS = 5_000, 300_000
MEAN_BUCKETS, DAY_BUCKETS = MEAN_MS // MEAN_BUCKET_MS, DAY_MS // DAY_BUCKET_MS
PAUSE_MS = 150_000
"""A signal that is silent for longer than this begins its mean of 5 min anew: an edge repeats an
unchanged value every minute."""
DAY_LEAST = DAY_BUCKETS * 3 // 4
"""So many of a day's pieces of 5 min must hold a sample; with fewer there is no day to speak of."""
LARGEST = 1e200
"""Larger values are taken as this one: no sum overflows, and none of them hides an alarm."""
MOST_LATE = 20
"""After so many samples in a row that are older than the newest, its clock was set back."""


def clipped(value: float) -> float:
    """The value as it goes into a sum."""
    return max(-LARGEST, min(LARGEST, value))


class SignalFilter:
    """One filter over one signal. Bounded: sums of at most 289 pieces of time, no samples.

    A window is made of whole pieces that begin at multiples of their length, so that it depends on
    its samples alone: not on when this process was started.
    """

    __slots__ = ("_before", "_began", "_closed", "_count", "_kind", "_last", "_late", "_length",
                 "_many", "_pieces", "_present", "_sum", "_total", "asked")  # fmt: skip

    def __init__(self, kind: Filter) -> None:
        self._kind: Filter = kind
        day = kind == "day"
        self._length = DAY_BUCKET_MS if day else MEAN_BUCKET_MS
        self._many = DAY_BUCKETS + 1 if day else MEAN_BUCKETS
        self.asked = False
        """Whether history was asked for what was before."""
        self._clear()

    def _clear(self) -> None:
        self._pieces: deque[tuple[int, float, int]] = deque()
        """(number, sum, samples) of the closed pieces that hold samples, oldest first."""
        self._present: int | None = None
        self._sum, self._count = 0.0, 0
        self._before: tuple[float, int] = (0.0, 0)
        """The piece under way without its newest sample: another of that instant replaces it."""
        self._total, self._closed = 0.0, 0
        self._last = self._began = 0
        self._late = 0

    @property
    def kind(self) -> Filter:
        """Which filter it is."""
        return self._kind

    @property
    def first_closed(self) -> int | None:
        """When its oldest piece ends, once that is over; what is older can come from history."""
        return (self._pieces[0][0] + 1) * self._length if self._pieces else None

    def take(self, at: int, value: float) -> None:
        """One good sample of event time `at`."""
        if not isfinite(value) or self._kind == "raw":
            return
        value, piece = clipped(value), at // self._length
        if self._present is not None and at < self._last:
            self._late += 1
            if self._late < MOST_LATE:
                self._take_late(piece, value)
                return
            self._clear()
        self._late = 0
        if self._present is None or at - self._last > PAUSE_MS:
            self._began = at
        if piece != self._present:
            self._turn(piece)
        elif at == self._last:
            self._sum, self._count = self._before
        self._before = (self._sum, self._count)
        self._sum += value
        self._count += 1
        self._last = at

    def _take_late(self, piece: int, value: float) -> None:
        """A sample that was overtaken still belongs to its own piece."""
        if piece == self._present:
            self._before = (self._before[0] + value, self._before[1] + 1)
            self._sum += value
            self._count += 1
            return
        for place, (number, total, count) in enumerate(self._pieces):
            if number == piece:
                self._pieces[place] = (number, total + value, count + 1)
                self._add_up()
                return

    def _turn(self, piece: int) -> None:
        if self._present is not None:
            self._pieces.append((self._present, self._sum, self._count))
        self._present, self._sum, self._count = piece, 0.0, 0
        while self._pieces and self._pieces[0][0] <= piece - self._many:
            self._pieces.popleft()
        self._add_up()

    def _add_up(self) -> None:
        # Anew each time, oldest first: a sum that is carried on would drift from the counting's.
        total, closed = 0.0, 0
        for _, part, count in self._pieces:
            total += part
            closed += count
        self._total, self._closed = total, closed

    @property
    def filled(self) -> bool:
        """Whether its window is known; until then the limit is held against the sample itself."""
        if self._kind == "raw":
            return True
        if self._kind == "mean5min":
            return self._present is not None and self._last - self._began >= MEAN_MS
        return len(self._pieces) >= DAY_LEAST

    def seen(self, value: float, centre: float = 0.0) -> float:
        """The newest sample as the limit sees it."""
        if not self.filled or self._kind == "raw":
            return value
        if self._kind == "mean5min":
            return (self._total + self._sum) / (self._closed + self._count)
        return clipped(value) - self._total / self._closed + centre

    def share(self) -> float:
        """How much of its window is known, 0 to 1."""
        if self.filled:
            return 1.0
        if self._kind == "mean5min":
            return (self._last - self._began) / MEAN_MS
        return len(self._pieces) / DAY_LEAST

    def prepend(self, older: SignalFilter, until: int) -> None:
        """Let what another one knows take the place of all pieces that end by `until`."""
        if older._present is None or self._present is None:
            return
        older._turn(max(self._present, older._present + 1))
        own = [each for each in self._pieces if (each[0] + 1) * self._length > until]
        past = [each for each in older._pieces if (each[0] + 1) * self._length <= until]
        self._pieces = deque(past + own)
        self._add_up()
