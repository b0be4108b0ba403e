"""The one-sided gate: a change passes if it protects, or if it quietens without costing protection.

Called by the optimiser over the changes it would like to make. Demanding fewer alarms of every
change would block those that add protection.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from group_cloud.learning.limits.joint import Cover, Floats, Ints, Problem, point_costs

PASSES = 3
_SLACK = 1e-4


@dataclass(frozen=True, slots=True)
class Step:
    """One accepted change: the point's place, its candidates, and how all faults were covered
    (minutes to the first announcement by any point, `nan` if none) before and after it."""

    point: int
    before: int
    after: int
    false_before: float
    false_after: float
    first_before: Floats
    first_after: Floats
    points_before: Ints
    points_after: Ints


def accept(
    problem: Problem, false: npt.NDArray[np.float32], current: Ints, wanted: Ints
) -> list[Step]:
    """The changes from `current` to `wanted` that pass, in the order in which they are taken."""
    cover, steps = Cover(problem, current), list[Step]()
    left = [int(point) for point in np.flatnonzero(current != wanted)]
    for _ in range(PASSES):
        taken: list[int] = []
        for point in left:
            step = _try(problem, cover, false, point, int(current[point]), int(wanted[point]))
            if step is not None:
                steps.append(step)
                taken.append(point)
        left = [point for point in left if point not in taken]
        if not taken or not left:
            break
    return steps


def _try(
    problem: Problem, cover: Cover, false: npt.NDArray[np.float32], point: int, was: int, new: int
) -> Step | None:
    price = point_price(problem, cover, point, was, new)
    before = _state(cover)
    cover.put(point, new)
    after = _state(cover)
    missed = exposed(problem, after[1]) - exposed(problem, before[1])
    quieter = float(false[point, new] - false[point, was])
    passes = missed < -_SLACK or (missed <= _SLACK and quieter < 0)
    if not (passes and price < 0):
        cover.put(point, was)
        return None
    return Step(
        point,
        was,
        new,
        float(false[point, was]),
        float(false[point, new]),
        before[0],
        after[0],
        before[1],
        after[1],
    )


def point_price(problem: Problem, cover: Cover, point: int, was: int, new: int) -> float:
    """What changing one point makes of J."""
    price = point_costs(problem, cover, point, np.array([was, new]))
    return float(price[1] - price[0])


def exposed(problem: Problem, points: Ints) -> float:
    """Weighted faults that no point announces, and a share of those that only one does."""
    left = (points == 0) + problem.costs.by_one * (points == 1)
    return float((problem.weights * left).sum())


def _state(cover: Cover) -> tuple[Floats, Ints]:
    told = cover.told.any(axis=0)
    first = np.where(told, cover.delay.min(axis=0), np.nan).astype(np.float32)
    return first, cover.told.sum(axis=0)
