"""Who asks and whose factories may be shown: every route of the group's data depends on it.

A test walks the application's routes and finds those that do not.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from group_cloud.domain.scope import Scope
from shared.web.auth import User, allowed


@dataclass(frozen=True, slots=True)
class Who:
    """A user, and the tenants in which the right asked for is held."""

    user: User
    scope: Scope

    @property
    def name(self) -> str:
        """The user's."""
        return self.user.name


def scoped(action: str) -> Callable[[Request], Coroutine[Any, Any, Who]]:
    """Dependency: the logged-in user and where `action` is allowed."""
    ask = allowed(action)

    async def check(request: Request) -> Who:
        user = await ask(request)
        return Who(user, Scope.of(user, action))

    check.action = action  # type: ignore[attr-defined]
    check.scoped = True  # type: ignore[attr-defined]
    return check
