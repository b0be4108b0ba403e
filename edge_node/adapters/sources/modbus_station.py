"""A station on a Modbus wire: its requests, when each is due, and how it fares; pure.

A station that does not answer is asked less and less often, so that it costs the others little.
Used by `modbus_client`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from edge_node.adapters.sources.modbus_map import Block

DEAD_AFTER = 2
"""Requests in a row without an answer after which its values are bad."""
FIRST_PAUSE_MS = 500


@dataclass(slots=True)
class Poll:
    """One block and its interval."""

    block: Block
    interval_ms: int
    due_ms: int = 0
    fault: str = ""
    """What the device refused, with the address."""
    refusals: int = 0

    def next_due(self, now: int, most_ms: int) -> None:
        """Keep the rhythm; a turn that was missed is not made up for."""
        pace = self.interval_ms
        if self.refusals:  # a wrong address stays wrong: ask for it seldom
            pace = max(pace, min(pace << min(self.refusals, 10), most_ms))
        self.due_ms = max(self.due_ms + pace, now) if self.due_ms else now + pace


@dataclass(slots=True)
class Station:
    """One device address and its health."""

    unit: int
    polls: list[Poll] = field(default_factory=list)
    misses: int = 0
    """Requests in a row that got no answer."""
    again_ms: int = 0
    """Not asked before, after a miss."""
    answered: bool = False

    @property
    def dead(self) -> bool:
        """Whether it has gone without an answer too often."""
        return self.misses >= DEAD_AFTER

    @property
    def pause_ms(self) -> int:
        """How long it is left alone after its latest miss, before the cap."""
        return FIRST_PAUSE_MS << min(max(self.misses - 1, 0), 20)

    def missed(self, now: int, most_ms: int) -> None:
        """Note a request without an answer."""
        self.misses += 1
        self.again_ms = now + min(self.pause_ms, most_ms)

    def heard(self) -> None:
        """Note an answer, be it a refusal."""
        self.misses, self.again_ms, self.answered = 0, 0, True

    def due(self) -> tuple[int, Poll]:
        """When it is to be asked next, and for what."""
        poll = min(self.polls, key=lambda poll: poll.due_ms)
        return max(poll.due_ms, self.again_ms), poll

    def describe(self, most_ms: int) -> str:
        """What is wrong with it; "" when nothing is."""
        if self.dead:
            pause = min(self.pause_ms, most_ms) / 1000
            return (
                f"station {self.unit} does not answer, asked again every {pause:g} s: check that "
                "it is on, its station number and its wiring"
            )
        refused = [poll.fault for poll in self.polls if poll.fault]
        if not refused:
            return ""
        return f"station {self.unit} refused, correct the address or the device: " + "; ".join(
            refused[:5]
        )
