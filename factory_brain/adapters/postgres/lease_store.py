"""Leases and brains in PostgreSQL: whose turn it is, judged by the database's one clock.

Called by `Brains` a few times within a lease; every round is one short transaction.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from factory_brain.application.brains import Me, Other, Round
from factory_brain.domain.shares import SOURCE, Lease, holder_of, share
from shared.errors import StoreError
from shared.postgres.pool import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
KEPT_LEASES = 10
"""A brain that has been silent for so many leases is forgotten."""
_I_AM = (
    "INSERT INTO brain AS b (name, boot, seen_at, attended, horn) "
    "VALUES ($1, $2, clock_timestamp(), $3, $4) ON CONFLICT (name) DO UPDATE SET "
    "boot = $2, seen_at = clock_timestamp(), attended = $3, horn = $4"
)
_BRAINS = (
    "SELECT name, boot, attended, horn, "
    "(extract(epoch FROM clock_timestamp() - seen_at) * 1000)::bigint AS age FROM brain "
    "WHERE seen_at > clock_timestamp() - $1 * interval '1 millisecond' ORDER BY name"
)
_LEASES = (
    "SELECT name, holder, fence, "
    "(extract(epoch FROM until - clock_timestamp()) * 1000)::bigint AS left_ms "
    "FROM lease ORDER BY name FOR UPDATE"
)
_UNTIL = "until = clock_timestamp() + $2 * interval '1 millisecond'"


class LeaseLostError(StoreError):
    """Another brain leads by now: nothing of this transaction may stand."""


class LeaseStore:
    """Reads and writes `brain` and `lease`."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def round(self, me: Me, wanted: Sequence[str], ttl_ms: int) -> Round:
        """Say that this brain lives, renew what it holds, take what is free and its part."""
        async with self._transaction() as tx:
            await tx.execute(_I_AM, me.name, me.boot, me.attended, sorted(me.horn))
            await tx.execute(
                "INSERT INTO lease (name, holder, fence, until) SELECT n, '', 0, clock_timestamp() "
                "FROM unnest($1::text[]) AS w(n) WHERE NOT EXISTS "
                "(SELECT 1 FROM lease WHERE name = n) ORDER BY n ON CONFLICT DO NOTHING",
                list(wanted),
            )
            leases = [Lease(**dict(row)) for row in await tx.fetch(_LEASES)]
            brains = await tx.fetch(_BRAINS, ttl_ms)
            part = share(me.name, me.boot, leases, len(brains))
            await tx.execute(
                f"UPDATE lease SET {_UNTIL} WHERE name = ANY($1)", list(part.renew), ttl_ms
            )
            taken = await tx.fetch(
                f"UPDATE lease SET {_UNTIL}, holder = $3, fence = fence + 1 "
                "WHERE name = ANY($1) RETURNING name, fence",
                list(part.take), ttl_ms, holder_of(me.name, me.boot),
            )  # fmt: skip
        held = {each.name: each.fence for each in leases if each.name in part.renew}
        held |= {row["name"]: row["fence"] for row in taken}
        return Round(held, part.give, _others(me.name, brains))

    async def others(self, name: str, ttl_ms: int) -> list[Other]:
        """The other brains that live."""
        try:
            return _others(name, await self._pool.fetch(_BRAINS, ttl_ms, timeout=2))
        except FAULTS as error:
            raise StoreError(f"brains cannot be read: {error}") from error

    async def tell(self, me: Me) -> None:
        """Say now what the next round would."""
        async with self._transaction() as tx:
            await tx.execute(_I_AM, me.name, me.boot, me.attended, sorted(me.horn))

    async def release(self, me: Me, names: Sequence[str]) -> None:
        """Give leases away before their time."""
        async with self._transaction() as tx:
            await tx.execute(
                "UPDATE lease SET until = clock_timestamp() WHERE name = ANY($1) AND holder = $2",
                list(names), holder_of(me.name, me.boot),
            )  # fmt: skip

    async def leave(self, me: Me) -> None:
        """Give everything away and be gone."""
        async with self._transaction() as tx:
            await tx.execute(
                "UPDATE lease SET until = clock_timestamp() WHERE holder = $1",
                holder_of(me.name, me.boot),
            )
            await tx.execute("DELETE FROM brain WHERE name = $1 AND boot = $2", me.name, me.boot)

    async def tidy(self, ttl_ms: int, sources: Sequence[str]) -> None:
        """Forget brains and sources that are no more, and old news; the leader's work."""
        async with self._transaction() as tx:
            age = ttl_ms * KEPT_LEASES
            for table, column in (("brain", "seen_at"), ("brain_news", "at")):
                await tx.execute(
                    f"DELETE FROM {table} WHERE {column} < "
                    "clock_timestamp() - $1 * interval '1 millisecond'", age,
                )  # fmt: skip
            await tx.execute(
                "DELETE FROM lease WHERE name LIKE $1 AND NOT name = ANY($2) "
                "AND until < clock_timestamp()", f"{SOURCE}%", list(sources),
            )  # fmt: skip

    @staticmethod
    async def check(tx: Connection, name: str, me: Me, fence: int) -> None:
        """Raise LeaseLostError unless this brain still holds a lease; it cannot change hands
        before this transaction ends."""
        found = await tx.fetchval(
            "SELECT true FROM lease WHERE name = $1 AND holder = $2 AND fence = $3 FOR SHARE",
            name, holder_of(me.name, me.boot), fence,
        )  # fmt: skip
        if not found:
            raise LeaseLostError(f"another brain holds {name!r} by now (fence {fence} is over)")

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.acquire(timeout=2) as connection, connection.transaction():
                await connection.execute("SET LOCAL lock_timeout = '2s'")
                yield connection
        except FAULTS as error:
            raise StoreError(f"leases cannot be written: {error!r}") from error


def _others(name: str, rows: Sequence[asyncpg.Record]) -> list[Other]:
    return [
        Other(row["name"], row["attended"], frozenset(msgspec.convert(row["horn"], list[str])),
              row["age"])
        for row in rows if row["name"] != name
    ]  # fmt: skip
