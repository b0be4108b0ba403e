"""What the group learns from and what it finds: labelled occurrences, scores, suggestions.

Values shared by the learning, the application and the proposals; they hold no rule but `Costs.of`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from shared.alarm.point import Setting

Label = Literal["true", "nuisance"]
LABELS: tuple[Label, ...] = ("true", "nuisance")
"""What may be learnt from. A drill is no evidence, and neither is an alarm nobody has judged."""


@dataclass(frozen=True, slots=True)
class Point:
    """One alarm point of one edge."""

    site: str
    edge: str
    alarm: str

    def __str__(self) -> str:
        return f"{self.site}/{self.edge}/{self.alarm}"


@dataclass(frozen=True, slots=True)
class Shadow:
    """One closed occurrence with what each candidate would have done: (announced, delay in s)."""

    occurrence: str
    raised_at: int
    current: Setting
    """What ran when it was raised."""
    verdicts: dict[Setting, tuple[bool, float]]


@dataclass(frozen=True, slots=True)
class Costs:
    """Relative costs of a false alarm, a missed one and an hour of delay."""

    false: float = 1.0
    missed: float = 1000.0
    delay_hour: float = 20.0

    def of(self, false: float, missed: float, delay_s: float) -> float:
        """The objective J."""
        return self.false * false + self.missed * missed + self.delay_hour * delay_s / 3600.0


@dataclass(frozen=True, slots=True)
class Gate:
    """The least evidence that a proposal may rest on."""

    min_nuisance: int = 3
    min_true: int = 1


@dataclass(frozen=True, slots=True)
class Score:
    """One candidate against the recorded outcomes."""

    setting: Setting
    false_alarms: int
    missed: int
    delay_s: float | None
    """Mean delay of the true alarms that it announces; None if it announces none."""
    total_delay_s: float
    cost: float
    recent_cost: float
    """Exponentially weighted cost per occurrence: what it would cost lately."""
    spread: float
    """Standard deviation of the same."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A better setting with all that it rests on."""

    current: Score
    proposed: Score
    scores: list[Score]
    labelled: int
    true_alarms: int
    nuisance: int
    stale_nuisance: int
    """Nuisance labels left out because the label rate has changed since."""
    vanish: list[str] = field(default_factory=list)
    """Occurrences that would not have been announced."""
    later: list[str] = field(default_factory=list)
    """True alarms that would have been announced later."""
    fingerprint: str = ""
