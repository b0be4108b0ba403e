"""How long what an edge has to say already waits, read from the counters of its heartbeats.

Fed by the fleet view with each heartbeat; the counters tell how many, not since when. Pure.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

MARKS = 300
"""Heartbeats remembered: whatever stands for longer than that is late anyhow."""
UNHEARD_MS = 2_500
"""Heartbeats come each second: after so long without one the edge was on its own."""
HURRIED_MS = 500
"""Heartbeats that come faster than they were sent have waited somewhere; newer ones follow."""


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


@dataclass(slots=True)
class Unheard:
    """What a source recorded while it was not heard here, and whether that has come by now.

    Few live events look like those that are always on their way; after a silence they may be an
    acknowledgement that nobody here knows of.
    """

    _boot: str = ""
    _at: int = 0
    _mono: int = 0
    _owed: int = 0
    here: bool = False
    """Whether all of it has been confirmed."""

    def beat(self, boot: str, mono: int, produced: int, buffered: int, now: int) -> None:
        """One heartbeat, sent at `mono` of the source's steady clock and heard at `now`."""
        silence = now - self._at
        hurried = mono - self._mono > silence + HURRIED_MS
        if boot != self._boot or silence > UNHEARD_MS or hurried:
            self._owed = produced
        self._boot, self._at, self._mono = boot, now, mono
        self.here = produced - buffered >= self._owed
