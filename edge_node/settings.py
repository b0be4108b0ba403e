"""The edge's settings: what is typed, from where, and what is said when it is wrong.

Read once by the command line; nothing below the bootstrap sees them. Precedence: environment
(`ANDON_...`) over the YAML file over defaults.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from shared.errors import ConfigError, ContractError
from shared.messages.subjects import check_token
from shared.site.yaml_file import complaints, read_yaml


class EdgeSettings(BaseSettings):
    """One edge node."""

    model_config = SettingsConfigDict(env_prefix="ANDON_", extra="forbid", frozen=True)

    site: str
    edge: str
    site_dir: Path
    """Folder of the site's YAML."""
    state_dir: Path
    """Folder of the edge's own database; on a disk that survives a power cut."""
    nats_url: str
    nats_user: str
    nats_password_file: Path
    page_port: int = Field(default=0, ge=0, le=65535)
    """Port of the local page; 0: no page."""
    page_password_file: Path | None = None
    opcua_url: str = ""
    """Where this edge's alarms are served over OPC UA (`opc.tcp://0.0.0.0:4842/andon`); empty: not
    at all. Who acts logs in with a name and the page's password."""
    opcua_anonymous: bool = False
    """Clients without a password may read (they never act)."""
    opcua_certificate_file: Path | None = None
    """The OPC UA server's certificate; without one nothing is encrypted."""
    opcua_key_file: Path | None = None
    """Its private key."""
    release_key_file: Path
    """The group's public key, pinned at enrolment."""
    approval_key_file: Path
    """The factory's public key, pinned at enrolment."""
    demo: bool = False
    log_level: str = "info"
    source_urls: dict[str, str] = Field(default_factory=dict)
    """Source -> URL, where the site's file cannot know it."""
    device_credentials: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Source -> what its driver needs to connect."""
    outbox_max_events: int = Field(default=2_000_000, ge=1000)
    outbox_max_mb: int = Field(default=2048, ge=1)
    history_mb: int = Field(default=64, ge=1)
    """Memory for the samples of the last time at full rate."""
    history_hours: int = Field(default=24, ge=1)
    history_disk_mb: int = Field(default=256, ge=0)
    """Disk for the same, so that it survives a restart; 0: none."""
    otlp_endpoint: str = ""
    """Where traces go (OTLP over HTTP, `http://collector:4318`); empty: nothing is traced."""
    snippets_per_minute: int = Field(default=30, ge=0)
    """Raises a minute that take their samples along; 0: none."""
    driver_command: list[str] = Field(
        default_factory=lambda: [sys.executable, "-m", "edge_node.driver_child"]
    )
    page_command: list[str] = Field(
        default_factory=lambda: [sys.executable, "-m", "edge_node.page_child"]
    )
    opcua_command: list[str] = Field(
        default_factory=lambda: [sys.executable, "-m", "edge_node.opcua_child"]
    )

    @field_validator("site", "edge")
    @classmethod
    def _token(cls, value: str) -> str:
        try:
            return check_token(value)
        except ContractError as error:  # pydantic shows only ValueErrors with their place
            raise ValueError(str(error)) from error

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource, dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:  # fmt: skip
        """The environment outranks the file."""
        return env_settings, init_settings


def load_settings(path: Path) -> EdgeSettings:
    """Read the settings file; raises ConfigError that names the place and the mend."""
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError("settings must be `key: value` lines", where=str(path))
    try:
        return EdgeSettings(**document)
    except ValidationError as error:
        faults = complaints(error, document, str(path), EdgeSettings.model_fields)
        raise ConfigError("\n".join(str(fault) for fault in faults)) from error
