"""One lattice of candidates for all points of all factories, so that like can be held against like.

Every factory counts a grid of its own around its engineer's setting. Here its candidates take
their places by how far they lie from the tag's usual value, in sigmas. Pure numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shared.alarm.grid import FILTERS, Filter, Grid
from shared.alarm.point import is_high

Filters = tuple[Filter, ...]
LIMITS, BANDS, ONS, OFFS = 30, 3, 5, 3
STEP = 0.5
"""Sigmas between two places of the limit; the first lies one step from the usual value."""


def size(filters: Filters) -> int:
    """Places of a lattice for these filters."""
    return len(filters) * LIMITS * BANDS * ONS * OFFS


def filters_of(grids: Iterable[Grid]) -> Filters:
    """The filters that any of these grids counts, raw samples first: one lattice for all."""
    found = {each for grid in grids for each in grid.filters} | {"raw"}
    return tuple(each for each in FILTERS if each in found)


@dataclass(frozen=True, slots=True)
class Placed:
    """A point's own candidates on the lattice."""

    grid: Grid
    """The whole lattice with the point's own numbers at the places that it has."""
    own: npt.NDArray[np.intp]
    """By place: the nearest of the point's own candidates."""
    real: npt.NDArray[np.bool_]
    """By place: whether the candidate is the point's own."""

    def spread(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Counters by own candidate as counters by place."""
        return values[self.own]

    def place(self, candidate: int) -> int:
        """Where one of the own candidates stands."""
        return int(np.flatnonzero(self.real & (self.own == candidate))[0])


def placed(grid: Grid, mean: float, sigma: float, filters: Filters = ("raw",)) -> Placed:
    """Put a factory's grid on a lattice of these filters; raises ValueError if it does not fit."""
    sizes = (len(grid.limits), len(grid.deadbands), len(grid.on_ms), len(grid.off_ms))
    if not {*grid.filters} <= {*filters} or any(
        n > m for n, m in zip(sizes, (LIMITS, BANDS, ONS, OFFS), strict=True)
    ):
        raise ValueError(f"a grid of {sizes} and {grid.filters} has no place here")
    sign = 1.0 if is_high(grid.side) else -1.0
    order = sorted(range(sizes[0]), key=lambda i: sign * grid.limits[i])
    slots = _slots([sign * (grid.limits[i] - mean) / sigma for i in order])
    nearest = [min(range(len(slots)), key=lambda n: (abs(slots[n] - s), n)) for s in range(LIMITS)]
    at = {slot: grid.limits[i] for slot, i in zip(slots, order, strict=True)}
    limits = _distinct([at.get(s, mean + sign * sigma * STEP * (s + 1)) for s in range(LIMITS)], at)
    # A filter that is not counted here stands for nothing of its own: it is never real.
    axes = [np.array([grid.filters.index(f) if f in grid.filters else 0 for f in filters])]
    reals = [np.array([f in grid.filters for f in filters])]
    axes.append(np.array([order[n] for n in nearest]))
    reals.append(np.isin(np.arange(LIMITS), slots))
    for have, want in zip(sizes[1:], (BANDS, ONS, OFFS), strict=True):
        axes.append(np.minimum(np.arange(want), have - 1))
        reals.append(np.arange(want) < have)
    mesh, real = np.meshgrid(*axes, indexing="ij"), np.meshgrid(*reals, indexing="ij")
    whole = Grid(
        grid.side, tuple(limits), _filled(grid.deadbands, BANDS, sigma),
        tuple(round(v) for v in _filled(grid.on_ms, ONS, 1000)),
        tuple(round(v) for v in _filled(grid.off_ms, OFFS, 1000)), filters, mean,
    )  # fmt: skip
    own = np.ravel_multi_index([m.ravel() for m in mesh], (len(grid.filters), *sizes))
    return Placed(whole, own, np.logical_and.reduce([r.ravel() for r in real]))


def _slots(distances: list[float]) -> list[int]:
    """Rising places for rising distances, each taken once."""
    found: list[int] = []
    for distance in distances:
        least = found[-1] + 1 if found else 0
        found.append(max(least, min(LIMITS - 1, round(distance / STEP) - 1)))
    return [min(slot, LIMITS - len(found) + n) for n, slot in enumerate(found)]


def _distinct(limits: list[float], kept: dict[int, float]) -> list[float]:
    """What stands for a place that the point does not have must not be one of its numbers."""
    taken = set(kept.values())
    for place, limit in enumerate(limits):
        if place in kept:
            continue
        while limit in taken:
            limit = float(np.nextafter(limit, np.inf))
        taken.add(limit)
        limits[place] = limit
    return limits


def _filled(values: tuple[float, ...], many: int, step: float) -> tuple[float, ...]:
    more = [max(values) + step * n for n in range(1, many - len(values) + 1)]
    return (*values, *more)
