"""Where an OPC UA server listens and with which certificate, checked before anything is loaded.

Called by the tiers' wiring with what their settings say.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Where:
    """Where it listens, with which certificate, and under which name."""

    url: str
    certificate: Path | None = None
    key: Path | None = None
    name: str = ""
    """The site, or the site and the edge: `Andon <name>`, `urn:andon:<name>:alarms`."""


def where(url: str, certificate: Path | None, key: Path | None, name: str) -> Where:
    """The checked place; raises ConfigError."""
    asked = urlsplit(url)
    try:
        port = asked.port
    except ValueError:
        port = None
    if asked.scheme != "opc.tcp" or not asked.hostname or not port:
        raise ConfigError(
            f"opcua_url is not an address to listen on: {url!r}",
            mend="write it as opc.tcp://0.0.0.0:4841/andon",
        )
    if (certificate is None) != (key is None):
        raise ConfigError(
            "opcua_certificate_file and opcua_key_file belong together",
            mend="set both, or neither (then nothing is encrypted)",
        )
    for path in (certificate, key):
        if path is not None and not path.is_file():
            raise ConfigError(
                "cannot read the OPC UA server's certificate or key", where=str(path),
                mend="correct the path",
            )  # fmt: skip
    return Where(url, certificate, key, name)
