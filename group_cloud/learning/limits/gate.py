"""The one-sided gate: a push may protect more, or quieten without costing protection.

Called by the optimiser over the changes it would like to make. Demanding fewer alarms of every
change would block those that add protection; demanding of every single change that it cost none
would refuse to let one point take over from another. So what protects comes first, and no change
may leave less protection than there was before the push.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from group_cloud.learning.limits.joint import Cover, Floats, Ints, Problem, point_costs

PASSES = 4
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


class Shield:
    """How well each fault is covered by the points together, as far as that is no chance.

    The same credit as in the price: a candidate that rattles would announce anything, and what
    only just announced one fault will not announce the next.
    """

    def __init__(self, problem: Problem, choice: Ints) -> None:
        self.problem = problem
        self.credit = np.zeros((len(choice), len(problem.weights)), np.float32)
        for point, candidate in enumerate(choice):
            self.put(point, int(candidate))

    def put(self, point: int, candidate: int) -> None:
        """Let a point run a candidate."""
        told = self.problem.credits(point, np.array([candidate])).told[:, 0]
        rate = float(self.problem.rate[point, candidate])
        self.credit[point] = told * np.exp(-rate * self.problem.fault_min / 60)

    def exposed(self) -> float:
        """Weighted faults that are left to be missed: each point that tells leaves a share."""
        left = (1 - (1 - self.problem.costs.by_one) * self.credit).prod(axis=0)
        return float((self.problem.weights * left).sum())

    def instead(self, point: int, candidate: int) -> float:
        """The same if a point ran another candidate."""
        kept = self.credit[point].copy()
        self.put(point, candidate)
        found = self.exposed()
        self.credit[point] = kept
        return found


def accept(
    problem: Problem, false: npt.NDArray[np.float32], current: Ints, wanted: Ints
) -> list[Step]:
    """The changes from `current` to `wanted` that pass, in the order in which they are taken.

    After each of them the faults are covered at least as well as before the first, so that a push
    may also end at any of them.
    """
    cover, shield, steps = Cover(problem, current), Shield(problem, current), list[Step]()
    floor = shield.exposed()
    left = [int(point) for point in np.flatnonzero(current != wanted)]
    for _ in range(PASSES):
        taken: list[int] = []
        gains = {point: round(shield.instead(point, int(wanted[point])), 3) for point in left}
        for point in sorted(left, key=lambda point: (gains[point], point)):
            was, new = int(current[point]), int(wanted[point])
            now, then = shield.exposed(), shield.instead(point, new)
            protects = then < now - _SLACK
            quietens = then <= floor + _SLACK and false[point, new] < false[point, was]
            price = point_price(problem, cover, point, was, new)
            if (protects or quietens) and price < 0:
                steps.append(_taken(cover, false, point, was, new))
                shield.put(point, new)
                taken.append(point)
        left = [point for point in left if point not in taken]
        if not taken or not left:
            break
    return steps


def _taken(cover: Cover, false: npt.NDArray[np.float32], point: int, was: int, new: int) -> Step:
    before = _state(cover)
    cover.put(point, new)
    after = _state(cover)
    told = float(false[point, was]), float(false[point, new])
    return Step(point, was, new, *told, before[0], after[0], before[1], after[1])


def point_price(problem: Problem, cover: Cover, point: int, was: int, new: int) -> float:
    """What changing one point makes of J."""
    price = point_costs(problem, cover, point, np.array([was, new]))
    return float(price[1] - price[0])


def _state(cover: Cover) -> tuple[Floats, Ints]:
    told = cover.told.any(axis=0)
    first = np.where(told, cover.delay.min(axis=0), np.nan).astype(np.float32)
    return first, cover.told.sum(axis=0)
