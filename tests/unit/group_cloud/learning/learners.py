"""The learners of the group with a stream for each: the check list runs over all of them.

A learner is added by one `Case`; `output` is what it decides, as plain data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from group_cloud.learning.bandit import VariantChoice
from group_cloud.learning.contract import Learner
from group_cloud.learning.drift import DriftWatch
from group_cloud.learning.floods import FloodMemory
from group_cloud.learning.limits.bank import FAULT, JUDGED, DayCounts, FaultVerdicts, PointBank
from group_cloud.learning.limits.optimizer import Optimizer, PointInfo
from group_cloud.learning.linear import ReplayedLogistic
from group_cloud.learning.linear_choice import LinearChoice
from group_cloud.learning.nuisance import NuisanceRanker
from group_cloud.learning.threshold import ExpertBank
from group_cloud.learning.warning import WarningLearner
from shared.alarm.grid import Grid
from tests.unit.group_cloud.learning.event_streams import (
    TAGS,
    daily_rates,
    episodes,
    flood,
    judged_alarms,
    labelled_rows,
    labelled_windows,
    linear_runs,
    playbook_runs,
)
from tests.unit.group_cloud.learning_world import peak

GRID = Grid("HI", (3.0, 4.0, 5.0), (0.0, 1.0), (0, 60_000), (0, 300_000), ("raw",), 0.0)
POINTS = tuple(PointInfo(f"T{i}.HI", f"T{i}.HI", "flow", 1.0, GRID) for i in range(3))


@dataclass(frozen=True, slots=True)
class Case:
    """One learner: how it is made, what it is fed (n things by a seed), what it then says."""

    name: str
    make: Callable[[int], Learner]
    stream: Callable[[int, int], Iterator[tuple[Any, Any]]]
    output: Callable[[Any], Any]
    limits: bool = False
    """Whether limits come of it, so that it must refuse what nobody has judged."""
    bytes_most: int = 400_000
    """What its snapshot may hold at the most, as JSON."""


def counters(seed: int, n: int) -> Iterator[tuple[DayCounts | FaultVerdicts, str]]:
    """Days and, every fourth day, a recorded fault: stricter candidates tell less and later."""
    random = np.random.default_rng(seed)
    strict = np.array([GRID.limits.index(GRID.setting(i).limit) for i in range(len(GRID))])
    for day in range(n):
        told = random.poisson(6.0 / (1 + 2 * strict))
        yield DayCounts(day, told, told * 60.0), JUDGED
        if day % 4 == 3:
            heard = random.random(len(GRID)) < 0.95 - 0.1 * strict
            delays = np.where(heard, 600.0 * (1 + strict), -1.0)
            inside = np.minimum(told, 1)
            yield FaultVerdicts(str(day), day, 3600.0, delays, inside, inside * 60.0), FAULT


def by_point(seed: int, n: int) -> Iterator[tuple[tuple[str, Any], str]]:
    """The same for every point of a factory."""
    for place, point in enumerate(POINTS):
        for x, y in counters(seed * 10 + place, n):
            yield (point.id, x), y


def occurrences(seed: int, n: int) -> Iterator[tuple[Any, str]]:
    """Judged occurrences: low and short ones are nuisance."""
    random = np.random.default_rng(seed)
    for number in range(n):
        true = random.random() < 0.4
        height = 1245.0 if true else 1234.0
        found = peak(number, height + float(random.random()), 30.0 if true else 5.0)
        yield found, "true" if true else "nuisance"


def proposals(optimizer: Optimizer) -> Any:
    """What an optimiser would push from the loosest setting."""
    ids = list(optimizer.points)
    return [
        (p.point, p.candidate, p.evidence.missed_after)
        for p in optimizer.propose(ids, np.zeros(len(ids), int))
    ]


CASES = [
    Case(
        "bank",
        lambda seed: PointBank(len(GRID)),
        counters,
        lambda b: [b.false_per_day().tolist(), b.delays.tolist(), b.band()],
        limits=True,
        bytes_most=8_000,
    ),
    Case("optimizer", lambda seed: Optimizer(POINTS), by_point, proposals, limits=True),
    Case(
        "occurrences",
        lambda seed: ExpertBank(),
        occurrences,
        lambda b: str(b.propose(lambda current, new: True)),
        limits=True,
        bytes_most=1_200_000,
    ),
    Case(
        "logistic",
        lambda seed: ReplayedLogistic(3, seed, per_class=200),
        labelled_rows,
        lambda m: [m.score([2.0, 0.0, 0.0]), m.logit([-2.0, 0.5, 0.1])],
    ),
    Case(
        "warning",
        lambda seed: WarningLearner(TAGS, seed),
        labelled_windows,
        lambda m: [m.score(np.full(4 * len(TAGS), level)) for level in (0.0, 3.0)],
        bytes_most=900_000,
    ),
    Case(
        "floods",
        lambda seed: FloodMemory(seed, capacity=60),
        episodes,
        lambda m: [str(m.resembles(flood(cause, 99).alarms, 180)) for cause in range(4)],
    ),
    Case(
        "nuisance",
        lambda seed: NuisanceRanker(seed),
        judged_alarms,
        lambda m: [
            str(m.rank([x for x, _ in judged_alarms(8, 5)])),
            str(m.propose()),
            m.champion,
        ],
        bytes_most=900_000,
    ),
    Case(
        "drift",
        lambda seed: DriftWatch(capacity=4),
        daily_rates,
        lambda w: [w.score(("A", "alarm_rate")), w.score(("B", "residual"))],
    ),
    Case(
        "choice",
        lambda seed: VariantChoice(seed, capacity=3),
        playbook_runs,
        lambda c: [c.propose("pump", ("a", "b")), c.score(("valve", "a"))],
    ),
    Case(
        "linear choice",
        lambda seed: LinearChoice(2, seed=seed),
        linear_runs,
        lambda c: [c.score(([1.0, 0.0], "a")), c.score(([0.0, 1.0], "b"))],
    ),
]
