"""Rule 1: a source of limits that adapts to unlabelled data absorbs the fault, and is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from group_cloud.learning.admission import admit
from group_cloud.learning.contract import UnlabelledError
from group_cloud.learning.limits.optimizer import Optimizer
from group_cloud.learning.river_parts import EWMean, EWVar
from tests.unit.group_cloud.learning.learners import POINTS, by_point, proposals


class ThreeSigma:
    """The tempting one: three sigma of everything it sees."""

    def __init__(self) -> None:
        self.mean, self.spread = EWMean(0.02), EWVar(0.02)

    def learn_one(self, x: float, y: Any) -> None:
        self.mean.update(x)
        self.spread.update(x)

    def limits(self) -> Mapping[str, float]:
        return {"T.HI": self.mean.get() + 3 * self.spread.get() ** 0.5}


class Judged:
    """The group's optimiser as a source of limits."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def learn_one(self, x: Any, y: Any) -> None:
        self.optimizer.learn_one(x, y)

    def limits(self) -> Mapping[str, Any]:
        return {point: candidate for point, candidate, _ in proposals(self.optimizer)}


def test_limits_that_follow_everything_miss_a_slow_fault_and_are_refused() -> None:
    """Why: a drift of ten sigmas stays within limits that drift along. And that it is refused."""
    random = np.random.default_rng(2)
    normal = random.normal(size=500)
    fault = np.linspace(0, 10, 600) + random.normal(size=600)
    follower, told = ThreeSigma(), 0
    for x in normal:
        follower.learn_one(float(x), None)
    fixed = follower.limits()["T.HI"]
    for x in fault:
        told += x > follower.limits()["T.HI"]
        follower.learn_one(float(x), None)
    assert (fault > fixed).sum() > 300
    assert told < 30
    with pytest.raises(UnlabelledError, match=r"T\.HI"):
        admit(ThreeSigma(), [float(x) for x in normal])


def test_the_optimiser_is_admitted_and_moves_by_judgements_only() -> None:
    """The same things without labels change nothing; with labels they would."""
    optimizer = Optimizer(POINTS)
    for x, y in by_point(1, 40):
        optimizer.learn_one(x, y)
    source = Judged(optimizer)
    before = dict(source.limits())
    assert before
    admit(source, [x for x, _ in by_point(2, 60)])
    assert dict(source.limits()) == before


def test_without_a_recorded_fault_nothing_is_proposed() -> None:
    """Days alone would say: the quietest setting. Nobody knows what it would miss."""
    optimizer = Optimizer(POINTS)
    for (point, x), y in by_point(1, 40):
        if y == "judged":
            optimizer.learn_one((point, x), y)
    assert proposals(optimizer) == []
