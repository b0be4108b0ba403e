"""Tenants: who owns factories, and whose a factory is.

Called by the web; every change is audited in its own transaction. Rights are grants whose area is
a tenant: whoever has a role there sees that tenant's factories and no other's.
"""

from __future__ import annotations

import re
from typing import Protocol

from group_cloud.application.ports import Audit, Records, Transaction
from group_cloud.domain.scope import Scope
from shared.clock import Clock
from shared.errors import Rejected
from shared.web.dto_base import Text
from shared.web.dto_total import Tenant, TenantList

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SITE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class TenantRows(Protocol):
    """See `adapters/postgres/tenant_store.py`."""

    async def sites(self, scope: Scope) -> dict[str, str]:
        """site -> tenant, of those within."""
        ...

    async def tenants(self, tx: Transaction, /) -> dict[str, dict[str, str]]:
        """All tenants: id -> names."""
        ...

    async def add(self, tx: Transaction, /, tenant: str, names: dict[str, str], at: int) -> bool:
        """Whether it was not there before."""
        ...

    async def give(self, tx: Transaction, /, site: str, tenant: str) -> str | None:
        """Make a factory a tenant's; returns whose it was."""
        ...


class Tenants:
    """The register of tenants."""

    def __init__(self, rows: TenantRows, records: Records, audit: Audit, clock: Clock) -> None:
        self._rows, self._records, self._audit, self._clock = rows, records, audit, clock

    async def sites(self, scope: Scope) -> list[str] | None:
        """The sites within a scope; None: all of them."""
        return None if scope.tenants is None else sorted(await self._rows.sites(scope))

    async def listed(self, scope: Scope) -> TenantList:
        """The tenants within a scope, with their sites."""
        sites = await self._rows.sites(scope)
        async with self._records.transaction() as tx:
            found = await self._rows.tenants(tx)
        return TenantList(
            tenants=[
                Tenant(
                    id=name, name=Text(zh=names.get("zh", ""), en=names.get("en", "")),
                    sites=sorted(site for site, owner in sites.items() if owner == name),
                )
                for name, names in found.items() if scope.holds(name)
            ]
        )  # fmt: skip

    async def add(self, tenant: str, name: Text, actor: str) -> Rejected | None:
        """Register a tenant."""
        if not _NAME.fullmatch(tenant):
            return Rejected("bad_tenant_name", {"tenant": tenant})
        now = self._clock.now_ms()
        async with self._records.transaction() as tx:
            if not await self._rows.add(tx, tenant, {"zh": name.zh, "en": name.en}, now):
                return Rejected("tenant_exists", {"tenant": tenant})
            await self._audit(tx, now, actor, "tenant_made", tenant, {"zh": name.zh, "en": name.en})
        return None

    async def give(self, site: str, tenant: str, actor: str) -> Rejected | None:
        """Make a factory a tenant's, heard or not yet."""
        if not _SITE.fullmatch(site):
            return Rejected("unknown_site", {"site": site})
        now = self._clock.now_ms()
        async with self._records.transaction() as tx:
            if tenant not in await self._rows.tenants(tx):
                return Rejected("unknown_tenant", {"tenant": tenant})
            before = await self._rows.give(tx, site, tenant)
            await self._audit(
                tx, now, actor, "site_given", site, {"tenant": tenant, "before": before}
            )
        return None
