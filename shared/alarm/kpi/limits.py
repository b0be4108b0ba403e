"""Thresholds of the alarm figures and how time is cut; every one may be set.

Read by the functions of this package and set by the site's settings or the command line. Holds no
journal and decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

SECOND_MS = 1000
LOW_HIGH = {
    "H": "warning(L/H)", "L": "warning(L/H)",
    "HH": "critical(LL/HH)", "LL": "critical(LL/HH)",
}  # fmt: skip
OTHER = "other"


@dataclass(frozen=True, slots=True)
class KpiLimits:
    """What counts as a flood, as chattering, fleeting or stale. Times in ms."""

    window_ms: int = 600 * SECOND_MS
    """Length of the fixed intervals and of the sliding window: `[k*w, (k+1)*w)` and `(t-w, t]`."""
    flood_over: int = 10
    """A flood begins where more than so many fall into the sliding window."""
    flood_below: int = 5
    """A flood ends where fewer than so many are left in it."""
    chatter_count: int = 3
    chatter_ms: int = 60 * SECOND_MS
    """So many annunciations, the first and the last less than so far apart."""
    fleeting_ms: int = 60 * SECOND_MS
    """Raised and returned in less than this."""
    stale_ms: int = 86_400 * SECOND_MS
    """Standing for longer than this."""
    top: int = 10
    resolution_ms: int = SECOND_MS
    """Times are rounded (half up, never truncated) to this before anything is compared."""
    names: dict[str, str] = field(default_factory=lambda: dict(LOW_HIGH))
    """Priority of an alarm by its type, where a journal names none."""

    def rounded(self, ns: int) -> int:
        """A time in ns, as ms, rounded to the resolution."""
        step = self.resolution_ms * 1_000_000
        return (ns + step // 2) // step * self.resolution_ms

    def faults(self) -> list[str]:
        """What cannot be meant; empty if nothing."""
        found: list[str] = []
        for name in ("window_ms", "chatter_ms", "fleeting_ms", "stale_ms", "top", "resolution_ms"):
            if getattr(self, name) < 1:
                found.append(f"{name} must be 1 or more")
        if self.chatter_count < 2:
            found.append("chatter_count must be 2 or more")
        if not 0 < self.flood_below <= self.flood_over + 1:
            found.append("flood_below must lie between 1 and flood_over + 1")
        return found


DEFAULT = KpiLimits()
Side = Literal["performance", "diagnostic", "audit"]
"""The three parts of the figures: how the system performs, where to look, what people changed."""
