"""The brain's typed settings: YAML, environment (`ANDON_…`) and secret files."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

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
    brain_lease: Duration = Field(default="6s", validate_default=True)  # type: ignore[assignment]
    """With several brains: for how long one that has gone keeps what it led."""
    brain_name: str = Field(default="", max_length=40, pattern=r"^[A-Za-z0-9._:-]*$")
    """One of several brains; empty: its machine's name and its port."""
    auto_approve_directives: bool | None = None
    """Overrides the site file's choice."""
    playbooks_from_group: Literal["refuse", "ask", "accept"] | None = None
    """Overrides the site file's choice."""
    endpoint_urls: dict[str, str] = Field(default_factory=dict)
    mqtt_url: str = ""
    """The broker of the devices in links.yaml (`mqtt://host:1883`); empty: there is none."""
    mqtt_user: str = "brain"
    mqtt_password_file: Path | None = None
    opcua_url: str = ""
    """Where alarms are served over OPC UA (`opc.tcp://0.0.0.0:4841/andon`); empty: nowhere."""
    opcua_anonymous: bool = False
    """Whether OPC UA clients without an account may read (they never acknowledge)."""
    opcua_certificate_file: Path | None = None
    """Certificate of the OPC UA server; without it nothing is encrypted, passwords neither."""
    opcua_key_file: Path | None = None
    sample_days: int = Field(default=7, ge=1)
    """Days for which every sample is kept; then its minute and its hour are."""
    minute_days: int = Field(default=90, ge=1)
    hour_days: int = Field(default=1830, ge=1)
    shadow_every: Duration = Field(default="1h", validate_default=True)  # type: ignore[assignment]
    """How often it is looked for days that are to be counted in shadow."""
    shadow_points: int = Field(default=200, ge=0, le=300)
    """Alarm points of one edge that are counted in shadow at most; 0: none."""
    shadow_running_day: bool = False
    """Count the day that runs as well, at every look: for demonstrations."""
    event_days: int = Field(default=400, ge=1)
    """Days for which the journal is kept; counts of alarms by day stay."""
