"""How a roll-out proceeds: its stages, how long each is watched, what its health gate allows.

Chosen by name when a roll-out begins and kept with it: a later change of the settings changes no
roll-out that is under way. Decides nothing itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Stage = Literal["dry_run", "shadow", "canary_line", "canary_factory", "all"]
STAGES: tuple[Stage, ...] = get_args(Stage)
CHANGING: tuple[Stage, ...] = ("canary_line", "canary_factory", "all")
"""Stages that change settings at edges; the others only look."""
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of one kind of roll-out; times in seconds."""

    stages: tuple[Stage, ...] = STAGES
    """In this order; always ends with `all`."""
    dwell_s: Mapping[str, float] = field(default_factory=dict)
    """How long each stage is watched once every edge has answered; not named: no time."""
    answer_s: float = DAY_S
    """How long a canary's edge may stay silent before the roll-out is taken back."""
    min_coverage: float = 0.8
    """Share of the shadow period for which there must be good samples."""
    slack: float = 1.5
    """Factor by which the true alarm rate may differ from the forecast, beside chance."""
    alpha: float = 0.001
    """Probability of chance alone leaving the band."""
    watch_edges: bool = True
    """Whether a stage waits while edges of its factories are offline."""
    four_eyes: bool = False
    """Whether a second person has to agree before anything begins."""
    expires_s: float = 30 * DAY_S
    """After this a roll-out that has not ended is taken back."""
    retry_s: float = 60.0
    """How soon a rollback that was refused is tried again."""
    canary_site: str = ""
    """The factory that goes first, where it has a part; empty: the one with most changes."""

    def dwell_ms(self, stage: Stage) -> int:
        """How long a stage is watched."""
        return round(self.dwell_s.get(stage, 0.0) * 1000)

    def after(self, stage: Stage | None) -> Stage | None:
        """The stage that follows; of None: the first."""
        if stage is None:
            return self.stages[0]
        for each in self.stages:
            if STAGES.index(each) > STAGES.index(stage):
                return each
        return None

    def to_dict(self) -> dict[str, Any]:
        """Plain data, kept with the roll-out."""
        return {**asdict(self), "stages": list(self.stages), "dwell_s": dict(self.dwell_s)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """Read what `to_dict` wrote."""
        return cls(**{**data, "stages": tuple(data["stages"])})


def fault_of(policy: Policy) -> str:
    """Why a policy cannot be used; empty: it can."""
    order = [STAGES.index(stage) for stage in policy.stages]
    if not order or order != sorted(set(order)) or policy.stages[-1] != "all":
        return "stages must be in the order of " + ", ".join(STAGES) + " and end with all"
    if unknown := sorted(set(policy.dwell_s) - set(STAGES)):
        return f"dwell_s names no stage: {', '.join(unknown)}"
    if not (0 < policy.alpha < 0.5 and policy.slack >= 1 and 0 <= policy.min_coverage <= 1):
        return "alpha must be in (0, 0.5), slack at least 1, min_coverage in [0, 1]"
    if min(policy.answer_s, policy.expires_s, policy.retry_s, *policy.dwell_s.values(), 1) < 0:
        return "times must not be negative"
    return ""


BUILT_IN: dict[str, Policy] = {
    "careful": Policy(
        dwell_s={
            "shadow": 7 * DAY_S, "canary_line": DAY_S, "canary_factory": 2 * DAY_S, "all": DAY_S,
        }
    ),
    "fast": Policy(
        dwell_s={"shadow": 2.0, "canary_line": 3.0, "canary_factory": 3.0, "all": 3.0},
        answer_s=120.0, min_coverage=0.0, watch_edges=False, expires_s=3_600.0, retry_s=2.0,
    ),
    "direct": Policy(stages=("all",), min_coverage=0.0, watch_edges=False, expires_s=7 * DAY_S),
}  # fmt: skip
"""careful: the default; fast: for drills; direct: no stages, for trials on one's own desk."""
