"""Which right each route asks for, read from the application itself.

Used by the generated document and by the test that no route is without a right; serves nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.routing import Mount

from shared.web.auth import current_user

OPEN, ANYBODY, RIGHT = "open", "anybody logged in", "right"
PUBLIC: dict[tuple[str, str], str] = {
    ("POST", "/api/session"): "logging in",
    ("DELETE", "/api/session"): "logging out",
    ("GET", "/api/session/ways"): "how one may log in",
    ("GET", "/api/session/oidc/login"): "away to the identity server",
    ("GET", "/api/session/oidc/callback"): "back from it: its code is checked",
    ("POST", "/api/session/oidc/logout"): "signed by the identity server",
    ("GET", "/api/healthz"): "for supervisors; says yes or no",
    ("GET", "/api/readyz"): "for supervisors; says yes or no",
    ("GET", "/api/problems/{code}"): "what a code means; holds no data of the plant",
    ("GET", "/healthz"): "for supervisors; says yes or no",
    ("GET", "/readyz"): "for supervisors; says yes or no",
    ("GET", "/metrics"): "for Prometheus: counts without names; can be switched off",
    ("POST", "/api/hooks/{link}"): "signed by the linked system with its own secret",
    ("GET", "/api/notifications/{token}/ack"): "signed: a link in somebody's message",
    ("POST", "/api/notifications/{token}/ack"): "signed: acts in the right of the message's person",
    ("GET", "/"): "the console's page, which holds no data",
    ("GET", "/ui/{rest:path}"): "the console's page, which holds no data",
    ("GET", "/api/docs"): "the interface's description",
    ("GET", "/api/openapi.json"): "the interface's description",
    ("GET", "/docs/oauth2-redirect"): "part of the interface's description",
}
"""(method, path) -> why nobody need be logged in for it."""


@dataclass(frozen=True, slots=True)
class RouteRight:
    """One route and who may use it."""

    method: str
    path: str
    kind: str
    action: str = ""


def route_rights(app: FastAPI) -> list[RouteRight]:
    """Every route of an application; a WebSocket's method is `WS`."""
    found = set()
    for route in iter_route_contexts(app.routes):
        path = str(getattr(route, "path", "") or "")
        if isinstance(getattr(route, "original_route", route), Mount):
            continue  # a folder of files: the console's assets
        dependant = getattr(route, "dependant", None)
        calls = list(_calls(dependant)) if dependant is not None else []
        action = next((call.action for call in calls if hasattr(call, "action")), "")
        kind = RIGHT if action else ANYBODY if current_user in calls else OPEN
        methods = getattr(route, "methods", None) or {"WS"}
        for method in methods - {"HEAD"}:
            found.add(RouteRight(method, path, kind, action))
    return sorted(found, key=lambda r: (r.path, r.method))


def _calls(dependant: Any) -> Iterator[Any]:
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)


def faults(rights: list[RouteRight]) -> list[str]:
    """Routes that are open without being among the public ones."""
    return [
        f"{each.method} {each.path}"
        for each in rights
        if each.kind == OPEN and (each.method, each.path) not in PUBLIC
    ]
