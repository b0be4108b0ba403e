"""How alike two incidents are, in a way that can be explained to whoever asks. Pure.

Four parts of one: which alarms (Jaccard index), in which order, which came first, and where.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

ALARMS, ORDER, FIRST, ASSET = 0.6, 0.2, 0.1, 0.1
"""What each part counts at most."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """What an incident is compared by."""

    alarms: tuple[str, ...]
    """Each alarm once, in the order of its first raise."""
    first: frozenset[str]
    """The alarms that came first; several in a tie."""
    asset: str


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike, and by which parts; each part is at most its weight."""

    score: float
    alarms: float
    order: float
    first: float
    asset: float
    common: tuple[str, ...]


def likeness(one: Pattern, other: Pattern) -> Likeness:
    """How alike two incidents are, 0 to 1.

    >>> a = Pattern(("A", "B", "C"), frozenset({"A"}), "FUR-01")
    >>> likeness(a, a).score
    1.0
    >>> likeness(a, Pattern(("C", "B", "A"), frozenset({"C"}), "FUR-01")).score
    0.7
    """
    mine, theirs = set(one.alarms), set(other.alarms)
    common = tuple(alarm for alarm in one.alarms if alarm in theirs)
    if not common:
        return Likeness(0.0, 0.0, 0.0, 0.0, 0.0, ())
    alarms = round(ALARMS * len(common) / len(mine | theirs), 4)
    order = round(ORDER * _in_order(common, other.alarms), 4)
    first = FIRST * (not one.first.isdisjoint(other.first))
    asset = ASSET * (one.asset == other.asset)
    total = round(alarms + order + first + asset, 4)
    return Likeness(total, alarms, order, first, asset, common)


def _in_order(common: Sequence[str], other: Sequence[str]) -> float:
    """The part of the common alarms that came in the same order: 0 for none of several."""
    if len(common) == 1:
        return 1.0
    place = {alarm: index for index, alarm in enumerate(other)}
    tails: list[int] = []  # of the longest rising sequences
    for alarm in common:
        at = bisect_left(tails, place[alarm])
        tails[at : at + 1] = [place[alarm]]
    return (len(tails) - 1) / (len(common) - 1)
