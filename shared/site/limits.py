"""The limits of a device's operation, in numbers: argument, bounds, step, writes in a minute. Pure.

Used by the edge before it writes, and by rehearsals and dry runs of playbooks, which so refuse what
the edge would. Interlocks are expressions and are looked at elsewhere.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any

from shared.errors import Rejected
from shared.site.model import OperationSpec

MINUTE_MS = 60_000


def beyond(spec: OperationSpec, args: Mapping[str, Any], before: float | None) -> Rejected | None:
    """Why these arguments are refused; `before`: what the device stands at, where it is known."""
    names = {spec.arg} if spec.arg else set()
    if set(args) != names:
        return Rejected("bad_argument", {"expected": sorted(names), "given": sorted(args)})
    if spec.arg is None:
        return None
    value = args[spec.arg]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return _beyond(spec, float(value), before)
    if not isinstance(value, bool | str) or spec.min is not None or spec.max is not None:
        return Rejected("bad_argument", {"name": spec.arg, "value": str(value)})
    return None


def _beyond(spec: OperationSpec, value: float, before: float | None) -> Rejected | None:
    if not math.isfinite(value):
        return Rejected("bad_argument", {"name": spec.arg, "value": str(value)})
    low = spec.min if spec.min is not None else -math.inf
    high = spec.max if spec.max is not None else math.inf
    if not low <= value <= high:
        return Rejected("out_of_range", {"value": value, "min": spec.min, "max": spec.max})
    if spec.max_step is not None and spec.max_step < high - low:
        if before is None:
            return Rejected("no_base_value", {"tag": spec.capture_before})
        if abs(value - before) > spec.max_step:
            return Rejected("step_too_large", {"from": before, "to": value, "max": spec.max_step})
    return None


class RateLimit:
    """Writes of each (device, operation) in the last minute of monotonic time."""

    def __init__(self) -> None:
        self._writes: dict[tuple[str, str], deque[int]] = {}

    def check(self, device: str, operation: str, most: int | None, now: int) -> Rejected | None:
        """Whether one more write is allowed now."""
        if most is None:
            return None
        past = self._writes.setdefault((device, operation), deque())
        while past and past[0] <= now - MINUTE_MS:
            past.popleft()
        return Rejected("rate_limited", {"max_per_min": most}) if len(past) >= most else None

    def count(self, device: str, operation: str, now: int) -> None:
        """One write has been sent."""
        self._writes.setdefault((device, operation), deque(maxlen=1000)).append(now)

    def uncount(self, device: str, operation: str) -> None:
        """The last one surely did not reach the device."""
        if past := self._writes.get((device, operation)):
            past.pop()
