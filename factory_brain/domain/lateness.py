"""How long what an edge has to say already waits, read from the counters of its heartbeats.

Fed by the fleet view with each heartbeat; the counters tell how many, not since when. Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MARKS = 300
"""Heartbeats remembered: whatever stands for longer than that is late anyhow."""


@dataclass(slots=True)
class Lateness:
    """Of one lane of one source."""

    _boot: str = ""
    _marks: deque[tuple[int, int]] = field(default_factory=deque)
    """(steady ms, produced until then), as long as some of those are not confirmed."""
    _late: int = 0

    def beat(self, boot: str, produced: int, buffered: int, now: int) -> None:
        """One heartbeat: so many were produced, so many of them are not confirmed yet."""
        anew = boot != self._boot or (self._marks and produced < self._marks[-1][1])
        if anew or not buffered:
            self._marks.clear()
        self._boot = boot
        confirmed = produced - buffered
        while self._marks and self._marks[0][1] <= confirmed:
            self._marks.popleft()
        newest = self._marks[-1][1] if self._marks else confirmed
        if produced > newest and len(self._marks) < MARKS:
            self._marks.append((now, produced))
        self._late = now - self._marks[0][0] if self._marks else 0

    @property
    def ms(self) -> int:
        """For how long at least the oldest was waiting when the last heartbeat came."""
        return self._late
