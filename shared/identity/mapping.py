"""From a token's roles and groups to grants. Pure: claims in, grants out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from shared.identity.policy import EVERYWHERE, ROLES, Grant
from shared.identity.settings import IdentitySettings

ROLE_PREFIX = "andon-"
GROUP_ROOT = "andon"
GROUP_SITE = "group"
"""The name of the group's cloud among the sites."""


def claim(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts at a dotted path of the claims; nothing when there are none."""
    found: Any = claims
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def grants_of(claims: Mapping[str, Any], settings: IdentitySettings, site: str) -> list[Grant]:
    """What a token's bearer may be at `site`."""
    roles = claim(claims, settings.roles_claim)
    groups = claim(claims, settings.groups_claim)
    if settings.mapping:
        held = [
            Grant(rule.grant, rule.area)
            for rule in settings.mapping
            if (rule.role in roles if rule.role else rule.group in groups)
        ]
    else:
        held = [*_by_role(roles), *_by_group(groups, site or GROUP_SITE)]
    return list(dict.fromkeys(held))


def _by_role(roles: Iterable[str]) -> list[Grant]:
    names = [role.removeprefix(ROLE_PREFIX) for role in roles if role.startswith(ROLE_PREFIX)]
    return [Grant(name) for name in names if name in ROLES]


def _by_group(groups: Iterable[str], site: str) -> list[Grant]:
    found = []
    for group in groups:
        parts = group.strip("/").split("/")
        if len(parts) in (3, 4) and parts[:2] == [GROUP_ROOT, site] and parts[2] in ROLES:
            found.append(Grant(parts[2], parts[3] if len(parts) == 4 else EVERYWHERE))
    return found
