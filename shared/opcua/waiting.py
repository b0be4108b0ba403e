"""Changes on their way to OPC UA clients, and how much of the loop telling them may take.

Used by the server: it shares its loop with what matters more. In a flood only the newest state of
each alarm is told; nothing here grows without a bound.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

FEW, MOST = 500, 5_000
WORK_S, REST_S = 0.005, 0.010


@dataclass(slots=True)
class _Change:
    alarm: str
    report: Any


class Waiting:
    """Each change while few wait; from `FEW` on the newest of each alarm, at most `MOST`."""

    def __init__(self, older: Callable[[Any, Any], bool]) -> None:
        self._older = older
        self._line: deque[_Change] = deque()
        self._last: dict[str, _Change] = {}
        self._news = asyncio.Event()
        self.coalesced = 0
        """Changes that a newer one of the same alarm took the place of."""
        self.overflowed = 0
        """Changes that were not taken; what stands is read anew then."""

    def __len__(self) -> int:
        return len(self._line)

    def put(self, alarm: str, report: Any) -> bool:
        """Never waits; False if there was no room."""
        self._news.set()
        last = self._last.get(alarm)
        if last is not None and len(self._line) >= FEW:
            self.coalesced += 1
            if not self._older(report, last.report):
                last.report = report
            return True
        if len(self._line) >= MOST:
            self.overflowed += 1
            return False
        self._last[alarm] = change = _Change(alarm, report)
        self._line.append(change)
        return True

    def take(self) -> tuple[str, Any]:
        """The change that has waited longest; raises IndexError."""
        change = self._line.popleft()
        if self._last.get(change.alarm) is change:
            del self._last[change.alarm]
        return change.alarm, change.report

    def wake(self) -> None:
        """End the wait: there is something to look at beside the changes."""
        self._news.set()

    async def news(self, seconds: float) -> None:
        """Wait until something has come, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._news.wait()
        except TimeoutError:
            return
        finally:
            self._news.clear()


class Pace:
    """At most a few ms of work at a time, and then a rest for everybody else in the process.

    Twice as long as the work, unless there is nobody else.
    """

    def __init__(self, rest_s: float = REST_S) -> None:
        self._rest_s, self._since = rest_s, 0.0
        self.rests = 0

    def begin(self) -> None:
        """Others had their turn just now."""
        self._since = asyncio.get_running_loop().time()

    async def breathe(self) -> None:
        """Called between small pieces of work."""
        if asyncio.get_running_loop().time() - self._since >= WORK_S:
            self.rests += 1
            await asyncio.sleep(self._rest_s)
            self.begin()
