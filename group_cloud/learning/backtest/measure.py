"""The figures of the protocol: false alarms, missed faults, delay, standing time, corrected AUC.

Called with the episodes that one set of limits told on one plant. It holds them against the true
state of the plant, which no learner sees.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from group_cloud.learning.backtest.history import first_told
from group_cloud.learning.backtest.plant import DAY_MIN, Plant

WINDOW_MIN = 120
"""Windows in which distinct points are counted: the first two hours of a fault, or of nothing."""
Minutes = npt.NDArray[np.float64]


@dataclass(slots=True)
class Told:
    """What all points of one plant told, and the figures that follow; plants add up."""

    false: int = 0
    normal_days: float = 0.0
    delays: list[float] = field(default_factory=list)
    """One per fault, -1 where it was missed."""
    standing_h: float = 0.0
    in_fault: list[int] = field(default_factory=list)
    in_normal: list[int] = field(default_factory=list)

    def __add__(self, other: Told) -> Told:
        return Told(
            self.false + other.false,
            self.normal_days + other.normal_days,
            self.delays + other.delays,
            self.standing_h + other.standing_h,
            self.in_fault + other.in_fault,
            self.in_normal + other.in_normal,
        )

    def figures(self) -> dict[str, float | int | None]:
        """The row of a table."""
        found = [delay for delay in self.delays if delay >= 0]
        days = self.normal_days or float("nan")
        return {
            "false_per_day": _rounded(self.false / days),
            "missed": len(self.delays) - len(found),
            "faults": len(self.delays),
            "median_delay_min": _rounded(float(np.median(found))) if found else None,
            "standing_h_per_day": _rounded(self.standing_h / days),
            "auc": auc(self.in_fault, self.in_normal),
        }


def measure(
    plant: Plant,
    episodes: Iterable[tuple[Minutes, Minutes]],
    since: float | None = None,
    until: float | None = None,
) -> Told:
    """What points (their raises and clears in minutes) told of a plant within [since, until)."""
    start = float(plant.first_scored if since is None else since)
    end = float(plant.minutes[-1] + 1 if until is None else until)
    faults = [f for f in plant.faults if start <= f.start < end]
    starts, ends = np.array([f.start for f in faults]), np.array([f.end for f in faults])
    scored = (plant.minutes >= start) & (plant.minutes < end)
    normal = scored & (plant.state == 0)
    quiet = _quiet_windows(plant, start, end)
    told = Told(normal_days=float(normal.sum()) / DAY_MIN)
    best = np.full(len(faults), np.inf)
    in_fault, in_normal = np.zeros(len(faults), int), np.zeros(len(quiet), int)
    hours = np.concatenate(([0.0], np.cumsum(normal) / 60.0))
    for raised, cleared in episodes:
        inside = (raised >= start) & (raised < end)
        at = np.searchsorted(plant.minutes, raised[inside], side="right") - 1
        told.false += int((plant.state[np.maximum(at, 0)] == 0).sum())
        over = np.searchsorted(plant.minutes, np.stack((raised, cleared)))
        told.standing_h += float((hours[over[1]] - hours[over[0]]).sum())
        delay = first_told(raised, cleared, starts, ends)
        best = np.where(delay >= 0, np.minimum(best, delay), best)
        in_fault += _any_in(raised, starts, starts + WINDOW_MIN)
        in_normal += _any_in(raised, quiet, quiet + WINDOW_MIN)
    told.delays = np.where(np.isfinite(best), best, -1.0).tolist()
    told.in_fault, told.in_normal = in_fault.tolist(), in_normal.tolist()
    return told


def auc(fault: Sequence[int], normal: Sequence[int]) -> float | None:
    """How often a window of a fault has more than one of nothing; a tie is half (Mann-Whitney)."""
    if not fault or not normal:
        return None
    levels, quiet = np.unique(np.asarray(normal), return_counts=True)
    below = np.concatenate(([0], np.cumsum(quiet)))
    less = below[np.searchsorted(levels, fault, side="left")]
    most = below[np.searchsorted(levels, fault, side="right")]
    return round(float((less + most).mean() / 2 / len(normal)), 4)


def _any_in(raised: Minutes, starts: Minutes, ends: Minutes) -> npt.NDArray[np.int_]:
    return (np.searchsorted(raised, ends) > np.searchsorted(raised, starts)).astype(int)


def _quiet_windows(plant: Plant, start: float, end: float) -> Minutes:
    """Windows on a fixed raster in which every sample there is was normal."""
    raster = np.arange(start, end - WINDOW_MIN + 1, WINDOW_MIN)
    upset = np.concatenate(([0], np.cumsum(plant.state != 0)))
    first = np.searchsorted(plant.minutes, raster)
    last = np.searchsorted(plant.minutes, raster + WINDOW_MIN)
    return raster[(upset[last] == upset[first]) & (last - first == WINDOW_MIN)]


def _rounded(value: float) -> float | None:
    return round(value, 3) if np.isfinite(value) else None
