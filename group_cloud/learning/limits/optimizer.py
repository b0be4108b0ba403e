"""The threshold optimiser of one factory: its own evidence, and the group's at a lesser weight.

Called by the trainer and by the back-test: `learn_one` as labels come, `propose` when it is time
for a push. It never learns from what nobody has judged and never leaves guardrails or bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from group_cloud.learning.contract import checked_schema
from group_cloud.learning.limits.bank import DayCounts, FaultVerdicts, PointBank
from group_cloud.learning.limits.evidence import LimitProposal, evidence_of
from group_cloud.learning.limits.gate import accept
from group_cloud.learning.limits.joint import Block, Ints, JointCosts, Problem, solve
from group_cloud.learning.limits.rails import Rails, allowed_candidates
from shared.alarm.grid import Grid

SCHEMA = "limit-optimizer/v1"
GROUP_WEIGHT = 0.2
"""What a recorded fault of another factory weighs beside one of its own."""
PRIOR_DAYS = 14.0
"""How many days of its own a factory's rates of false alarms need to weigh as much as the group's:
how a fault looks is shared, how a sensor rattles is not."""
CAUTION = 0.1
"""What a false alarm costs at the start, by its later price: who knows nothing yet listens more."""

MARGIN_LIMITS = 2
"""How many limits further a fault should still have been announced, for full credit: what one
factory's faults just reach, another's will not."""


@dataclass(frozen=True, slots=True)
class PointInfo:
    """One alarm point of a factory with the candidates that run in its shadow.

    `key` is what factories share: points of the same key in different factories are one thing (the
    same measurement of the same process); `tag_class` is the coarser kinship.
    """

    id: str
    key: str
    tag_class: str
    sigma: float
    grid: Grid

    @property
    def kin(self) -> tuple[str, str]:
        """Tag class and side."""
        return self.tag_class, self.grid.side


@dataclass(frozen=True, slots=True)
class Tuning:
    """How an optimiser weighs; tuned on other factories than those it is scored on."""

    costs: JointCosts = JointCosts()
    group_weight: float = GROUP_WEIGHT
    prior_days: float = PRIOR_DAYS
    caution: float = CAUTION
    rails: Rails = field(default_factory=Rails)


class Optimizer:
    """A factory's expert banks, the group behind it, and the joint choice among candidates."""

    def __init__(
        self,
        points: Sequence[PointInfo],
        group: Sequence[Optimizer] = (),
        tuning: Tuning | None = None,
        reference: int = 0,
    ) -> None:
        self.points = {point.id: point for point in points}
        self.banks = {point.id: PointBank(len(point.grid), reference) for point in points}
        self.by_key = {point.key: point.id for point in points}
        self.group, self.tuning, self.reference = tuple(group), tuning or Tuning(), reference

    def learn_one(self, x: tuple[str, DayCounts | FaultVerdicts], y: str | None) -> bool:
        """One point's judged day or its verdicts on one recorded fault."""
        point, what = x
        return self.banks[point].learn_one(what, y)

    def start(self, points: Sequence[str]) -> Ints:
        """What a factory starts from: the group's choice, before it has evidence of its own."""
        current = np.full(len(points), self.reference)
        if not self.group:
            return current
        problem = self.problem(points, own=False)
        allowed = allowed_candidates([self.points[p] for p in points], self.tuning.rails)
        return solve(problem, current, allowed)

    def propose(
        self,
        points: Sequence[str],
        current: Ints,
        bounds: npt.NDArray[np.bool_] | None = None,
    ) -> list[LimitProposal]:
        """The changes that better the joint objective, pass the one-sided gate, and keep inside
        the guardrails and `bounds` (which candidates the engineer allows), in the order in which
        they are to be taken: each one's evidence supposes those before it."""
        problem = self.problem(points)
        if not problem.weights.any():
            return []  # Without any recorded fault nobody knows what a quieter limit would miss.
        infos = [self.points[point] for point in points]
        allowed = allowed_candidates(infos, self.tuning.rails, current)
        if bounds is not None:
            allowed &= bounds
        allowed[np.arange(len(points)), current] = True
        wanted = solve(problem, current, allowed)
        false = self._rates(points, own=True)[0]
        return [
            evidence_of(infos[step.point], step, problem, self.banks[points[step.point]])
            for step in accept(problem, false, current, wanted)
        ]

    def problem(self, points: Sequence[str], own: bool = True) -> Problem:
        """The joint problem over a factory's own evidence and the group's."""
        weight = self.tuning.group_weight if own else 1.0
        sources = [(self, 1.0)] if own else []
        sources += [(other, weight) for other in self.group]
        days = sum(w * o.days for o, w in sources)
        faults = sum(w * o.recorded for o, w in sources)
        upset_days = sum(w * o.upset_days for o, w in sources)
        false, standing = self._rates(points, own)
        costs, caution = self.tuning.costs, 1.0 if own else self.tuning.caution
        normal, price = max(1.0, days - upset_days), days * caution
        return Problem(
            quiet=(price * (costs.false * false + costs.standing_hour * standing)).astype(
                np.float32
            ),
            rate=(false * (days / (24.0 * normal))).astype(np.float32),
            blocks=tuple(self._block(other, points, w) for other, w in sources),
            stricter=stricter(self.points[points[0]].grid),
            costs=costs,
            fault_min=60.0 * 24.0 * upset_days / faults if faults else 300.0,
        )

    @property
    def recorded(self) -> int:
        """How many faults it knows."""
        return max((len(bank.faults) for bank in self.banks.values()), default=0)

    @property
    def upset_days(self) -> float:
        """Days of recorded faults and of running up after them."""
        seconds = (bank.upset_s for bank in self.banks.values())
        return max(seconds, default=0.0) / 86_400.0

    @property
    def days(self) -> float:
        """Days of evidence."""
        return max((bank.weighty_days for bank in self.banks.values()), default=0.0)

    def _rates(
        self, points: Sequence[str], own: bool
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """False alarms and standing hours per day as far as they are known: [point, candidate]."""
        group_days = sum(other.days for other in self.group)
        weights = [(other, other.days / group_days) for other in self.group if group_days]
        if own:
            prior = self.tuning.prior_days if weights else 0.0
            mine = self.days / max(self.days + prior, 1.0)
            weights = [(self, mine), *((other, (1 - mine) * share) for other, share in weights)]
        shape = (len(points), len(self.points[points[0]].grid))
        false, standing = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        for other, weight in weights:
            for place, point in enumerate(points):
                for bank, share in other.kindred(self.points[point]):
                    false[place] += np.float32(weight * share) * bank.false_per_day()
                    standing[place] += np.float32(weight * share) * bank.standing_h_per_day()
        return false, standing

    def kindred(self, point: PointInfo) -> list[tuple[PointBank, float]]:
        """The bank of the same key, else equal shares of those of its class and side."""
        same = self.by_key.get(point.key)
        if same is not None:
            return [(self.banks[same], 1.0)]
        kin = [self.banks[p.id] for p in self.points.values() if p.kin == point.kin]
        return [(bank, 1.0 / len(kin)) for bank in kin]

    def _block(self, other: Optimizer, points: Sequence[str], weight: float) -> Block:
        ids, faults = other.by_key, other.recorded
        found: list[npt.NDArray[np.int16] | None] = []
        for point in points:
            bank = other.banks.get(ids.get(self.points[point].key, ""))
            # A bank that joined late knows fewer faults than its neighbours: it has no say yet.
            found.append(bank.delays if bank is not None and len(bank.faults) == faults else None)
        return Block(tuple(found), faults, weight)

    def snapshot(self) -> dict[str, Any]:
        """The factory's own state as plain data; the group has its own."""
        return {
            "schema": SCHEMA,
            "reference": self.reference,
            "points": [
                [p.id, p.key, p.tag_class, p.sigma, p.grid.to_dict()] for p in self.points.values()
            ],
            "banks": {name: bank.snapshot() for name, bank in self.banks.items()},
        }

    @classmethod
    def restore(
        cls,
        data: Mapping[str, Any],
        group: Sequence[Optimizer] = (),
        tuning: Tuning | None = None,
    ) -> Self:
        """The optimiser that `snapshot` wrote, in front of a group."""
        checked_schema(dict(data), SCHEMA)
        infos = [
            PointInfo(name, key, tag_class, sigma, Grid.from_dict(grid))
            for name, key, tag_class, sigma, grid in data["points"]
        ]
        found = cls(infos, group, tuning, data["reference"])
        for name, bank in data["banks"].items():
            found.banks[name] = PointBank.restore(bank)
        return found


def stricter(grid: Grid) -> Ints:
    """For every candidate the one two limits further on the axis; the last is its own."""
    filters, limits, *rest = grid.shape
    inner = int(np.prod(rest))
    places = np.arange(len(grid)).reshape(filters, limits, inner)
    further = np.minimum(np.arange(limits) + MARGIN_LIMITS, limits - 1)
    return places[:, further].reshape(-1)
