"""Which alarm points of each edge are worth counting in shadow. Pure and deterministic.

Called by the nominator with what the group's tables say; a nomination changes no setting.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median

from shared.alarm.point import Setting

CANDIDATE, MISSED, DRIFTED, WORST = "candidate", "missed", "drifted", "worst"
NUISANCE = "nuisance"
DRIFT_SIGMAS = 2.0
DRIFT_DAYS = 4
"""Days of a tag that say where it stood: as many as commissioning takes."""


@dataclass(frozen=True, slots=True, order=True)
class Spot:
    """One alarm point of one site."""

    edge: str
    alarm: str


@dataclass(frozen=True, slots=True)
class Grounds:
    """What speaks for the points of one site."""

    raised: Mapping[Spot, float] = field(default_factory=dict)
    """Alarms a day."""
    missed: Mapping[Spot, int] = field(default_factory=dict)
    """Recorded faults of which it could have told and did not."""
    drifted: Iterable[Spot] = ()
    nuisance: Mapping[Spot, float] = field(default_factory=dict)
    """Nuisance alarms a day to be expected, where people have said that most are."""
    candidates: Mapping[Spot, Setting] = field(default_factory=dict)
    """Settings on trial: a roll-out in shadow waits for their counts."""


@dataclass(frozen=True, slots=True)
class Nominee:
    """One nominated point and why."""

    spot: Spot
    reason: str
    candidate: Setting | None = None


def choose(grounds: Grounds, budget: int) -> dict[str, list[Nominee]]:
    """edge -> its nominated points, the most needed first, at most `budget` of them.

    What is on trial comes first, then what missed a fault, what has drifted, what people call
    nuisance, and what floods.
    """
    ranked = [
        *((spot, CANDIDATE) for spot in sorted(grounds.candidates)),
        *((spot, MISSED) for spot in _by_need(grounds.missed)),
        *((spot, DRIFTED) for spot in sorted(set(grounds.drifted))),
        *((spot, NUISANCE) for spot in _by_need(grounds.nuisance)),
        *((spot, WORST) for spot in _by_need(grounds.raised)),
    ]
    found: dict[str, dict[Spot, Nominee]] = {}
    for spot, reason in ranked:
        mine = found.setdefault(spot.edge, {})
        if spot not in mine and len(mine) < budget:
            mine[spot] = Nominee(spot, reason, grounds.candidates.get(spot))
    return {edge: list(mine.values()) for edge, mine in sorted(found.items()) if mine}


def _by_need(counts: Mapping[Spot, float]) -> list[Spot]:
    return sorted((s for s, n in counts.items() if n > 0), key=lambda s: (-counts[s], s))


def drifted(days: Iterable[tuple[int, float, float]]) -> bool:
    """Whether a tag has moved away from where it stood: (day, mean, sigma) of each counted day.

    The mean of the last days against that of the first, in sigmas of the first; a tag that only
    jumped for one day has not drifted.
    """
    known = sorted(set(days))
    if len(known) < 2 * DRIFT_DAYS or any(a[0] == b[0] for a, b in pairwise(known)):
        return False
    first, last = known[:DRIFT_DAYS], known[-DRIFT_DAYS:]
    spread = median(sigma for _, _, sigma in first)
    if spread <= 0:
        return False
    moved = median(mean for _, mean, _ in last) - median(mean for _, mean, _ in first)
    return abs(moved) > DRIFT_SIGMAS * spread
