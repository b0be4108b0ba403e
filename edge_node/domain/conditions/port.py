"""What a condition is that needs more than its tag's last sample and a limit.

Implemented by the other modules of this package; run by the pipeline, which applies the alarm's
delays to the answers. Pure: no IO, no clock; all times are steady milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from shared.alarm.point import Setting
from shared.expression import AlarmView, Reading, WindowUse


class Names(Protocol):
    """The tags of the edge by name, and the wish to keep a window of one (its `TagTable`)."""

    def __iter__(self) -> Iterator[str]: ...

    def __contains__(self, tag: str) -> bool: ...

    def watch(self, use: WindowUse) -> None:
        """Keep a window of a tag."""
        ...

    def time_of(self, tag: str) -> int:
        """Source time of a tag's last sample."""
        ...


class Environment(Protocol):
    """The tags as a condition sees them (the edge's `TagTable`)."""

    now: int
    wall_ahead: int
    """What to add to steady time for the wall clock."""
    alarm: Callable[[str], AlarmView | None]
    """The state of another alarm."""

    def root(self, name: str) -> object:
        """A root object that an expression names; the edge has none."""
        ...

    def tag(self, name: str) -> Reading | None:
        """The reading of a tag now; None before its first sample."""
        ...

    def window(self, function: str, tag: str, seconds: float) -> object:
        """A windowed figure of a tag."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether the condition holds now; `holds` None means unknown: the state is kept."""

    holds: bool | None
    value: float | None = None
    """The number shown with the alarm (the deviation, the rate, the score)."""
    reason: str = ""
    """Code of why it is unknown."""
    params: dict[str, Any] | None = None
    again_at: int | None = None
    """Steady time at which the answer may change by itself: look again then."""
    under: Setting | None = None
    """The setting that a change runs by, where it is not the alarm's own."""
    filling: bool = False
    """The signal's filter does not know its window yet: the samples themselves are looked at."""


class Condition(Protocol):
    """One alarm's condition over time, without its delays."""

    tags: tuple[str, ...]
    """Tags whose samples it is shown, good and bad, in order."""
    alarms: tuple[str, ...]
    """Alarms at whose changes it is looked at too."""
    every_ms: int | None
    """How often it is looked at by the clock as well; None: only with its samples."""

    def sample(self, tag: str, at: int, value: float | str, good: bool) -> None:
        """One sample of one of its tags at steady time `at`."""
        ...

    def look(self, tags: Environment, at: int) -> Answer:
        """The condition now, after all samples up to `at`."""
        ...

    def adopt(self, old: Condition) -> None:
        """Go on where `old`, the same alarm's condition under other settings, has got to."""
        ...
