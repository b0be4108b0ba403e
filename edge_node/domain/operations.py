"""A device operation with its limits: is this write allowed, and what is written.

Pure. Interlocks and preconditions are expressions and live in actuation; here are numbers.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Any

from shared.errors import Rejected
from shared.site.model import OperationSpec

RANKS = {"reflex": 0, "fragment": 1, "command": 2, "beacon": 3}
"""Edge reflex over what the edge runs in the brain's stead, that over the brain, the edge's own
lamp last; interlocks outrank them all."""
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class PlannedWrite:
    """What goes to the driver; `scale` turns its read-back into the operation's unit."""

    address: str
    value: bool | float | str | list[Any] | dict[str, Any]
    scale: float

    def in_unit(self, readback: Any) -> Any:
        """A raw read-back in the operation's unit."""
        if isinstance(readback, bool) or not isinstance(readback, int | float):
            return readback
        return round(readback * self.scale, 9)


def plan(
    spec: OperationSpec, args: dict[str, Any], before: float | None, keyed: bool
) -> PlannedWrite | Rejected:
    """The write for `args`, or why it is refused. `keyed`: the driver takes named arguments."""
    names = {spec.arg} if spec.arg else set()
    if set(args) != names:
        return Rejected("bad_argument", {"expected": sorted(names), "given": sorted(args)})
    if spec.arg is None:
        fixed = spec.value if spec.value is not None else ({} if keyed else True)
        return PlannedWrite(spec.write, fixed, 1.0)
    value = args[spec.arg]
    if isinstance(value, int | float) and not isinstance(value, bool):
        refusal = _check_number(spec, float(value), before)
        if refusal is not None:
            return refusal
        value = round(value / spec.scale, 6) if spec.scale != 1 else float(value)
    elif not isinstance(value, bool | str) or spec.min is not None or spec.max is not None:
        return Rejected("bad_argument", {"name": spec.arg, "value": str(value)})
    if isinstance(spec.value, list):
        filled = [value if item == f"${spec.arg}" else item for item in spec.value]
        return PlannedWrite(spec.write, filled, spec.scale)
    return PlannedWrite(spec.write, {spec.arg: value} if keyed else value, spec.scale)


def _check_number(spec: OperationSpec, value: float, before: float | None) -> Rejected | None:
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


class Arbitration:
    """Who is acting on which device."""

    def __init__(self) -> None:
        self._acting: dict[str, list[str]] = {}

    def enter(self, device: str, origin: str) -> None:
        """`origin` begins to act on `device`."""
        self._acting.setdefault(device, []).append(origin)

    def leave(self, device: str, origin: str) -> None:
        """`origin` has ended."""
        self._acting[device].remove(origin)

    def outranked(self, device: str, origin: str) -> Rejected | None:
        """Whether somebody of higher rank acts on the device now."""
        for other in self._acting.get(device, ()):
            if RANKS[other] < RANKS[origin]:
                return Rejected("held_by_higher_priority", {"holder": other})
        return None
