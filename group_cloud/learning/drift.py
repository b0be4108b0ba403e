"""Drift (L5): rates of alarms and labels and residuals of models that are no longer what they were.

Called with one number per key, kind and day. What it gives is a notice that asks for a person; it
sets no limit and changes no model.
"""

from __future__ import annotations

import math
import statistics
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from group_cloud.learning.contract import checked_schema

SCHEMA = "drift-watch/v2"
Kind = Literal["alarm_rate", "label_rate", "residual"]
KEYS, HELD = 2000, 84
"""Streams at the most (the one not fed for longest goes), and days of one that are held."""
TOLERATED, ALARMED = 0.5, 5.5
"""Page-Hinkley on values in their own deviations: what is no change, and how much of it is one."""
CLIPPED = 4.0
"""One wild day counts for this many deviations at the most."""
SETTLED = 14
"""Days that give the stream its mean and deviation before anything is said."""
TAIL, NEWEST = 5, 3
"""The last days, whose median must have moved; and those whose median is said to be now."""
QUIET = 28
"""Days after a notice during which the same stream says nothing more."""
EFFECT: dict[Kind, float] = {"alarm_rate": 2.0, "label_rate": 0.15, "residual": 0.5}
"""The smallest change worth a person's time: in deviations of chance alone for counts (a count is
taken as twice its root, which chance moves by one), in shares for labels, in sigmas for residuals.
"""
WEEKS, CALMER = 4, 0.8
"""Weeks of history, and how much narrower the values must become, for a pattern of weekdays."""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something is no longer as it was; a person should look why."""

    key: str
    kind: Kind
    before: float
    now: float
    trend: tuple[tuple[int, float], ...] = ()
    """The days that led to it, oldest first."""
    asks_for: str = "person"


@dataclass(slots=True)
class _Day:
    day: int
    value: float
    base: bool
    """Whether it says what is usual: not before the last change, and not while one is suspected."""


@dataclass(slots=True)
class _Stream:
    """One key's days, and how far the values have gone up and down since they were usual."""

    kind: Kind
    days: list[_Day] = field(default_factory=list)
    up: float = 0.0
    down: float = 0.0
    quiet: int = 0

    def update(self, value: float, day: int | None) -> tuple[float, float] | None:
        """(before, now) if this day makes it a change."""
        at = day if day is not None else self.days[-1].day + 1 if self.days else 0
        self.quiet = max(0, self.quiet - 1)
        base = [each for each in self.days if each.base]
        suspected = len(base) >= SETTLED and self._step(base, value, at)
        self.days.append(_Day(at, value, not suspected))
        del self.days[:-HELD]
        if not suspected:
            return None
        before = statistics.median(each.value for each in base)
        now = statistics.median(each.value for each in self.days[-TAIL:])
        moved = abs(_even(self.kind, now) - _even(self.kind, before))
        if moved < EFFECT[self.kind]:
            self.up, self.down = min(self.up, ALARMED), min(self.down, ALARMED)
            return None
        # What came before the change is history: the stream begins anew with its last days.
        for place, each in enumerate(self.days):
            each.base = place >= len(self.days) - TAIL
        self.up = self.down = 0.0
        if self.quiet:
            return None
        self.quiet = QUIET
        return before, statistics.median(each.value for each in self.days[-NEWEST:])

    def _step(self, base: list[_Day], value: float, at: int) -> bool:
        usual, shift = _usual(self.kind, base)
        found = _even(self.kind, value) - shift[at % 7]
        spread = max(statistics.stdev(usual), EFFECT[self.kind] / 2)
        off = max(-CLIPPED, min(CLIPPED, (found - statistics.fmean(usual)) / spread))
        self.up = max(0.0, self.up + off - TOLERATED)
        self.down = max(0.0, self.down - off - TOLERATED)
        return max(self.up, self.down) > ALARMED


def _even(kind: Kind, value: float) -> float:
    """The value on a scale on which chance moves it alike whatever its height."""
    return 2 * math.sqrt(max(0.0, value) + 0.375) if kind == "alarm_rate" else value


def _usual(kind: Kind, base: list[_Day]) -> tuple[list[float], list[float]]:
    """The usual values without their pattern of weekdays, and that pattern; none: all zero."""
    values = [_even(kind, each.value) for each in base]
    none = [0.0] * 7
    if len(base) < 7 * WEEKS:
        return values, none
    by: list[list[float]] = [[] for _ in range(7)]
    for each, value in zip(base, values, strict=True):
        by[each.day % 7].append(value)
    if min(map(len, by)) < WEEKS:
        return values, none
    middle = statistics.median(values)
    shift = [statistics.median(mine) - middle for mine in by]
    calm = [value - shift[each.day % 7] for each, value in zip(base, values, strict=True)]
    if statistics.pstdev(calm) > CALMER * statistics.pstdev(values):
        return values, none
    return calm, shift


class DriftWatch:
    """`learn_one((key, kind), value)` returns a notice or None; a third part of x is the day."""

    def __init__(self, capacity: int = KEYS) -> None:
        self.capacity = capacity
        self._streams: OrderedDict[tuple[str, Kind], _Stream] = OrderedDict()

    def learn_one(self, x: tuple[str, Kind] | tuple[str, Kind, int], y: float) -> Notice | None:
        """One more value of a stream; raises ValueError for an unknown kind or no number."""
        key, kind, day = x[0], x[1], x[2] if len(x) == 3 else None
        if kind not in get_args(Kind) or not math.isfinite(y):
            raise ValueError(f"{kind!r}: {y!r}")
        stream = self._streams.setdefault((key, kind), _Stream(kind))
        self._streams.move_to_end((key, kind))
        if len(self._streams) > self.capacity:
            self._streams.popitem(last=False)
        found = stream.update(round(y, 6), day)
        if found is None:
            return None
        trend = tuple((each.day, each.value) for each in stream.days)
        return Notice(key, kind, round(found[0], 6), round(found[1], 6), trend)

    def score(self, x: tuple[str, Kind]) -> float:
        """How near a stream is to a notice, 0 to 1."""
        stream = self._streams.get(x)
        return min(1.0, max(stream.up, stream.down) / ALARMED) if stream else 0.0

    def snapshot(self) -> dict[str, Any]:
        """All of it as plain data, the stream fed last at the end."""
        return {
            "schema": SCHEMA,
            "capacity": self.capacity,
            "streams": [
                [key, kind, s.up, s.down, s.quiet, [[d.day, d.value, int(d.base)] for d in s.days]]
                for (key, kind), s in self._streams.items()
            ],
        }

    @classmethod
    def restore(cls, data: dict[str, Any]) -> DriftWatch:
        """The watch that `snapshot` wrote; raises ValueError."""
        checked_schema(data, SCHEMA)
        found = cls(data["capacity"])
        for key, kind, up, down, quiet, days in data["streams"]:
            held = [_Day(day, value, bool(base)) for day, value, base in days]
            found._streams[(key, kind)] = _Stream(kind, held, up, down, quiet)
        return found
