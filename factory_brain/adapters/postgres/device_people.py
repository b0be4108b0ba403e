"""The rights of a person who is named by a device and has no session. Reads accounts only."""

from __future__ import annotations

import asyncpg

from shared.identity.policy import User, Within
from shared.postgres.service_accounts import grants_from


class DevicePeople:
    """Looks a person's grants up."""

    def __init__(self, pool: asyncpg.Pool, within: Within) -> None:
        self._pool, self._within = pool, within

    async def user(self, name: str) -> User | None:
        """The person with what is granted now; None for one who is unknown or disabled."""
        row = await self._pool.fetchrow(
            "SELECT grants, disabled FROM account WHERE username = $1", name
        )
        if row is not None:
            known = None if row["disabled"] else row["grants"]
        else:  # of an identity server: as it said at the last sign-in
            known = await self._pool.fetchval(
                "SELECT grants FROM web_session WHERE username = $1 AND provider <> 'local' "
                "ORDER BY seen_at DESC LIMIT 1",
                name,
            )
        if known is None:
            return None
        return User.of(name, grants_from(known), within=self._within)
