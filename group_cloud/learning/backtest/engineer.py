"""The fixed settings that learning is held against: three engineers, none of whom learns.

Called by the back-test. As most control systems do, and unlike Andon's own alarm point, their
deadband holds an alarm that stands but not an on-delay that is running; `live` runs them on
Andon's own point instead. A delay of n minutes is n samples of a signal sampled by the minute.
Sigmas are compared to the nearest twentieth, and what reaches the limit is beyond it.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Any

import numpy as np

from group_cloud.learning.backtest.history import Point, in_minutes
from group_cloud.learning.backtest.measure import Minutes
from group_cloud.learning.backtest.plant import MINUTE_MS, Plant
from shared.alarm.excursions import spans
from shared.alarm.point import Setting

PER_SIGMA = 20
"""Recorded samples lie on steps of a twentieth of a sigma around the mean of commissioning, and so
do limits of whole sigmas: without this the record's rounding decides whether a sample is beyond."""


@dataclass(frozen=True, slots=True)
class Engineer:
    """One fixed rule: numbers in sigmas and minutes, delays perhaps for some classes only."""

    name: str
    sigmas: float
    band: float = 0.0
    on_min: int = 0
    off_min: int = 0
    delayed: frozenset[str] | None = None

    def delays_of(self, tag_class: str) -> tuple[int, int]:
        """On-delay and off-delay of a class of tags."""
        if self.delayed is not None and tag_class not in self.delayed:
            return 0, 0
        return self.on_min, self.off_min

    def setting(self, point: Point) -> Setting:
        """The rule as a setting of an alarm point."""
        on_min, off_min = self.delays_of(point.tag_class)
        sign = 1.0 if point.side == "HI" else -1.0
        return Setting(
            point.mean + sign * self.sigmas * point.sigma,
            self.band * point.sigma,
            on_min * MINUTE_MS,
            off_min * MINUTE_MS,
        )


ENGINEERS = (
    Engineer("E0", 3.0),
    Engineer("E1", 3.0, 1.0, 2, 0, frozenset({"level", "temperature"})),
    Engineer("E2", 4.0, 1.0, 2, 5),
)


def told(engineer: Engineer, plant: Plant, point: Point) -> tuple[Minutes, Minutes]:
    """Raises and clears of one point under an engineer's rule."""
    on_min, off_min = engineer.delays_of(point.tag_class)
    sign = 1.0 if point.side == "HI" else -1.0
    off = sign * (plant.tags[point.tag] - point.mean) / point.sigma
    finite = np.isfinite(off)
    minutes, steps = plant.minutes[finite], np.round(off[finite] * PER_SIGMA)
    beyond = steps >= engineer.sigmas * PER_SIGMA
    back = steps <= (engineer.sigmas - engineer.band) * PER_SIGMA if engineer.band else ~beyond
    raising = _held(beyond, max(on_min, 1))
    clearing = _held(back, max(off_min, 1)).tolist()
    raised, cleared, after = [], [], -1
    for at in raising.tolist():
        if at < after:
            continue
        place = bisect_left(clearing, at)
        after = clearing[place] if place < len(clearing) else len(minutes) - 1
        raised.append(at)
        cleared.append(after)
    return minutes[raised].astype(float), minutes[cleared].astype(float)


def live(engineer: Engineer, plant: Plant, point: Point) -> tuple[Minutes, Minutes]:
    """The same rule as Andon's own alarm point runs it."""
    found = spans(plant.times_ms, plant.tags[point.tag], engineer.setting(point), point.side)
    return in_minutes(found, int(plant.minutes[-1]))


def _held(condition: Any, samples: int) -> Any:
    """Where a condition has held for `samples` in a row, for each run of it the first time."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], condition, [False])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    return starts[ends - starts >= samples] + samples - 1
