"""From a device's clock to the engine's steady time, so that delays compare like with like.

Used once per batch by the pipeline. Pure; knows no tags and no alarms.
"""

from __future__ import annotations

from edge_node.kernel import bounded

TOLERATED_MS = 500
"""A device whose samples arrive within this of their source time has the right clock."""
BUCKET_MS = 10_000


class SourceTime:
    """The offset of one source's clock: the smallest delay of its samples in the last 10-20 s."""

    __slots__ = ("_began", "_current", "_previous", "offset")

    def __init__(self) -> None:
        self._current: int | None = None
        self._previous: int | None = None
        self._began = 0
        self.offset = 0
        """What to add to a source time to get steady time; 0 while the clock is about right."""

    def observe(self, newest: int, now: int) -> None:
        """Take note that a sample of source time `newest` arrived at `now`."""
        lag = now - newest
        if self._current is None or now - self._began >= BUCKET_MS:
            self._previous, self._current, self._began = self._current, lag, now
        elif lag < self._current:
            self._current = lag
        least = self._current
        if self._previous is not None and self._previous < least:
            least = self._previous
        self.offset = 0 if 0 <= least < TOLERATED_MS else bounded(least)

    def steady(self, source_time: int, now: int) -> int:
        """A source time as steady time, never later than now."""
        return min(source_time + self.offset, now)
