"""Whose factories somebody may see: those of some tenants, or all. Pure.

Made from a user's grants, whose areas at the group are tenants; every question to the group's
store is asked within one.
"""

from __future__ import annotations

from dataclasses import dataclass

from shared.identity.policy import User


@dataclass(frozen=True, slots=True)
class Scope:
    """Tenants by name; None: all of them."""

    tenants: frozenset[str] | None = frozenset()

    @classmethod
    def of(cls, user: User, action: str) -> Scope:
        """Where a user may do `action`."""
        areas = user.areas(action)
        return ALL if "" in areas else cls(frozenset(areas))

    @property
    def listed(self) -> list[str] | None:
        """As the database is asked."""
        return None if self.tenants is None else sorted(self.tenants)

    def holds(self, tenant: str) -> bool:
        """Whether a tenant is within."""
        return self.tenants is None or tenant in self.tenants


ALL = Scope(None)
"""The group itself."""
