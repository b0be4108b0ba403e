"""The cloud's typed settings: YAML, environment (`ANDON_…`) and secret files."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.config import TierSettings


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
