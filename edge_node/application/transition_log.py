"""A line in the log for each transition, as long as a person could read them.

Called by the engine. In a storm the rest is counted: every transition is in the outbox anyway, and
a log of thousands of lines a second costs more than the alarms.
"""

from __future__ import annotations

from shared.clock import Clock
from shared.messages.bodies import AlarmTransition
from shared.telemetry import logger

log = logger("engine")
MOST_PER_S = 200


class TransitionLog:
    """Counts by the second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = self._count = 0

    def note(self, body: AlarmTransition) -> None:
        """Log one, or count it."""
        second = self._clock.mono_ms() // 1000
        if second != self._second:
            if self._count > MOST_PER_S:
                log.warning("transitions_not_logged", count=self._count - MOST_PER_S)
            self._second, self._count = second, 0
        self._count += 1
        if self._count <= MOST_PER_S:
            log.info(
                f"alarm_{body.kind}", alarm=body.alarm, occurrence=body.occurrence,
                version=body.version, annunciate=body.annunciate, value=body.value,
            )  # fmt: skip
