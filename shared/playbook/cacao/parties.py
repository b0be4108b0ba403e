"""Who acts and what is acted on: addressees, devices and endpoints as CACAO agents and targets.

Called by the export; addresses and secrets stay in the site's binding and are never written.
"""

from __future__ import annotations

from typing import Any

from shared.playbook.cacao.names import ANDON, identifier

_PEOPLE = {"role": "group", "team": "group", "user": "individual"}


def addressee_id(name: str) -> str:
    """The identifier of `role:x`, `team:x` or `user:x`."""
    return identifier(_PEOPLE.get(name.partition(":")[0], "group"), name)


def device_id(playbook: str, name: str) -> str:
    """The identifier of a logical device."""
    return identifier("location", playbook, "device", name)


def endpoint_id(playbook: str, name: str) -> str:
    """The identifier of an endpoint."""
    return identifier("http-api", playbook, "endpoint", name)


def agents() -> dict[str, Any]:
    """The one agent: Andon carries out every step."""
    return {ANDON: {
        "type": "group", "name": "Andon",
        "description": "The factory brain; it tells people and commands edge nodes.",
    }}  # fmt: skip


def targets(document: dict[str, Any], people: list[str]) -> dict[str, Any]:
    """Everything that steps may point at."""
    book = document["playbook"]
    found: dict[str, Any] = {}
    for name in people:
        found[addressee_id(name)] = {
            "type": _PEOPLE.get(name.partition(":")[0], "group"), "name": name
        }  # fmt: skip
    for name, device in document.get("devices", {}).items():
        found[device_id(book, name)] = {
            "type": "location", "name": name,
            "description": f"{device['type']}: {device['bind']}/{device.get('role') or ''}",
        }  # fmt: skip
    for name, endpoint in document.get("endpoints", {}).items():
        found[endpoint_id(book, name)] = {
            "type": "http-api", "name": name,
            "description": f"{endpoint.get('type', 'http')}: the address is in the site's binding",
            "address": {"dname": [f"{name}.invalid"]},
        }  # fmt: skip
    return found


def addressees(step: dict[str, Any]) -> list[str]:
    """Whom a step tells or asks."""
    named = step.get("notify") or step.get("ask") or {}
    return list(named.get("to", []))
