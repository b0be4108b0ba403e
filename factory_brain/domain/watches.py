"""When one of the product's own figures is bad enough to say so: limits, hysteresis, patience.

Pure; `application/health.py` feeds it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Watch:
    """Raised at `high` or above for `hold_ms`; cleared at `low` or below."""

    code: str
    high: float
    low: float
    hold_ms: int = 0


@dataclass(frozen=True, slots=True)
class Watched:
    """Where one figure stands."""

    active: bool = False
    bad_since: int | None = None


def look(watch: Watch, before: Watched, value: float | None, now: int) -> Watched:
    """The figure as read at `now` (steady ms); None: could not be read, nothing changes."""
    if value is None:
        return before
    if before.active:
        return Watched() if value <= watch.low else before
    if value < watch.high:
        return Watched()
    since = now if before.bad_since is None else before.bad_since
    return Watched(now - since >= watch.hold_ms, since)
