"""`docs/reference/roles.md`: who may do what, and which right every route asks for.

Called by `reference.py`; reads the policy and the applications, writes nothing.
"""

from __future__ import annotations

from typing import Any

from shared.identity.policy import POLICY, ROLES
from shared.web.route_rights import ANYBODY, OPEN, PUBLIC, RouteRight, route_rights

HEAD = (
    "Rights are asked on the server at every route. A grant is a role in an area of the asset\n"
    "tree; the empty area is everywhere. A route lets in whoever has the right in any area; what\n"
    "acts on an alarm or an asset asks again for that one (`not_allowed_here`). Accounts need\n"
    "`administer` everywhere.\n"
)


def roles_text(made: str, apps: dict[str, Any]) -> str:
    """The whole document; `apps` are the tiers' applications by name."""
    text = "# Roles and rights\n\n" + made + HEAD
    text += "\n## Who may do what\n\n"
    text += _line("action", *ROLES) + _line(*["---"] * (len(ROLES) + 1))
    for action, able in POLICY.items():
        text += _line(f"`{action}`", *("✓" if role in able else "" for role in ROLES))
    for name, app in apps.items():
        text += f"\n## Routes of {name}\n\n"
        text += _line("route", "right", "roles") + _line("---", "---", "---")
        for right in route_rights(app):
            text += _line(f"`{right.method} {right.path}`", *_asked(right))
    return text


def _asked(right: RouteRight) -> tuple[str, str]:
    if right.kind == OPEN:
        return "none", PUBLIC.get((right.method, right.path), "")
    if right.kind == ANYBODY:
        return "logged in", "all"
    able = POLICY[right.action]
    return f"`{right.action}`", "all" if able == set(ROLES) else ", ".join(
        role for role in ROLES if role in able
    )


def _line(*cells: str) -> str:
    return "| " + " | ".join(cells) + " |\n"
