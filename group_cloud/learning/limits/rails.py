"""The guardrails as the candidates they leave: steps per push, caps of delays, no point disabled.

Called by the optimiser before it chooses; the trainer, the signing and the plant ask again by
themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from group_cloud.learning.tag_classes import SLOW
from shared.alarm.grid import FILTERS, Filter, Grid

SHORTEST_MS = 60_000
"""What "three times the delay" means where there is no on-delay yet ..."""
SHORTEST_OFF_MS = 300_000
"""... and no off-delay."""


@dataclass(frozen=True, slots=True)
class Rails:
    """What one push may do, whatever the evidence."""

    sigmas: float = 2.0
    factor: float = 3.0
    on_cap_slow_ms: int = 300_000
    on_cap_ms: int = 600_000
    filters: tuple[Filter, ...] = FILTERS
    least_sigmas: tuple[float, float, float] = (3.0, 2.0, 3.0)
    """Limits no nearer to the mean of commissioning than this, by filter (raw, mean, day)."""


class HasGrid(Protocol):
    """What the guardrails need to know of a point."""

    @property
    def tag_class(self) -> str:
        """Class of the tag."""
        ...

    @property
    def sigma(self) -> float:
        """Spread of the tag in normal operation."""
        ...

    @property
    def grid(self) -> Grid:
        """Its candidates."""
        ...


def allowed_candidates(
    points: Sequence[HasGrid], rails: Rails, current: npt.NDArray[np.int_] | None = None
) -> npt.NDArray[np.bool_]:
    """[point, candidate]: what may be chosen; with `current`, what may be reached in one push."""
    rows = [
        _allowed(point, rails, None if current is None else int(current[place]))
        for place, point in enumerate(points)
    ]
    return np.array(rows, np.bool_)


def _allowed(point: HasGrid, rails: Rails, current: int | None) -> npt.NDArray[np.bool_]:
    grid, cap = point.grid, rails.on_cap_slow_ms if point.tag_class in SLOW else rails.on_cap_ms
    kind, limit, _, on, off = np.unravel_index(np.arange(len(grid)), grid.shape)
    limits, ons, offs = np.array(grid.limits), np.array(grid.on_ms), np.array(grid.off_ms)
    away = np.abs(limits - grid.centre) / point.sigma
    least = np.array([rails.least_sigmas[FILTERS.index(f)] for f in grid.filters])
    used = np.array([f in rails.filters for f in grid.filters])
    allowed = used[kind] & (ons[on] <= cap) & (away[limit] >= least[kind] - 1e-6)
    if current is not None:
        was = grid.setting(current)
        allowed &= np.abs(limits[limit] - was.limit) <= (rails.sigmas + 1e-6) * point.sigma
        allowed &= ons[on] <= max(rails.factor * was.on_delay_ms, SHORTEST_MS)
        allowed &= offs[off] <= max(rails.factor * was.off_delay_ms, SHORTEST_OFF_MS)
    return allowed
