"""The brain's typed settings: YAML, environment (`ANDON_…`) and secret files."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from shared.config import TierSettings
from shared.site.model import Duration, Token


class BrainSettings(TierSettings):
    """Settings of one factory's brain."""

    site: Token
    site_dir: Path
    playbook_dir: Path
    secrets_dir: Path
    approval_key_file: Path
    """Private key with which this factory approves directives."""
    release_key_file: Path
    """Public key of the group, pinned at enrolment."""
    lease_ttl: Duration = Field(default="6s", validate_default=True)  # type: ignore[assignment]
    """Annunciation lease: how long an edge stays silent without renewal."""
    auto_approve_directives: bool | None = None
    """Overrides the site file's choice."""
    endpoint_urls: dict[str, str] = Field(default_factory=dict)
    sample_days: int = Field(default=7, ge=1)
