"""The one way by which people's questions reach the group's tables: within their scope.

Every statement names where its rows must belong by `{mine}` (or `{mine:alias}`); one that does not
is refused, so none can forget it. Reads only.
"""

from __future__ import annotations

import re
from typing import Any

import asyncpg

from group_cloud.domain.scope import Scope
from shared.errors import ContractError

_MINE = re.compile(r"\{mine(?::(\w+))?\}")
_WITHIN = "(SELECT f_.site FROM factory f_ WHERE $1::text[] IS NULL OR f_.tenant = ANY($1))"
TIMEOUT_S = 20.0


def within(statement: str) -> str:
    """The statement with its `{mine}` spelt out; `$1` is the scope. Raises where there is none."""

    def spelt(found: re.Match[str]) -> str:
        return f"{found[1] + '.' if found[1] else ''}site IN {_WITHIN}"

    text, count = _MINE.subn(spelt, statement)
    if count == 0:
        raise ContractError(f"a question without a scope: {statement[:80]}")
    return text


class Scoped:
    """Asks within a scope; a statement's own arguments begin at `$2`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def fetch(self, scope: Scope, statement: str, *args: Any) -> list[asyncpg.Record]:
        """All rows."""
        return await self._pool.fetch(within(statement), scope.listed, *args, timeout=TIMEOUT_S)

    async def row(self, scope: Scope, statement: str, *args: Any) -> asyncpg.Record | None:
        """The first row."""
        return await self._pool.fetchrow(within(statement), scope.listed, *args, timeout=TIMEOUT_S)

    async def sees(self, scope: Scope, site: str) -> bool:
        """Whether a site is within."""
        statement = "SELECT 1 FROM factory f WHERE {mine:f} AND f.site = $2"
        return await self.row(scope, statement, site) is not None
