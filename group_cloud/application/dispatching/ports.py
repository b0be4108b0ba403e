"""What the dispatch centre needs of its store, and an assignment as stored.

Implemented by `adapters/postgres/dispatch_store.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.assignment import Resource, State
from group_cloud.domain.scope import Scope


@dataclass(frozen=True, slots=True)
class Assignment:
    """One resource asked to see to one incident; times are UTC ms."""

    id: str
    site: str
    incident: str
    chain: str
    resource: str | None
    skills: list[str]
    state: State
    offered_at: int
    accept_by: int
    on_site_by: int
    accept_s: int
    at: int
    by: str
    note: str = ""
    escalated: bool = False
    missed: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)


class DispatchRows(Protocol):
    """Resources and assignments; what people ask is asked within a scope."""

    async def resources(self, tx: Transaction, /, scope: Scope) -> list[Resource]:
        """Those of the tenants within a scope."""
        ...

    async def put_resource(self, tx: Transaction, /, made: Resource, at: int) -> bool:
        """Insert or replace; False: the id is another tenant's, and nothing was changed."""
        ...

    async def tenant_of(self, scope: Scope, site: str) -> str | None:
        """Whose a site within a scope is."""
        ...

    async def tenants(self, tx: Transaction, /) -> set[str]:
        """All tenants."""
        ...

    async def has_incident(self, scope: Scope, site: str, incident: str) -> bool:
        """Whether that incident is known and within."""
        ...

    async def lock_all(self, tx: Transaction, /) -> None:
        """One that asks people at a time."""
        ...

    async def busy(self, tx: Transaction, /) -> set[str]:
        """Resources that are asked, on the way or at work."""
        ...

    async def save(self, tx: Transaction, /, row: Assignment) -> None:
        """Insert or replace."""
        ...

    async def get(self, tx: Transaction, /, name: str) -> Assignment | None:
        """One, locked."""
        ...

    async def chain(self, tx: Transaction, /, chain: str) -> list[Assignment]:
        """All that followed each other."""
        ...

    async def due(self, tx: Transaction, /, now: int, limit: int) -> list[Assignment]:
        """What a clock has run out for, or whose successor was not asked yet."""
        ...

    async def listed(
        self, scope: Scope, site: str | None, incident: str | None, live: bool
    ) -> list[Assignment]:
        """Newest first."""
        ...

    async def plights(self, scope: Scope, now: int) -> Sequence[Any]:
        """What the score of urgency is made of, by factory."""
        ...
