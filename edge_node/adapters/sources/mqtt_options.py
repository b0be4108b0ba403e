"""What every driver that talks to a plant's own MQTT broker can be told about the connection.

Loaded for every check of a site, so it imports no MQTT library; `mqtt_link` acts on it.
"""

from __future__ import annotations

import hashlib
import secrets
import socket
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from edge_node.adapters.sources.port import Options, Source
from shared.errors import ConfigError
from shared.site.fields import Duration

PORTS = {"mqtt": 1883, "mqtts": 8883}


class LinkOptions(Options):
    """The connection. User, password and client certificate stand in the edge's settings."""

    version: Literal["3.1.1", "5"] = "5"
    client_id: str = Field(default="", max_length=128)
    """Empty: one that stays the same on this machine and differs from every other's."""
    keepalive: Duration = Field(default=15_000, ge=2_000, le=600_000)
    timeout: Duration = Field(default=5_000, ge=200, le=10_000)
    """For the connection, and for each answer of the broker."""
    ca_file: str = ""
    """PEM file with the certificates to trust instead of the system's (`mqtts:`)."""
    server_name: str = ""
    """The name that the broker's certificate has, where the url holds another (SNI)."""

    @field_validator("version", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) else value


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it is sent, or left behind as the last will."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


def endpoint(source: Source) -> tuple[str, int, bool]:
    """Host, port and whether TLS is spoken; ConfigError with the rule."""
    target = urlsplit(source.url)
    try:
        port = target.port
    except ValueError:
        port = -1
    secure = target.scheme == "mqtts"
    if not target.hostname or port == -1 or target.username or target.path not in ("", "/"):
        raise ConfigError(
            f"source {source.id}: {source.url!r} is not a broker's address",
            mend="write mqtt://host:1883 or mqtts://host:8883; user and password_file stand in "
            "the edge's device_credentials",
        )
    return target.hostname, port or PORTS[target.scheme], secure


def client_id(source: Source, options: LinkOptions) -> str:
    """The name by which the broker knows this connection and keeps its session."""
    if source.settings.get("trial"):
        # Beside a running edge: the same name would throw that one out.
        return f"andon-trial-{secrets.token_hex(4)}"
    if options.client_id:
        return options.client_id
    place = f"{socket.gethostname()}\0{source.settings.get('state_dir', '')}"
    return f"andon-{source.id}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"
