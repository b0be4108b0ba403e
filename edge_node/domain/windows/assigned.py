"""Windows with a beginning and an end of their own: tumbling, hopping, session.

Used by `of_tag`. A window closes when the watermark (newest event time less the allowed lateness,
or the clock less it) passes its end; the last ones are kept, so that late samples correct them.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from edge_node.domain.windows.figures import Late

KEPT = 4
"""Closed windows that late samples may still correct."""
MAX_WAITING = 10_000
"""Samples that wait for the watermark."""


class Content(Protocol):
    """What a window makes of its samples."""

    def add(self, at: int, value: float) -> None:
        """Take one sample."""
        ...


C = TypeVar("C", bound=Content)


@dataclass(slots=True)
class Closed(Generic[C]):
    """A window that has ended; `[start, end)`."""

    start: int
    end: int
    content: C
    late: int = 0
    """Samples that came after it had closed."""


class _Watermark(Generic[C]):
    """Newest event time less the lateness, and the windows that it has closed."""

    def __init__(self, make: Callable[[], C], lateness_ms: int, late: Late, kept: int) -> None:
        self._make, self._lateness, self.late = make, lateness_ms, late
        self.mark = -(2**63)
        self.closed: deque[Closed[C]] = deque(maxlen=kept)

    def _correct(self, at: int, value: float) -> bool:
        found = False
        for window in self.closed:
            if window.start <= at < window.end:
                window.content.add(at, value)
                window.late += 1
                self.late.corrected += 1
                found = True
        return found


class Assigned(_Watermark[C]):
    """Windows of `size_ms` ending at the multiples of `hop_ms`; equal ones tumble."""

    def __init__(
        self,
        size_ms: int,
        hop_ms: int,
        make: Callable[[], C],
        *,
        lateness_ms: int = 1000,
        late: Late | None = None,
        kept: int = KEPT,
    ) -> None:
        super().__init__(make, lateness_ms, late or Late(), kept)
        self.size_ms, self.hop_ms = size_ms, hop_ms
        self._open: dict[int, C] = {}
        """End -> content; a window without samples does not exist."""

    def add(self, at: int, value: float) -> list[Closed[C]]:
        """Take one sample; the windows that its time closes, oldest first."""
        taken = False
        end = at - at % self.hop_ms + self.hop_ms
        while end - self.size_ms <= at:
            if end > self.mark:
                if end not in self._open:
                    self._open[end] = self._make()
                self._open[end].add(at, value)
                taken = True
            end += self.hop_ms
        if at < self.mark:
            corrected = self._correct(at, value)
            self.late.late += taken or corrected
            self.late.too_late += not (taken or corrected)
        return self._pass(at - self._lateness)

    def pass_to(self, now: int) -> list[Closed[C]]:
        """Let the clock pass; the windows that it closes, oldest first."""
        return self._pass(now - self._lateness)

    def _pass(self, mark: int) -> list[Closed[C]]:
        if mark <= self.mark:
            return []
        self.mark = mark
        ended = sorted(end for end in self._open if end <= mark)
        out = [Closed(end - self.size_ms, end, self._open.pop(end)) for end in ended]
        self.closed.extend(out)
        return out

    def newest(self, now: int) -> C | None:
        """The content of the last window that has ended; None when nothing fell into it."""
        _ = self.pass_to(now)
        end = self.mark // self.hop_ms * self.hop_ms
        return next((w.content for w in reversed(self.closed) if w.end == end), None)


class Session(_Watermark[C]):
    """A window as long as samples follow each other within `gap_ms`.

    One that has become `longest_ms` long is cut at the next multiple of that (0: never).
    """

    def __init__(
        self,
        gap_ms: int,
        longest_ms: int,
        make: Callable[[], C],
        *,
        lateness_ms: int = 1000,
        late: Late | None = None,
        kept: int = KEPT,
    ) -> None:
        super().__init__(make, lateness_ms, late or Late(), kept)
        self.gap_ms, self.longest_ms = gap_ms, longest_ms
        self._waiting: list[tuple[int, int, float]] = []
        self._serial = 0
        self._session: tuple[int, C] | None = None
        self._last, self._cut = 0, 2**63

    def add(self, at: int, value: float) -> list[Closed[C]]:
        """Take one sample; the sessions that its time closes, oldest first."""
        if at < self.mark:
            corrected = self._correct(at, value)
            self.late.late += corrected
            self.late.too_late += not corrected
            return []
        self._serial += 1
        heapq.heappush(self._waiting, (at, self._serial, value))
        out = self._pass(at - self._lateness)
        while len(self._waiting) > MAX_WAITING:
            self._take(out)
        return out

    def pass_to(self, now: int) -> list[Closed[C]]:
        """Let the clock pass; the sessions that it closes, oldest first."""
        return self._pass(now - self._lateness)

    def _pass(self, mark: int) -> list[Closed[C]]:
        out: list[Closed[C]] = []
        if mark <= self.mark:
            return out
        self.mark = mark
        while self._waiting and self._waiting[0][0] <= mark:
            self._take(out)
        self._end(mark, out)
        return out

    def _take(self, out: list[Closed[C]]) -> None:
        at, _, value = heapq.heappop(self._waiting)
        follows = bool(self.longest_ms) and at <= self._last + self.gap_ms
        cut = self._cut
        self._end(at, out)
        if self._session is None:
            start = cut if follows and cut <= at else at
            self._session = (start, self._make())
            self._cut = 2**63
            if self.longest_ms:
                self._cut = -(-(at + self.longest_ms) // self.longest_ms) * self.longest_ms
        self._session[1].add(at, value)
        self._last = at

    def _end(self, at: int, out: list[Closed[C]]) -> None:
        end = min(self._last + self.gap_ms, self._cut)
        # A sample exactly one gap later still belongs to it; one at the cut does not.
        if self._session is None or at < end or (at == end and end < self._cut):
            return
        start, content = self._session
        self._session = None
        ended = Closed(start, end, content)
        self.closed.append(ended)
        out.append(ended)

    def newest(self, now: int) -> C | None:
        """The content of the last session that has ended; None before the first."""
        _ = self.pass_to(now)
        return self.closed[-1].content if self.closed else None
