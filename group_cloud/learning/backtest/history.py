"""What every candidate would have told over one recorded plant, per day and per recorded fault.

The stand-in for the shadow counting of a live brain: called once per plant by the back-test, which
then hands the learners only what had been counted and written down by the end of each week.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from group_cloud.learning.backtest.fault_log import AFTER_MIN, Recorded
from group_cloud.learning.backtest.plant import DAY_MIN, MINUTE_MS, Plant
from group_cloud.learning.tag_classes import tag_class
from shared.alarm.excursions import Spans, grid_spans
from shared.alarm.grid import FILTERS, Filter, Grid
from shared.alarm.point import Side

SIGMAS = (1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0)
"""Limits of the candidates, in sigmas of commissioning from its mean."""
BANDS = (0.0, 0.5, 1.0)
ON_MIN = (0, 1, 2, 5, 10)
OFF_MIN = (0, 5, 15)
SIDES: tuple[Side, ...] = ("HI", "LO")
ANNOUNCED_MIN = 5
"""An alarm announces a fault if it surely stands for this long; sampled by the minute it must be
seen to stand for a minute more."""
LONGEST_MIN = 32_000
"""A delay of more than this counts as this."""


@dataclass(frozen=True, slots=True)
class Point:
    """One alarm point of a plant and the candidates that run in its shadow."""

    tag: str
    side: Side
    tag_class: str
    mean: float
    sigma: float
    grid: Grid


@dataclass(frozen=True, slots=True)
class History:
    """Counters of one plant: [point, candidate, day] and [point, candidate, recorded fault]."""

    plant: Plant
    points: tuple[Point, ...]
    log: tuple[Recorded, ...]
    activations: npt.NDArray[np.uint16]
    standing_min: npt.NDArray[np.uint16]
    inside: npt.NDArray[np.uint16]
    """Activations from the start of a recorded fault to the end of its running up."""
    inside_min: npt.NDArray[np.uint16]
    delays: npt.NDArray[np.int16]
    """Minutes to the first announcement, -1 for none."""


def points_of(plant: Plant, filters: tuple[Filter, ...] = FILTERS) -> tuple[Point, ...]:
    """Two alarm points per tag."""
    found: list[Point] = []
    for tag in plant.tags:
        mean, sigma = plant.commissioning(tag)
        for side in SIDES:
            grid = sigma_grid(mean, sigma, side, filters)
            found.append(Point(tag, side, tag_class(tag), mean, sigma, grid))
    return tuple(found)


def sigma_grid(mean: float, sigma: float, side: Side, filters: tuple[Filter, ...]) -> Grid:
    """The candidates of one point, in sigmas of its commissioning."""
    sign = 1.0 if side == "HI" else -1.0
    return Grid(
        side,
        tuple(mean + sign * k * sigma for k in SIGMAS),
        tuple(k * sigma for k in BANDS),
        tuple(m * MINUTE_MS for m in ON_MIN),
        tuple(m * MINUTE_MS for m in OFF_MIN),
        filters,
        mean,
    )


def count_history(plant: Plant, log: Sequence[Recorded]) -> History:
    """All counters of a plant."""
    history = empty_history(plant, log)
    for place in range(len(history.points)):
        count_point(history, place)
    return history


def empty_history(plant: Plant, log: Sequence[Recorded]) -> History:
    """Nothing counted yet."""
    points, days = points_of(plant), int(plant.minutes[-1]) // DAY_MIN + 1
    entries = sorted(log, key=lambda entry: entry.id)
    many = len(points[0].grid)
    shape, by_fault = (len(points), many, days), (len(points), many, len(entries))
    return History(
        plant,
        points,
        tuple(entries),
        np.zeros(shape, np.uint16),
        np.zeros(shape, np.uint16),
        np.zeros(by_fault, np.uint16),
        np.zeros(by_fault, np.uint16),
        np.full(by_fault, -1, np.int16),
    )


def count_point(history: History, place: int) -> None:
    """Fill in the counters of one point."""
    plant, point = history.plant, history.points[place]
    starts = np.array([entry.start for entry in history.log])
    ends = np.array([entry.end for entry in history.log])
    edges = np.arange(history.activations.shape[2] + 1) * float(DAY_MIN)
    end = int(plant.minutes[-1])
    for index, found in grid_spans(plant.times_ms, plant.tags[point.tag], point.grid):
        if not len(found.raised):
            continue
        raised, cleared = in_minutes(found, end)
        standing = np.concatenate(([0.0], np.cumsum(cleared - raised)))

        def stood(
            until: npt.NDArray[np.float64], r=raised, c=cleared, s=standing
        ) -> npt.NDArray[np.float64]:
            before = np.searchsorted(r, until)
            over = np.maximum(c[before - 1] - until, 0.0)
            return s[before] - np.where(before > 0, over, 0.0)

        history.activations[place, index] = np.diff(np.searchsorted(raised, edges))
        history.standing_min[place, index] = np.diff(stood(edges))
        if len(starts):
            after = ends + AFTER_MIN
            inside = np.searchsorted(raised, after) - np.searchsorted(raised, starts)
            history.inside[place, index] = inside
            history.inside_min[place, index] = stood(after) - stood(starts)
            told = first_told(raised, cleared, starts, ends)
            history.delays[place, index] = np.minimum(told, LONGEST_MIN)


def in_minutes(found: Spans, end: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Raises and clears in minutes; what still stands does so to the end of the record."""
    cleared = np.minimum(found.cleared, end * MINUTE_MS) / MINUTE_MS
    return found.raised / MINUTE_MS, cleared


def first_told(
    raised: npt.NDArray[np.float64],
    cleared: npt.NDArray[np.float64],
    starts: npt.NDArray[np.float64],
    ends: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Minutes from each start to the first announcement before its end, -1 for none."""
    lasting = raised[cleared - raised > ANNOUNCED_MIN]
    if not len(lasting):
        return np.full(len(starts), -1.0)
    place = np.searchsorted(lasting, starts)
    first = lasting[np.minimum(place, len(lasting) - 1)]
    told = (place < len(lasting)) & (first <= ends)
    return np.where(told, np.floor(first - starts), -1.0)
