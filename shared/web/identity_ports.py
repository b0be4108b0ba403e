"""What the routes of accounts, sign-in and audit need; `shared/postgres` provides it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fastapi import Request

from shared.errors import Rejected
from shared.identity.policy import Grant
from shared.identity.settings import IdentitySettings


class People(Protocol):
    """Administration of local accounts."""

    async def listed(self) -> Sequence[Any]:
        """All accounts."""
        ...

    async def add(
        self, username: str, password: str, grants: Sequence[Grant], actor: str
    ) -> Rejected | None:
        """Make one."""
        ...

    async def set_grants(
        self, username: str, grants: Sequence[Grant], actor: str, why: str = ""
    ) -> Rejected | None:
        """Give other rights."""
        ...

    async def set_disabled(
        self, username: str, disabled: bool, actor: str, why: str = ""
    ) -> Rejected | None:
        """Close or open one."""
        ...

    async def set_password(
        self, username: str, password: str, actor: str, why: str = ""
    ) -> Rejected | None:
        """Give a new password."""
        ...

    async def change_own(self, username: str, old: str, new: str) -> Rejected | None:
        """A person's own new password."""
        ...


class Services(Protocol):
    """Administration of service accounts."""

    async def listed(self) -> Sequence[Any]:
        """All of them."""
        ...

    async def add(
        self, client: str, name: str, grants: Sequence[Grant], actions: Sequence[str] | None,
        expires_at: int | None, actor: str,
    ) -> str | Rejected:  # fmt: skip
        """Make one; its token."""
        ...

    async def revoke(self, client: str, actor: str, why: str = "") -> Rejected | None:
        """End one."""
        ...


class Audits(Protocol):
    """The audit log."""

    async def entries(
        self, *, limit: int, before_id: int | None, actor: str | None, action: str | None,
        target: str | None, since: int | None, until: int | None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Entries, newest first."""
        ...


class SignIn(Protocol):
    """Sign-in at an identity server."""

    async def begin(self, back_to: str) -> tuple[str, str]:
        """Where to send the browser, and its cookie."""
        ...

    async def finish(self, query: Mapping[str, str], cookie: str) -> tuple[str, str] | Rejected:
        """A session's token, and where to go."""
        ...

    async def ended_there(self, logout_token: str) -> bool:
        """The identity server ended a session."""
        ...


class Identity(Protocol):
    """What stands behind the routes of identity: the same object as `Accounts`."""

    settings: IdentitySettings
    people: People
    services: Services
    audits: Audits
    sign_in: SignIn | None


def identity_of(request: Request) -> Identity:
    """The application's identity parts."""
    return request.app.state.accounts
