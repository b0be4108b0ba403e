"""Shapes of accounts, service accounts, sign-in and the audit log."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.web.dto_base import Dto


class GrantOut(Dto):
    """One role in one area; the area "" is everywhere."""

    role: str = Field(max_length=32)
    area: str = Field(default="", max_length=128)


class SignInWays(Dto):
    """GET /api/session/ways: how one may log in here."""

    local: bool
    oidc: bool
    login_url: str = ""
    """Where to send the browser for the identity server."""


class AccountOut(Dto):
    """One local account."""

    username: str
    grants: list[GrantOut]
    disabled: bool
    created_at: int
    password_at: int | None
    last_login_at: int | None


class AccountList(Dto):
    """GET /api/accounts."""

    items: list[AccountOut]


class NewAccount(Dto):
    """POST /api/accounts."""

    username: str = Field(max_length=64)
    password: str = Field(max_length=1000)
    grants: list[GrantOut] = Field(max_length=200)


class NewGrants(Dto):
    """PUT /api/accounts/{username}/grants."""

    grants: list[GrantOut] = Field(max_length=200)
    why: str = Field(default="", max_length=500)


class NewDisabled(Dto):
    """PUT /api/accounts/{username}/disabled."""

    disabled: bool
    why: str = Field(default="", max_length=500)


class NewPassword(Dto):
    """PUT /api/accounts/{username}/password."""

    password: str = Field(max_length=1000)
    why: str = Field(default="", max_length=500)


class OwnPassword(Dto):
    """PUT /api/session/password."""

    old: str = Field(max_length=1000)
    new: str = Field(max_length=1000)


class ServiceOut(Dto):
    """One service account, without its secret."""

    client: str
    name: str
    grants: list[GrantOut]
    actions: list[str] | None
    created_by: str
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None


class ServiceList(Dto):
    """GET /api/service-accounts."""

    items: list[ServiceOut]


class NewService(Dto):
    """POST /api/service-accounts."""

    client: str = Field(max_length=64)
    name: str = Field(default="", max_length=200)
    grants: list[GrantOut] = Field(max_length=200)
    actions: list[str] | None = Field(default=None, max_length=100)
    """Only these actions of the roles; null: all that the roles allow."""
    expires_at: int | None = None


class ServiceToken(Dto):
    """The token of a new service account; it is shown this once."""

    client: str
    token: str


class AuditEntryOut(Dto):
    """One entry of the audit log."""

    id: int
    at: int
    zone: str
    actor: str
    action: str
    target: str
    tier: str
    site: str
    address: str
    before: Any = None
    after: Any = None
    why: str = ""
    data: Any = None
    hash: str


class AuditPage(Dto):
    """GET /api/audit: the newest first."""

    items: list[AuditEntryOut]
    next: str | None


class AuditFaultOut(Dto):
    """One thing in the log that is not as it was written."""

    kind: Literal["altered", "removed", "broken", "anchor_differs", "anchor_gone", "anchor_forged"]
    first: int
    last: int
    says: str
