"""What the drill of the learning loop is about, and what it found: plain data.

Filled by `loop_drill.py`, shown by `loop_cli.py`; measures nothing itself.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from simulators.drill import Line


@dataclass(frozen=True, slots=True)
class Scene:
    """The badly set alarm, what floods it, the fault it is for, and the change that is bad."""

    site: str = "f1"
    plant: str = "compressor"
    asset: str = "CMP-01"
    alarm: str = "CMP-01.IT-201.HI"
    noise: str = "current_pulses"
    fault: str = "motor_overload"
    noise_cause: str = "operation"
    fault_cause: str = "compressor"
    limit: float = 185.0
    on_delay_s: float = 0.0
    bad_steps: float = 2.0
    """Limit steps of the bad change: so far that the fault stays below the limit."""
    policy: str = "watched"
    """Of the bad change: like `fast`, but long enough on its line for a fault to come."""


@dataclass(slots=True)
class Figures:
    """What was measured; None: not reached. All of it on simulated plants."""

    before_alarms: int | None = None
    after_alarms: int | None = None
    window_s: float = 0.0
    labelled: dict[str, int] = field(default_factory=dict)
    engineer: dict[str, float | None] = field(default_factory=dict)
    proposed: dict[str, float | None] = field(default_factory=dict)
    proposal_after_s: float | None = None
    stages_s: dict[str, float] = field(default_factory=dict)
    """Seconds from the approval to each stage of the roll-out, `applied` and `done` among them."""
    fault_before_s: float | None = None
    fault_after_s: float | None = None
    fault_again_s: float | None = None
    bad: dict[str, float | None] = field(default_factory=dict)
    rollback_code: str = ""
    rollback_why: dict[str, str] = field(default_factory=dict)
    rollback_after_fault_s: float | None = None
    """From the moment a person recorded the fault."""
    bad_in_force_s: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with the rates."""
        plain = {
            name: round(value, 2) if isinstance(value, float) else value
            for name, value in asdict(self).items()
        }
        plain["stages_s"] = {name: round(at, 2) for name, at in self.stages_s.items()}
        plain["before_per_min"] = self.per_minute(self.before_alarms)
        plain["after_per_min"] = self.per_minute(self.after_alarms)
        return plain

    def per_minute(self, alarms: int | None) -> float | None:
        """A count as a rate."""
        if alarms is None or not self.window_s:
            return None
        return round(alarms * 60 / self.window_s, 1)


@dataclass(frozen=True, slots=True)
class LoopScore:
    """The outcome of the drill."""

    scene: Scene
    lines: tuple[Line, ...]
    figures: Figures
    started: int
    seconds: float
    of: int
    """Lines that there would be if everything had been reached."""

    @property
    def points(self) -> int:
        """How many lines held."""
        return sum(line.passed for line in self.lines)

    @property
    def passed(self) -> bool:
        """Whether everything was reached and held."""
        return self.points == self.of

    def to_dict(self) -> dict[str, Any]:
        """Machine-readable."""
        return {
            "scenario": {"zh": "学习闭环", "en": "The learning loop"}, "site": self.scene.site,
            "alarm": self.scene.alarm, "simulated": True, "passed": self.passed,
            "points": self.points, "of": self.of, "started": self.started,
            "seconds": round(self.seconds, 1), "lines": [asdict(line) for line in self.lines],
            "figures": self.figures.to_dict(),
        }  # fmt: skip
