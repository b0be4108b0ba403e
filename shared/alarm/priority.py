"""Priority from consequence and time to respond: a matrix that the site may replace.

Pure. Used by `shared/site` when an alarm names its consequence instead of a priority.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

HIGHEST, LOWEST = 1, 4
MINUTE_MS = 60_000

DEFAULT_TIMES = (3 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS)
DEFAULT_ROWS: Mapping[str, tuple[int, ...]] = {
    "severe": (1, 1, 2, 3),
    "major": (1, 2, 3, 3),
    "moderate": (2, 3, 3, 4),
    "minor": (3, 4, 4, 4),
}


@dataclass(frozen=True, slots=True)
class PriorityMatrix:
    """Rows: consequences; columns: times to respond up to each of `times`, and one beyond them."""

    times: tuple[int, ...] = DEFAULT_TIMES
    rows: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: dict(DEFAULT_ROWS))

    def faults(self) -> list[str]:
        """What is wrong with it, in words; empty if nothing is."""
        found = []
        if any(later <= earlier for earlier, later in pairwise(self.times)):
            found.append("`times` must grow from left to right")
        for name, row in self.rows.items():
            if len(row) != len(self.times) + 1:
                found.append(f"{name!r} needs {len(self.times) + 1} priorities, has {len(row)}")
            if any(not HIGHEST <= priority <= LOWEST for priority in row):
                found.append(f"{name!r}: a priority is {HIGHEST} (highest) to {LOWEST}")
            if any(later < earlier for earlier, later in pairwise(row)):
                found.append(f"{name!r}: more time to respond must not raise the priority")
        return found

    def priority(self, consequence: str, time_to_respond_ms: int) -> int:
        """The priority of an alarm; raises KeyError for an unknown consequence."""
        return self.rows[consequence][bisect_left(self.times, time_to_respond_ms)]


DEFAULT_MATRIX = PriorityMatrix()
