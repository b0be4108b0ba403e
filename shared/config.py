"""Settings of a tier: precedence environment > YAML file > defaults, unknown keys refused.

Each tier subclasses `TierSettings`; `load_settings` turns every fault into file:line:column.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared import redaction
from shared.errors import ConfigError
from shared.identity.settings import IdentitySettings
from shared.rates import RateSettings
from shared.site.yaml_file import complaints, read_yaml


class NodeSettings(BaseSettings):
    """What every process that speaks NATS needs."""

    model_config = SettingsConfigDict(
        env_prefix="ANDON_", extra="forbid", frozen=True, env_nested_delimiter="__"
    )

    state_dir: Path
    nats_url: str
    nats_user: str = "app"
    nats_password_file: Path
    log_level: str = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment outranks the file's values, which arrive as init arguments."""
        return env_settings, init_settings


class TierSettings(NodeSettings):
    """What every tier with a database and a web interface needs."""

    database_url: str
    http_host: str = "127.0.0.1"
    http_port: int
    admin_password_file: Path
    identity: IdentitySettings = IdentitySettings()
    """Who may log in, and where."""
    metrics_open: bool = True
    """Whether `/metrics` is served; it needs no login and holds no personal data."""
    readiness_details: bool = True
    """Whether `/readyz` says which check failed, or only that one did."""
    rate_limit: RateSettings = RateSettings()
    """How fast one account and one address may ask."""
    otlp_endpoint: str = ""
    """Where traces go (OTLP over HTTP, `http://collector:4318`); empty: nothing is traced."""


S = TypeVar("S", bound=NodeSettings)


def load_settings(kind: type[S], path: Path) -> S:
    """Read a settings file; raises ConfigError with every fault."""
    document: Any = read_yaml(path) or {}
    if not isinstance(document, dict):
        raise ConfigError("settings must be a mapping of names to values", where=str(path))
    try:
        return kind(**document)
    except ValidationError as error:
        faults = complaints(error, document, str(path), kind.model_fields)
        raise ConfigError("\n".join(str(fault) for fault in faults)) from error


def read_secret(path: Path, what: str) -> str:
    """Contents of a secret file; raises ConfigError."""
    try:
        secret = path.read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"cannot read the {what}: {error.strerror}", where=str(path),
            mend="write the secret into this file (mode 0600), or correct the path",
        ) from error  # fmt: skip
    redaction.remember(secret)
    return secret
