"""What `andon up` must know of a site's folder: its edges and their device connections.

Called to make a plan; never checks the rest of a site (see `andon site check`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import ConfigError
from shared.messages.subjects import check_token
from shared.site.yaml_file import read_yaml


@dataclass(frozen=True, slots=True)
class DeviceSource:
    """One connection of an edge to devices, as its site declares it."""

    id: str
    edge: str
    driver: str
    url: str


@dataclass(frozen=True, slots=True)
class LinkedDevice:
    """A device of links.yaml: its kind, and its name at the broker."""

    id: str
    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Site:
    """A factory: its folder, edges and device connections."""

    id: str
    folder: Path
    edges: tuple[str, ...]
    sources: tuple[DeviceSource, ...]
    endpoints: tuple[tuple[str, str], ...] = ()
    """(name, secret) of the linked systems that webhooks go to."""
    hooks: tuple[str, ...] = ()
    """Secrets of the linked systems that report by webhook."""
    linked: tuple[LinkedDevice, ...] = ()
    """The devices that are told over MQTT."""


def read_sites(folder: Path) -> tuple[Site, ...]:
    """The site in `folder`, or the sites in its subfolders; raises ConfigError."""
    if (folder / "site.yaml").exists():
        return (_read(folder),)
    found = sorted(path.parent for path in folder.glob("*/site.yaml"))
    if not found:
        raise ConfigError(
            "no site.yaml here nor one folder below",
            where=str(folder),
            mend="give the folder of a site (or of several) with --site",
        )
    return tuple(_read(path) for path in found)


def _mapping(path: Path) -> dict[str, Any]:
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError("must be a mapping", where=f"{path}:1:1", mend="see `andon site check`")
    return document


def _read(folder: Path) -> Site:
    document = _mapping(folder / "site.yaml")
    try:
        site = check_token(str(document["site"]), "site")
        edges = tuple(check_token(str(edge["id"]), "edge") for edge in document["edges"])
        sources = tuple(
            DeviceSource(str(s["id"]), str(s["edge"]), str(s["driver"]), str(s.get("url", "")))
            for file in sorted((folder / "tags").glob("*.yaml"))
            for s in _mapping(file).get("sources") or ()
        )
        endpoints = _endpoints(folder / "bindings.yaml")
        links = folder / "links.yaml"
        found = _mapping(links) if links.exists() else {}
        hooks = tuple(str(each["secret"]) for each in found.get("inbound") or ())
        linked = tuple(_linked(each) for each in found.get("devices") or ())
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"incomplete site: {error}", where=str(folder), mend=f"run: andon site check {folder}"
        ) from error
    return Site(site, folder, edges, sources, endpoints, hooks, linked)


def _linked(spec: dict[str, Any]) -> LinkedDevice:
    name = (spec.get("mqtt") or {}).get("name") or spec["id"]
    return LinkedDevice(str(spec["id"]), str(spec["kind"]), check_token(str(name), "device"))


def _endpoints(file: Path) -> tuple[tuple[str, str], ...]:
    if not file.exists():
        return ()
    found = _mapping(file).get("endpoints") or {}
    return tuple((str(name), str(spec["secret"])) for name, spec in found.items())
