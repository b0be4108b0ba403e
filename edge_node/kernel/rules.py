"""The rules that the kernel runs, as columns: what both kernels are built from.

Filled by the pipeline and by the bench; knows alarms only as numbers.
"""

from __future__ import annotations

from array import array
from math import inf, nextafter

HIGH, LOW, EQUAL, STALE, BAD = range(5)
"""Above a limit, below it, equal to a value, nothing heard for so long, not good."""
Change = tuple[int, bool, int, float | None, str]
"""(rule, present, steady time, value, quality): a rule's condition has changed, after delays."""
UNKNOWN = 2
"""Quality of a tag before its first sample: bad."""
MANY = 8192
"""A scan hands over its changes when there are so many."""
QUALITIES = ("good", "bad", "stale")
"""What a change's quality means, by its code."""
MAX_DELAY_MS = 2**32 - 1
"""A longer delay (49 days) is as good as none ending."""
FAR = 1 << 52
"""No true time is further from 1970 (142,000 years): sums of a few are exact in any form."""


def bounded(time: int) -> int:
    """A time, or the end of time."""
    return max(-FAR, min(FAR, time))


class Rules:
    """Rules in the order of their tags, and within a tag suppressors first."""

    __slots__ = ("deadbands", "kinds", "limits", "off", "on", "orders", "tags")

    def __init__(self) -> None:
        self.tags, self.orders = array("i"), array("i")
        self.kinds = bytearray()
        self.limits, self.deadbands = array("d"), array("d")
        self.on, self.off = array("I"), array("I")

    def __len__(self) -> int:
        return len(self.tags)

    def add(
        self, tag: int, kind: int, limit: float = 0.0, deadband: float = 0.0,
        on_ms: int = 0, off_ms: int = 0, order: int = 0,
    ) -> int:  # fmt: skip
        """Add a rule, after all of smaller tags; returns its number.

        `limit` is the value of an EQUAL rule and the patience in ms of a STALE one. `order` ranks
        the rules of all tags: at one instant the smaller one begins first and ends last.
        """
        if self.tags and tag < self.tags[-1]:
            raise ValueError("rules come in the order of their tags")
        self.tags.append(tag)
        self.kinds.append(kind)
        self.limits.append(limit)
        self.deadbands.append(deadband)
        self.on.append(min(max(0, on_ms), MAX_DELAY_MS))
        self.off.append(min(max(0, off_ms), MAX_DELAY_MS))
        self.orders.append(order)
        return len(self.tags) - 1


def quiet(
    kind: int, limit: float, deadband: float, beyond: bool, value: float
) -> tuple[float, float]:
    """Where good samples cannot change a rule's condition, after good `value`."""
    if kind == HIGH:
        # "Past the limit" is strict, the band is closed below: hence the next number up.
        if beyond:
            return nextafter(limit - deadband, inf), inf
        return -inf, nextafter(limit, inf)
    if kind == LOW:
        return (-inf, limit + deadband) if beyond else (limit, inf)
    if kind == EQUAL:
        if beyond:
            return limit, nextafter(limit, inf)
        return (-inf, limit) if value < limit else (nextafter(limit, inf), inf)
    if kind == STALE and beyond:
        return inf, -inf
    return -inf, inf  # a bad sample is an excursion whatever the band
