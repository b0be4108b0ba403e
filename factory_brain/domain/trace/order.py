"""The order of what different clocks have stamped, claimed no further than they allow. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

UNKNOWN_CLOCK_MS = 1000
"""How far a clock may be off that says nothing of it."""
MOST_NEAR = 200
"""Neighbours that are looked at; of more, the order is uncertain anyway."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """When, by whose clock, put right by that clock's known offset."""

    at: int
    clock: str
    unsure: int | None = None
    """How far it may be off; None: nobody knows."""


def undecided(one: Stamp, other: Stamp) -> bool:
    """Whether nobody can say which of the two came first; one clock is in order with itself."""
    if one.clock == other.clock:
        return False
    apart = abs(one.at - other.at)
    return apart == 0 or apart < _unsure(one) + _unsure(other)


def _unsure(stamp: Stamp) -> int:
    return UNKNOWN_CLOCK_MS if stamp.unsure is None else stamp.unsure


def in_order(stamps: Sequence[Stamp]) -> list[tuple[int, bool]]:
    """(index, whether its place is uncertain) in the order of time; ties keep the order given."""
    order = sorted(range(len(stamps)), key=lambda index: stamps[index].at)
    widest = max((_unsure(each) for each in stamps), default=0) * 2
    unsure = [False] * len(stamps)
    for place, index in enumerate(order):
        for other in order[place + 1 : place + 1 + MOST_NEAR]:
            if stamps[other].at - stamps[index].at > widest:
                break
            if undecided(stamps[index], stamps[other]):
                unsure[index] = unsure[other] = True
    return [(index, unsure[index]) for index in order]


def thinned(
    times: Sequence[int], values: Sequence[float | None], most: int
) -> tuple[list[int], list[float | None]]:
    """At most about `most` points that keep each stretch's least and greatest value."""
    if len(times) <= most:
        return list(times), list(values)
    size = -(-len(times) * 2 // most)
    keep: set[int] = {0, len(times) - 1}
    for start in range(0, len(times), size):
        part = range(start, min(start + size, len(times)))
        numbers = [(v, i) for i in part if (v := values[i]) is not None]
        keep |= {min(numbers)[1], max(numbers)[1]} if numbers else {start}
    chosen = sorted(keep)
    return [times[i] for i in chosen], [values[i] for i in chosen]
