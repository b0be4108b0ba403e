"""Until when data is kept, counted in time that the factory's brain has lived through. Pure.

A clock that leaps a year ahead must not make the whole past too old at once. Asked by retention
with the days of the journal that stand; those are made day by day while a brain runs.
"""

from __future__ import annotations

from collections.abc import Iterable

DAY_MS = 86_400_000
LEAP_MS = 7 * DAY_MS
"""A longer time without any day: the clock has leapt, or nothing ran. It makes nothing older."""


def kept_since(starts: Iterable[int], now: int, keep_ms: int) -> int:
    """What is older than this may go: `keep_ms` before `now`, longer by every leap in between."""
    at, left = now, keep_ms
    for start in sorted((s for s in starts if s < now), reverse=True):
        end = min(start + DAY_MS, at)
        if at - end > LEAP_MS:
            at = end
        if at - start >= left:
            break
        left -= at - start
        at = start
    return at - left
