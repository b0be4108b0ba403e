"""The settings of sign-in: local accounts, or OpenID Connect at Keycloak.

Part of the tiers' settings (`identity:`); checked when the process starts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.identity.policy import ROLES
from shared.site.fields import Duration

Algorithm = Literal["RS256", "PS256", "ES256"]


class MappingRule(BaseModel):
    """One role or group of the identity server, and what it means here."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str = ""
    """A role as the token names it."""
    group: str = ""
    """A group's whole path as the token names it."""
    grant: str
    """The role in Andon."""
    area: str = ""
    """The area of the asset tree; empty: the whole site."""

    @model_validator(mode="after")
    def _one(self) -> MappingRule:
        if bool(self.role) == bool(self.group):
            raise ValueError("name either `role` or `group`")
        if self.grant not in ROLES:
            raise ValueError(f"unknown role {self.grant!r}: one of {', '.join(ROLES)}")
        return self


class IdentitySettings(BaseModel):
    """`identity:` of a tier's settings."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mode: Literal["local", "oidc"] = "local"
    session_idle: Duration = Field(default="4h", validate_default=True)  # type: ignore[assignment]
    """A session that asked nothing for this long is over."""
    session_absolute: Duration = Field(  # type: ignore[assignment]
        default="12h", validate_default=True
    )
    """No session lives longer than this."""
    issuer: str = ""
    """The realm's address as it is written in its tokens: `https://…/realms/andon`."""
    client_id: str = "andon"
    client_secret_file: Path | None = None
    public_url: str = ""
    """The address under which browsers reach this tier."""
    ca_file: Path | None = None
    """The authority that signed the identity server's certificate, when it is your own."""
    algorithms: tuple[Algorithm, ...] = ("RS256", "PS256", "ES256")
    roles_claim: str = "realm_access.roles"
    groups_claim: str = "groups"
    mapping: tuple[MappingRule, ...] = ()
    """Empty: role `andon-<role>`, group `/andon/<site>/<role>[/<area>]`."""
    break_glass: bool = True
    """Under `oidc`, whether the local account `admin` may still log in."""

    @model_validator(mode="after")
    def _complete(self) -> IdentitySettings:
        if self.mode == "oidc":
            for name in ("issuer", "client_secret_file", "public_url"):
                if not getattr(self, name):
                    raise ValueError(f"mode oidc needs `{name}`")
            if "/realms/" not in self.issuer:
                raise ValueError("`issuer` must be a realm's address: https://…/realms/<realm>")
        return self
