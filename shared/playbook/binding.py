"""From a playbook's logical devices and tags to the plant's: the site's own binding. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from shared.expression import (
    Environment,
    ExpressionError,
    StaticEnvironment,
    Unknown,
    compile_expression,
)
from shared.playbook.model import DeviceRole, Playbook
from shared.playbook.run import ROOTS
from shared.site.model import DeviceSpec

_TAG = re.compile(r"""tag\(\s*(["'])(.+?)\1\s*\)""")


def bound_devices(
    book: Playbook, alarm: Mapping[str, Any], devices: Mapping[str, DeviceSpec]
) -> dict[str, str]:
    """Logical device -> the site's device, for those that the site has."""
    found: dict[str, str] = {}
    for name, role in book.devices.items():
        device = device_named(role, alarm)
        if device is not None and device in devices and devices[device].type == role.type:
            found[name] = device
    return found


def device_named(role: DeviceRole, alarm: Mapping[str, Any]) -> str | None:
    """What the site's device would be called for this alarm; None while that is unknown."""
    env: Environment = StaticEnvironment({"alarm": alarm})
    try:
        base = compile_expression(role.bind, roots=ROOTS).evaluate(env)
    except ExpressionError:
        return None
    if isinstance(base, Unknown):
        return None
    return f"{base}/{role.role}" if role.role else str(base)


def logical_tags(bound: Mapping[str, str], devices: Mapping[str, DeviceSpec]) -> dict[str, str]:
    """Logical tag -> the site's tag, over all bound devices."""
    names: dict[str, str] = {}
    for device in bound.values():
        names.update(devices[device].tags)
    return names


def to_site_tags(text: str, names: Mapping[str, str]) -> str:
    """An expression as the edge evaluates it: logical tag names replaced by the site's."""

    def named(match: re.Match[str]) -> str:
        quote, name = match[1], match[2]
        return f"tag({quote}{names.get(name, name)}{quote})"

    return _TAG.sub(named, text)


def read_tags(book: Playbook) -> set[str]:
    """Every logical tag that the playbook's conditions may read in the brain."""
    text = book.model_dump_json(by_alias=True).replace('\\"', '"')
    return {match[2] for match in _TAG.finditer(text)}
