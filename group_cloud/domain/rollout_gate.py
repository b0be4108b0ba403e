"""The health gate: whether what the changed points do lies within what was forecast.

Pure arithmetic on counts. It never decides what follows from a verdict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from group_cloud.domain.evidence import Point
from group_cloud.domain.rollout_plan import Change
from group_cloud.domain.rollout_policy import Policy
from shared.errors import Rejected

DAY_MS = 86_400_000
_EXACT = 500.0
"""Up to this mean the Poisson distribution is summed; above it the normal one is as good."""


@dataclass(frozen=True, slots=True)
class Watched:
    """What one changed point did since its edge has run the new setting."""

    point: Point
    since: int
    until: int
    alarms: int
    missed: tuple[str, ...] = ()
    """Recorded faults that the engineer's own setting told and the new one did not."""


@dataclass(frozen=True, slots=True)
class Shadowed:
    """What the new setting would have done, counted in shadow."""

    point: Point
    coverage_days: float
    alarms: float
    missed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Told:
    """What is recorded about one point beside its alarms, for people who look at the gate."""

    faults: int
    """Recorded faults that name it, or lie on its line."""
    engineer_only: int
    """Episodes that the engineer's own setting told and the running one did not."""


@dataclass(frozen=True, slots=True)
class Factory:
    """How far a factory has told its events."""

    heard_until: int = 0
    edges_down: int = 0


def upper(mean: float, alpha: float) -> int:
    """The count that a Poisson variable exceeds with a probability below `alpha`.

    >>> upper(0.0, 0.001), upper(4.0, 0.001)
    (0, 11)
    """
    if mean <= 0:
        return 0
    if mean > _EXACT:
        return math.ceil(mean + _quantile(alpha) * math.sqrt(mean))
    term = math.exp(-mean)
    total, count = term, 0
    while 1.0 - total >= alpha:
        count += 1
        term *= mean / count
        total += term
    return count


def lower(mean: float, alpha: float) -> int:
    """The count below which a Poisson variable stays with a probability below `alpha`.

    >>> lower(4.0, 0.001), lower(20.0, 0.001)
    (0, 8)
    """
    if mean <= 0:
        return 0
    if mean > _EXACT:
        return math.floor(mean - _quantile(alpha) * math.sqrt(mean))
    term = math.exp(-mean)
    total, count = term, 0
    while total < alpha:
        count += 1
        term *= mean / count
        total += term
    return count


def _quantile(alpha: float) -> float:
    """The normal distribution's upper quantile, by bisection of the error function."""
    low, high = 0.0, 10.0
    for _ in range(60):
        middle = (low + high) / 2
        if 0.5 * math.erfc(middle / math.sqrt(2)) > alpha:
            low = middle
        else:
            high = middle
    return high


def band(change: Change, days: float, policy: Policy) -> tuple[int, int | None]:
    """(least, most) alarms in `days` that agree with the forecast; most None: no forecast at all.

    Without a forecast the point may not tell more than before, and may tell as little as it likes.
    """
    if change.per_day is not None:
        expected = max(change.per_day, 0.0) * days
        return (
            lower(expected / policy.slack, policy.alpha),
            # At least one alarm is always allowed: a point that is never to speak is not tuned.
            max(1, upper(expected * policy.slack, policy.alpha)),
        )
    if change.before_per_day is not None:
        return 0, max(1, upper(change.before_per_day * days * policy.slack, policy.alpha))
    return 0, None


def too_many(change: Change, alarms: float, days: float, policy: Policy) -> Rejected | None:
    """More alarms than the forecast allows: known as soon as it happens."""
    least, most = band(change, days, policy)
    if most is None or alarms <= most:
        return None
    return Rejected("rate_above_forecast", _figures(change, alarms, days, least, most))


def too_few(change: Change, alarms: float, days: float, policy: Policy) -> Rejected | None:
    """Fewer alarms than the forecast allows: known when the time is over."""
    least, most = band(change, days, policy)
    if alarms >= least:
        return None
    return Rejected("rate_below_forecast", _figures(change, alarms, days, least, most))


def _figures(
    change: Change, alarms: float, days: float, least: int, most: int | None
) -> dict[str, str | float | None]:
    return {
        "site": change.point.site, "alarm": change.point.alarm, "alarms": alarms,
        "days": round(days, 4), "least": least, "most": most,
    }  # fmt: skip


def unhealthy(change: Change, seen: Watched, policy: Policy) -> Rejected | None:
    """Why a changed point has to go back at once, None if it need not."""
    if seen.missed:
        return Rejected(
            "fault_missed",
            {"site": change.point.site, "alarm": change.point.alarm, "faults": list(seen.missed)},
        )
    return too_many(change, seen.alarms, (seen.until - seen.since) / DAY_MS, policy)


def unlikely(change: Change, seen: Shadowed, policy: Policy) -> Rejected | None:
    """Why a setting that only ran in shadow may not go on, None if it may."""
    if seen.missed:
        return Rejected(
            "fault_missed",
            {"site": change.point.site, "alarm": change.point.alarm, "faults": list(seen.missed)},
        )
    return too_many(change, seen.alarms, seen.coverage_days, policy)
