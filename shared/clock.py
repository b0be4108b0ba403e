"""Time as a port: wall time, monotonic time and the hybrid logical clock.

The only file that asks the operating system for the time; cores receive `now` as an argument.
"""

from __future__ import annotations

import time
from typing import Protocol

from shared.hybrid_time import HybridTime

MAX_DRIFT_MS = 60_000
"""How far a remote hybrid time may lead our wall clock before it is clamped (bounded drift)."""


class Clock(Protocol):
    """What code may know of time."""

    def now_ms(self) -> int:
        """Wall time, UTC milliseconds since 1970."""
        ...

    def mono_ms(self) -> int:
        """Monotonic milliseconds; compared only within one boot of one process."""
        ...


class SystemClock:
    """The operating system's clocks."""

    def now_ms(self) -> int:
        """Wall time, UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def mono_ms(self) -> int:
        """Monotonic milliseconds."""
        return time.monotonic_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told; for tests and drills."""

    def __init__(self, now_ms: int = 1_700_000_000_000) -> None:
        self._now = now_ms
        self._mono = 0

    def now_ms(self) -> int:
        """Wall time as set."""
        return self._now

    def mono_ms(self) -> int:
        """Monotonic time as advanced."""
        return self._mono

    def advance(self, ms: int) -> None:
        """Move both clocks forward by `ms` milliseconds."""
        self._now += ms
        self._mono += ms

    def jump(self, ms: int) -> None:
        """Step the wall clock only, as a bad time server does."""
        self._now += ms


class HybridClock:
    """Issues hybrid times that never go back and stay near the wall clock."""

    def __init__(self, clock: Clock, last: HybridTime | None = None) -> None:
        self._clock = clock
        self._last = last or HybridTime(0)

    def tick(self) -> HybridTime:
        """The next time, later than every time issued or observed."""
        now = self._clock.now_ms()
        last = self._last
        self._last = HybridTime(now) if now > last.ms else HybridTime(last.ms, last.count + 1)
        return self._last

    def observe(self, remote: HybridTime) -> None:
        """Take note of a remote time, clamped to `MAX_DRIFT_MS` ahead of our wall clock."""
        if remote.ms <= self._clock.now_ms() + MAX_DRIFT_MS:
            self._last = max(self._last, remote)
