"""The joint choice: one candidate per alarm point, so that all points together cover the faults.

Called by the optimiser. Pure numbers in, indices out, the same for the same input; it knows no
guardrails but the candidates it is allowed, and judges nothing as a single point would.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

SWEEPS = 8
"""Sweeps over all points at the most; it stops when a whole sweep changes nothing."""
KEPT_NUMBERS = 50_000_000
"""How many numbers a solution keeps between its sweeps (200 MB); the others it works out anew."""
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int_]


@dataclass(frozen=True, slots=True)
class JointCosts:
    """The engineer's prices; all of them are relative to one false alarm."""

    false: float = 1.0
    missed: float = 1000.0
    by_one: float = 0.25
    """What share of a missed fault is left of the price with every point that announces it."""
    delay_hour: float = 280.0
    standing_hour: float = 2.0
    faint: float = 800.0
    """A fault that nobody hears of in its first two hours ..."""
    faint_share: float = 0.7
    """... and the share that is left with every distinct point that does tell in time."""
    faint_min: float = 120.0
    longest_min: float = 240.0
    """A delay from which on it costs no more: the fault has run its course."""
    margin: float = 0.7
    """Share of the credit that a candidate gets only if a stricter limit tells as well."""


@dataclass(frozen=True, slots=True)
class Block:
    """The recorded faults of one factory, all of one weight: `delays[point]` is [fault, candidate]
    in minutes, -1 none; None where that factory has no such point."""

    delays: tuple[npt.NDArray[np.int16] | None, ...]
    faults: int
    weight: float


@dataclass(slots=True)
class Problem:
    """`quiet[point, candidate]`: what false alarms and standing time cost; `rate[point,
    candidate]`: false alarms per normal hour; `stricter[candidate]`: the one a limit further."""

    quiet: Floats
    rate: Floats
    blocks: tuple[Block, ...]
    stricter: Ints
    costs: JointCosts
    fault_min: float = 300.0
    """How long a fault usually lasts: chance has that long to hit it."""
    weights: Floats = field(init=False)

    def __post_init__(self) -> None:
        each = [np.full(block.faults, block.weight, np.float32) for block in self.blocks]
        self.weights = np.concatenate([np.zeros(0, np.float32), *each])

    def delays(self, point: int, candidates: Ints | int) -> Floats:
        """Minutes to the announcement by candidates of a point, -1 none: [fault, candidate]."""
        width = np.atleast_1d(candidates)
        parts = [np.zeros((0, len(width)), np.int16)]
        for block in self.blocks:
            found = block.delays[point]
            if found is None:
                parts.append(np.full((block.faults, len(width)), -1, np.int16))
            else:
                parts.append(found[:, width])
        return np.concatenate(parts).astype(np.float32)

    def credits(self, point: int, candidates: Ints) -> Credits:
        """What candidates of a point do for each fault, whatever the other points do."""
        delays = self.delays(point, candidates)
        further = self.delays(point, self.stricter[candidates])
        margin, heard = np.float32(self.costs.margin), delays >= 0
        told = (1 - margin) * heard + margin * (further >= 0)
        soon = heard & (delays < self.costs.faint_min)
        soon_further = (further >= 0) & (further < self.costs.faint_min)
        early = (1 - margin) * soon + margin * soon_further
        # What chance would have announced by then is no merit.
        surely = np.exp(-self.rate[point, candidates] * np.maximum(delays, 0) / 60)
        longest = np.float32(self.costs.longest_min)
        return Credits(
            told.astype(np.float32),
            early.astype(np.float32),
            np.where(heard, np.minimum(delays, longest), longest).astype(np.float32),
            (told * heard * surely).astype(np.float32),
        )


@dataclass(frozen=True, slots=True)
class Credits:
    """[fault, candidate]: credit for announcing it, for doing so early, the first announcement
    (`longest_min` for none), and the credit for every minute that it comes before the others."""

    told: Floats
    early: Floats
    first: Floats
    sooner: Floats


class Cover:
    """How a choice covers the faults: what is left of each price, point by point."""

    def __init__(self, problem: Problem, choice: Ints) -> None:
        shape = (len(choice), len(problem.weights))
        self.problem = problem
        self.missed = np.ones(shape, np.float32)
        self.faint = np.ones(shape, np.float32)
        self.delay = np.full(shape, problem.costs.longest_min, np.float32)
        self.told = np.zeros(shape, np.bool_)
        for point, candidate in enumerate(choice):
            self.put(point, int(candidate))

    def put(self, point: int, candidate: int) -> None:
        """Let a point run a candidate."""
        costs = self.problem.costs
        credits = self.problem.credits(point, np.array([candidate]))
        self.missed[point] = 1 - (1 - costs.by_one) * credits.told[:, 0]
        self.faint[point] = 1 - (1 - costs.faint_share) * credits.early[:, 0]
        self.told[point] = self.problem.delays(point, candidate)[:, 0] >= 0
        self.delay[point] = credits.first[:, 0]

    def without(self, point: int) -> tuple[Floats, Floats, Floats]:
        """What the other points leave of each fault's prices, and the first delay among them."""
        others = np.arange(len(self.missed)) != point
        return (
            self.missed[others].prod(axis=0),
            self.faint[others].prod(axis=0),
            self.delay[others].min(axis=0, initial=self.problem.costs.longest_min),
        )


def point_costs(
    problem: Problem, cover: Cover, point: int, pool: Ints, credits: Credits | None = None
) -> Floats:
    """What candidates of a point make of J, up to a constant, given what the others cover.

    Chance announces faults too: a candidate that often tells without any is credited only with
    what it tells beyond that.
    """
    costs, weights = problem.costs, problem.weights
    missed, faint, first = cover.without(point)
    known = credits or problem.credits(point, pool)
    by_told = weights * missed * (costs.missed * (1 - costs.by_one))
    by_early = weights * faint * (costs.faint * (1 - costs.faint_share))
    rate = problem.rate[point, pool]
    chance = -np.expm1(-rate * (problem.fault_min / 60)) * by_told.sum()
    chance += -np.expm1(-rate * (costs.faint_min / 60)) * by_early.sum()
    saved = np.maximum(first[:, None] - known.first, 0)
    saved *= known.sooner
    credit = by_told @ known.told + by_early @ known.early
    credit += (weights * np.float32(costs.delay_hour / 60)) @ saved
    return (problem.quiet[point, pool] + chance - credit).astype(np.float32)


def solve(
    problem: Problem, start: Ints, allowed: npt.NDArray[np.bool_], sweeps: int = SWEEPS
) -> Ints:
    """The choice that no change of a single point betters, by coordinate descent from `start`.

    Points take turns in their order; of equal candidates the one in use stays, else the first.
    """
    choice, cover = start.copy(), Cover(problem, start)
    pools = [np.flatnonzero(row) for row in allowed]
    kept, room = dict[int, Credits](), KEPT_NUMBERS
    for _ in range(sweeps):
        changed = False
        for point, pool in enumerate(pools):
            if not len(pool):
                continue
            credits = kept.get(point) or problem.credits(point, pool)
            if point not in kept and 4 * credits.told.size <= room:
                kept[point], room = credits, room - 4 * credits.told.size
            price = point_costs(problem, cover, point, pool, credits)
            here = np.flatnonzero(pool == choice[point])
            best = int(price.argmin())
            if not len(here) or price[best] < price[here[0]] - 1e-3:
                choice[point] = pool[best]
                cover.put(point, int(pool[best]))
                changed = True
        if not changed:
            break
    return choice
