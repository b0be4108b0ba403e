"""A device operation with its limits: is this write allowed, and what is written.

Pure. Interlocks and preconditions are expressions and live in actuation; the numbers are
`shared/site/limits.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from shared.errors import Rejected
from shared.site.limits import RateLimit, beyond
from shared.site.model import OperationSpec

__all__ = ["RANKS", "Arbitration", "PlannedWrite", "RateLimit", "plan"]

RANKS = {"reflex": 0, "fragment": 1, "command": 2, "beacon": 3}
"""Edge reflex over what the edge runs in the brain's stead, that over the brain, the edge's own
lamp last; interlocks outrank them all."""


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
    refusal = beyond(spec, args, before)
    if refusal is not None:
        return refusal
    if spec.arg is None:
        fixed = spec.value if spec.value is not None else ({} if keyed else True)
        return PlannedWrite(spec.write, fixed, 1.0)
    value = args[spec.arg]
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = round(value / spec.scale, 6) if spec.scale != 1 else float(value)
    if isinstance(spec.value, list):
        filled = [value if item == f"${spec.arg}" else item for item in spec.value]
        return PlannedWrite(spec.write, filled, spec.scale)
    return PlannedWrite(spec.write, {spec.arg: value} if keyed else value, spec.scale)


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
