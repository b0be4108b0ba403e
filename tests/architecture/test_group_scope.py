"""Every route of the group's data asks whose it is, and every question carries a scope."""

from __future__ import annotations

import ast
import re
from typing import Any

from fastapi.routing import iter_route_contexts

from group_cloud.web.app import openapi_app
from shared.web.route_rights import PUBLIC, route_rights
from tests.architecture.tree import ROOT

EVERYWHERE = {"administer", "read_audit"}
"""Asked for without any limit of area: for the group's own people alone."""
OWN = {"/api/session", "/api/session/password"}
"""What a person asks about themselves."""


def _calls(dependant: Any) -> list[Any]:
    found = [each.call for each in dependant.dependencies]
    return found + [call for each in dependant.dependencies for call in _calls(each)]


def test_every_route_is_scoped_public_or_for_the_group_alone() -> None:
    app, loose = openapi_app(), []
    actions = {(r.method, r.path): r.action for r in route_rights(app)}
    for route in iter_route_contexts(app.routes):
        path, dependant = getattr(route, "path", ""), getattr(route, "dependant", None)
        if dependant is None or path in OWN:
            continue
        for method in (getattr(route, "methods", None) or {"WS"}) - {"HEAD"}:
            if (method, path) in PUBLIC or actions.get((method, path)) in EVERYWHERE:
                continue
            if not any(getattr(call, "scoped", False) for call in _calls(dependant)):
                loose.append(f"{method} {path}")
    assert loose == []


def test_what_the_group_may_alone_is_asked_for_everywhere() -> None:
    limited = []
    for file in (ROOT / "group_cloud" / "web").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        for action in EVERYWHERE:
            limited += re.findall(rf'allowed\("{action}"\)', text)
            limited += re.findall(rf'scoped\("{action}"\)', text)
    assert limited == []


def test_reads_for_people_go_through_the_scoped_door() -> None:
    """No module of reads has a pool to ask around it."""
    files = sorted((ROOT / "group_cloud" / "adapters" / "postgres").glob("*_reads.py"))
    assert files
    for file in files:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        asked = {
            ast.unparse(node.func.value) for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("fetch", "fetchrow", "fetchval", "execute", "row")
        }  # fmt: skip
        assert asked <= {"self._ask"}, f"{file.name}: {asked}"
