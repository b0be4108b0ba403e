"""How many wrong passwords are enough: for every door that asks for one.

Asked by the REST login, the edge's page and the OPC UA servers; knows no protocol.
"""

from __future__ import annotations

from collections import defaultdict, deque

from shared.clock import Clock

MAX_FAILURES = 5
FAILURE_WINDOW_MS = 60_000


class Throttle:
    """At most `MAX_FAILURES` failed logins a minute for one name from one address.

    Not for the name alone: whoever knows an operator's name could lock the operator out.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[str, deque[int]] = defaultdict(lambda: deque(maxlen=MAX_FAILURES))

    def blocked(self, name: str) -> bool:
        """Whether this name must wait."""
        seen = self._failures.get(name)
        if not seen or len(seen) < MAX_FAILURES:
            return False
        return self._clock.mono_ms() - seen[0] < FAILURE_WINDOW_MS

    def failed(self, name: str) -> None:
        """Count a failure (bounded number of names)."""
        if len(self._failures) > 10_000:
            del self._failures[next(iter(self._failures))]
        self._failures[name].append(self._clock.mono_ms())

    def withdraw(self, name: str) -> None:
        """Take back the last failure: it was none."""
        if seen := self._failures.get(name):
            seen.pop()

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        self._failures.pop(name, None)
