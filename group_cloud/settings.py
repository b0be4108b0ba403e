"""The cloud's typed settings: YAML, environment (`ANDON_…`) and secret files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from group_cloud.domain.rollout_policy import BUILT_IN, Policy, Stage, fault_of
from shared.config import TierSettings


class PolicySettings(BaseModel):
    """How roll-outs of one kind proceed; what is not said is as in the policy it is `like`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    like: str = "careful"
    """careful, fast or direct."""
    stages: list[Stage] | None = None
    """Of dry_run, shadow, canary_line, canary_factory and all, in this order."""
    dwell_s: dict[str, float] = Field(default_factory=dict)
    """Seconds that a stage is watched, by stage."""
    answer_s: float | None = None
    """Seconds that a canary's edge may stay silent."""
    min_coverage: float | None = None
    """Share of the shadow period for which there must be good samples."""
    slack: float | None = None
    """Factor by which the alarm rate may differ from the forecast, beside chance."""
    alpha: float | None = None
    """Probability of chance alone leaving the band of the forecast."""
    watch_edges: bool | None = None
    """Whether a stage waits while edges of its factories are offline."""
    four_eyes: bool | None = None
    """Whether a second person has to agree."""
    expires_s: float | None = None
    """Seconds after which an unfinished roll-out is taken back."""
    retry_s: float | None = None
    """Seconds after which a refused rollback is tried again."""
    canary_site: str | None = None
    """The factory that goes first, where it has a part."""

    def policy(self) -> Policy:
        """The policy."""
        if self.like not in BUILT_IN:
            raise ValueError(f"like must be one of {', '.join(BUILT_IN)}")
        base = BUILT_IN[self.like]
        said = self.model_dump(exclude={"like", "dwell_s"}, exclude_none=True)
        if "stages" in said:
            said["stages"] = tuple(said["stages"])
        made = replace(base, dwell_s={**base.dwell_s, **self.dwell_s}, **said)
        if fault := fault_of(made):
            raise ValueError(fault)
        return made


class CloudSettings(TierSettings):
    """Settings of the group's cloud."""

    release_key_file: Path
    """Private key with which the group signs directives."""
    min_nuisance: int = Field(default=3, ge=1)
    """Nuisance labels that a proposal needs at least."""
    min_true: int = Field(default=1, ge=0)
    """True alarms that a proposal needs at least."""
    cost_false: float = Field(default=1.0, ge=0)
    cost_missed: float = Field(default=1000.0, ge=0)
    cost_delay_hour: float = Field(default=20.0, ge=0)
    event_days: int = Field(default=90, ge=1)
    """Days that the group's journal is kept."""
    statistic_days: int = Field(default=400, ge=1)
    """Days for which figures over factories, closed incidents and runs are kept."""
    shadow_days: int = Field(default=400, ge=7)
    """Days for which shadow counts and recorded faults are kept."""
    limit_search_every_s: float = Field(default=21_600.0, ge=1)
    """Seconds between two searches for better settings in what factories counted in shadow."""
    limit_min_days: float = Field(default=4.0, ge=0)
    """Judged days that a proposal from shadow counts needs at least."""
    limit_min_faults: int = Field(default=1, ge=1)
    """Recorded faults that a point must have been held against, for the same."""
    rollout_policy: str = "careful"
    """The policy by which proposals are rolled out where nobody says another."""
    rollout_policies: dict[str, PolicySettings] = Field(default_factory=dict)
    """Policies beside careful, fast and direct, or in their place."""

    @model_validator(mode="after")
    def _usable_policies(self) -> CloudSettings:
        known = self.policies()
        if self.rollout_policy not in known:
            raise ValueError(f"rollout_policy must be one of {', '.join(sorted(known))}")
        return self

    def policies(self) -> dict[str, Policy]:
        """Every policy by name."""
        return BUILT_IN | {name: each.policy() for name, each in self.rollout_policies.items()}
