"""Walks every route of a running tier as every role, and as nobody.

What may be refused as empty (a body that is missing) is refused by 422 only after the rights were
asked: so 403 and 401 tell of rights alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import httpx
from fastapi import FastAPI

from shared.identity.policy import POLICY, ROLES, User
from shared.postgres.accounts import PgAccounts
from shared.web.auth import COOKIE
from shared.web.route_rights import ANYBODY, OPEN, RouteRight, faults, route_rights

NOBODY = "nobody"


@dataclass(slots=True)
class Walk:
    """What came of it."""

    routes: int = 0
    checks: int = 0
    wrong: list[str] = field(default_factory=list)


def expected(right: RouteRight, role: str) -> int | None:
    """The status that must come; None: anything but 401 and 403."""
    if role == NOBODY:
        return 401
    if right.kind == ANYBODY or role in POLICY[right.action]:
        return None
    return 403


async def sessions(accounts: PgAccounts) -> dict[str, str]:
    """A session for each role, of a person who is only that."""
    found = {NOBODY: ""}
    for role in ROLES:
        await accounts.create(f"only-{role}", "correct horse battery", [role])
        found[role] = await accounts.open_session(User(f"only-{role}", (role,)), "local")
    return found


async def walk(app: FastAPI, url: str, tokens: dict[str, str]) -> Walk:
    """Ask every guarded route as everybody."""
    rights = route_rights(app)
    assert faults(rights) == []
    done = Walk()
    limits = httpx.Limits(max_connections=8)
    async with httpx.AsyncClient(base_url=url, timeout=20, limits=limits) as client:
        for right in rights:
            if right.kind == OPEN or right.method == "WS":
                continue
            done.routes += 1
            for role, token in tokens.items():
                status = await _ask(client, right, token)
                wanted = expected(right, role)
                done.checks += 1
                if status != wanted if wanted else status in (401, 403):
                    done.wrong.append(f"{right.method} {right.path} as {role}: {status}")
    return done


async def _ask(client: httpx.AsyncClient, right: RouteRight, token: str) -> int:
    path = re.sub(r"\{[^}]*\}", "none-such", right.path)
    headers = {"Idempotency-Key": "of the role matrix"}
    if token:
        headers["Cookie"] = f"{COOKIE}={token}"
    body = None if right.method in ("GET", "DELETE") else {}
    # Streams never end: the answer's head is enough.
    async with client.stream(right.method, path, headers=headers, json=body) as answer:
        return answer.status_code
