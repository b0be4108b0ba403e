"""The record of every actuator write that reached a simulated device over its wire.

Filled by the wire servers, read by the control API to prove exactly-once actuation; never acts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

from shared.clock import Clock
from simulators.equipment.model import Value

CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class Write:
    """One write as received: `address` is the wire's, `signal` the plant's name for it."""

    seq: int
    at: int
    plant: str
    address: str
    signal: str
    value: Value | None
    accepted: bool
    command: str = ""
    """Identity the sender gave the command, where the protocol carries one (MQTT)."""


class WriteLog:
    """A bounded ring of writes with sequence numbers; what falls out is counted."""

    def __init__(self, clock: Clock, capacity: int = CAPACITY) -> None:
        self._clock = clock
        self._ring: deque[Write] = deque(maxlen=capacity)
        self._seq = 0
        self.overflowed = 0

    @property
    def last_seq(self) -> int:
        """Sequence number of the newest write; 0 when none came yet."""
        return self._seq

    def record(
        self, plant: str, address: str, signal: str, value: Value | None, *,
        accepted: bool, command: str = "",
    ) -> Write:  # fmt: skip
        """Append a write and return it."""
        self._seq += 1
        if len(self._ring) == self._ring.maxlen:
            self.overflowed += 1
        write = Write(
            self._seq, self._clock.now_ms(), plant, address, signal, value, accepted, command
        )
        self._ring.append(write)
        return write

    def since(self, seq: int = 0) -> list[dict[str, Any]]:
        """The kept writes after `seq`, oldest first, as plain data."""
        return [asdict(write) for write in self._ring if write.seq > seq]
