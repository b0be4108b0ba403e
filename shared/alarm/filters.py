"""What a limit is held against: the sample itself, the mean of 5 min, or the deviation from a day.

Pure and incremental, by event time. The edge runs these very classes sample by sample; `excursions`
makes the same numbers of a whole record at once. It never judges an alarm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from math import isnan
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
"""Larger values, infinite ones too, are taken as this one: no sum overflows, and an alarm of a
mean sees them. A day's mean leaves them out: one of them would hide every deviation for a day."""
AHEAD_MS: dict[Filter, int] = {"raw": 0, "mean5min": PAUSE_MS, "day": 2 * DAY_BUCKET_MS}
"""A sample that is further ahead than this counts when a later one agrees: one that is alone has a
wrong time, and must not empty the window."""
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

    __slots__ = ("_ahead", "_before", "_began", "_closed", "_count", "_kind", "_last", "_late",
                 "_length", "_lost", "_many", "_pieces", "_present", "_sum", "_total",
                 "asked")  # fmt: skip

    def __init__(self, kind: Filter) -> None:
        self._kind: Filter = kind
        day = kind == "day"
        self._length = DAY_BUCKET_MS if day else MEAN_BUCKET_MS
        self._many = DAY_BUCKETS + 1 if day else MEAN_BUCKETS
        self._clear()

    def _clear(self) -> None:
        self.asked = False
        """Whether history was asked for what was before."""
        self._pieces: deque[tuple[int, float, int]] = deque()
        """(number, sum, samples) of the closed pieces that hold samples, oldest first."""
        self._present: int | None = None
        self._sum, self._count = 0.0, 0
        self._before: tuple[float, int] = (0.0, 0)
        """The piece under way without its newest sample: another of that instant replaces it."""
        self._total, self._closed = 0.0, 0
        self._last = self._began = 0
        self._late, self._lost = 0, False
        self._ahead: tuple[int, float] | None = None
        """A sample far ahead that no other has confirmed; until then it is not in the window."""

    @classmethod
    def of_day(cls, pieces: Iterable[tuple[int, float, int]], last: int) -> SignalFilter:
        """One of a day that knows pieces (number, sum, samples) up to the sample of `last`."""
        run, present = cls("day"), last // DAY_BUCKET_MS
        for number, total, count in sorted(pieces):
            if number == present:
                run._sum, run._count = total, count
            elif present - run._many < number < present and count:
                run._pieces.append((number, total, count))
        run._present, run._last, run._before = present, last, (run._sum, run._count)
        run._add_up()
        return run

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
        if isnan(value) or self._kind == "raw":
            return
        ahead, self._ahead = self._ahead, None
        if ahead is not None and at > ahead[0]:
            self._put(*ahead)
        if self._present is not None and at - self._last > AHEAD_MS[self._kind]:
            self._ahead = (at, value)
            return
        if self._present is not None and at < self._last:
            self._late += 1
            if self._late < MOST_LATE:
                self._lost = not self._take_late(at // self._length, value)
                return
            self._clear()
        self._put(at, value)

    def _put(self, at: int, value: float) -> None:
        """The newest sample."""
        self._late, self._lost = 0, False
        piece = at // self._length
        if self._present is None or at - self._last > PAUSE_MS:
            self._began = at
        if piece != self._present:
            self._turn(piece)
        elif at == self._last:
            self._sum, self._count = self._before
        self._before = (self._sum, self._count)
        if self._counts(value):
            self._sum += clipped(value)
            self._count += 1
        self._last = at

    def _counts(self, value: float) -> bool:
        return self._kind != "day" or -LARGEST <= value <= LARGEST

    def _take_late(self, piece: int, value: float) -> bool:
        """A sample that was overtaken still belongs to its own piece; False: that is over."""
        more, one = (clipped(value), 1) if self._counts(value) else (0.0, 0)
        if piece == self._present:
            self._before = (self._before[0] + more, self._before[1] + one)
            self._sum += more
            self._count += one
            return True
        if self._present is None or piece <= self._present - self._many:
            return False
        if one:
            held = {each[0]: each for each in self._pieces}
            _, total, count = held.get(piece, (piece, 0.0, 0))
            held[piece] = (piece, total + more, count + one)
            self._pieces = deque(held[number] for number in sorted(held))
            self._add_up()
        return True

    def _turn(self, piece: int) -> None:
        if self._present is not None and self._count:
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
        if self._lost or self._ahead is not None:
            return False  # the newest sample is not of this window
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
            away = self._lost or self._ahead is not None
            return 0.0 if away else (self._last - self._began) / MEAN_MS
        return min(1.0, len(self._pieces) / DAY_LEAST)

    def prepend(self, older: SignalFilter, until: int) -> None:
        """Let what another one knows take the place of all pieces that end by `until`."""
        if older._ahead is not None:  # history is in the order of time: nothing speaks against it
            older._put(*older._ahead)
            older._ahead = None
        if older._present is None or self._present is None:
            return
        own = [each for each in self._pieces if (each[0] + 1) * self._length > until]
        past = [
            each
            for each in (*older._pieces, (older._present, older._sum, older._count))
            if self._present - self._many < each[0] < until // self._length and each[2]
        ]
        self._pieces = deque(past + own)
        self._add_up()
