"""Sets aside what fails, for longer each time, so that the rest goes on.

Used by the following, asking and telling of floods. It keeps no record of its own: a cloud that is
started again tries everything again.
"""

from __future__ import annotations

from shared.clock import Clock
from shared.errors import StoreError, TransportError

FAULTS = (StoreError, TransportError, ValueError, TypeError, LookupError, ArithmeticError)
"""What one record, or what is kept of one tenant, may be to blame for. A database that is gone is
none of them: that ends the round for all."""
FIRST_MS, LONGEST_MS = 30_000, 1_800_000
MOST = 10_000


class Aside:
    """Names, until when each is left alone, and how often it has failed in a row."""

    def __init__(self, clock: Clock, first_ms: int = FIRST_MS) -> None:
        self._clock, self._first_ms = clock, first_ms
        self._held: dict[str, tuple[int, int]] = {}

    def holds(self, name: str) -> bool:
        """Whether it is left alone now."""
        return self._clock.mono_ms() < self._held.get(name, (0, 0))[0]

    def failed(self, name: str) -> int:
        """How often it has failed since it last went well."""
        return self._held.get(name, (0, 0))[1]

    def put(self, name: str) -> None:
        """It has failed."""
        times = self.failed(name)
        pause = min(self._first_ms << min(times, 20), LONGEST_MS)
        self._held.pop(name, None)
        self._held[name] = (self._clock.mono_ms() + pause, times + 1)
        if len(self._held) > MOST:
            del self._held[next(iter(self._held))]

    def well(self, name: str) -> None:
        """It went well."""
        self._held.pop(name, None)
