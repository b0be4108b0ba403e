"""Leases and brains in PostgreSQL: whose turn it is, judged by the database's one clock.

Called by `Brains` a few times within a lease; every round is one short transaction. Rounds wait for
one another, never for work that is done under a lease: that only puts off a change of hands.

A round gives back on behalf of a brain whose process is provably dead (`shared/lives.py`). That is
no weaker than waiting: a lease bounds how long somebody who may live can believe in it, and the
dead believe in nothing. Whatever they sent before is met as ever: the fence is raised, a lease
under which something is still being committed is left alone, positions and ids do the rest.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from factory_brain.application.brains import Me, Other, Round
from factory_brain.domain.shares import SOURCE, Lease, holder_of, share
from shared.errors import StoreError
from shared.lives import is_dead
from shared.postgres.pool import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

FAULTS = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
KEPT_LEASES = 10
"""A brain that has been silent for so many leases is forgotten."""
_LIMITS = "SET LOCAL lock_timeout = '2s'; SET LOCAL idle_in_transaction_session_timeout = '1500ms'"
"""A brain that is stopped in the middle of a round must not stop the others' rounds."""
WORK_IDLE = "5s"
"""And one that is stopped in the middle of fenced work must not keep its lease for ever."""
_MS = "interval '1 millisecond'"
_FROM = "coalesce(host(inet_client_addr()), '')"
_I_AM = (
    "INSERT INTO brain AS b (name, boot, seen_at, attended, horn, life, address) "
    f"VALUES ($1, $2, clock_timestamp(), $3, $4, $5, {_FROM}) ON CONFLICT (name, boot) DO UPDATE "
    f"SET seen_at = clock_timestamp(), attended = $3, horn = $4, life = $5, address = {_FROM}"
)
_NEIGHBOURS = (
    f"SELECT name, boot, life FROM brain WHERE life <> '' AND address = {_FROM} "
    "AND (name, boot) <> ($1, $2) ORDER BY name, boot"
)
"""Only who asks from the same address: of two clones of one machine each has its own."""
_CONNECTED = (
    "SELECT application_name FROM pg_stat_activity "
    "WHERE application_name = ANY($1) AND state IS DISTINCT FROM 'active'"
)
"""Behind one address there may be clones. But who is dead keeps no connection: its machine
has closed them, and the database ends those that wait for nothing but a client."""
_BRAINS = (
    "SELECT name, boot, attended, horn, greatest(0, "
    "(extract(epoch FROM clock_timestamp() - seen_at) * 1000)::bigint) AS age FROM brain "
    f"WHERE seen_at > clock_timestamp() - $1 * {_MS} ORDER BY name, boot"
)
_WANTED = (
    "INSERT INTO lease (name, holder, fence, until, ttl_ms) "
    "SELECT n, '', 0, clock_timestamp(), $2 FROM unnest($1::text[]) AS w(n) WHERE NOT EXISTS "
    "(SELECT 1 FROM lease WHERE name = n) ORDER BY n ON CONFLICT DO NOTHING"
)
_LOCKED = "SELECT name FROM lease ORDER BY name FOR NO KEY UPDATE"
"""In one order, whatever follows. Work under a lease locks it FOR KEY SHARE: both go together."""
_STEPPED_BACK = (
    f"UPDATE lease SET until = clock_timestamp() + ttl_ms * {_MS} "
    f"WHERE until > clock_timestamp() + ttl_ms * {_MS}",
    "UPDATE brain SET seen_at = clock_timestamp() WHERE seen_at > clock_timestamp()",
)
"""After a step back of the database's clock: who lives renews in time, who is dead has one lease
more, not as long as the step."""
_LEASES = (
    "SELECT name, holder, fence, "
    "(extract(epoch FROM until - clock_timestamp()) * 1000)::bigint AS left_ms "
    "FROM lease ORDER BY name"
)
_FREE = "SELECT name FROM lease WHERE name = ANY($1) ORDER BY name FOR UPDATE SKIP LOCKED"
"""Without those whose last holder still commits something under them."""
_UNTIL = f"until = clock_timestamp() + $2 * {_MS}, ttl_ms = $2"


class LeaseLostError(StoreError):
    """Another brain leads by now: nothing of this transaction may stand."""


class LeaseStore:
    """Reads and writes `brain` and `lease`."""

    def __init__(self, pool: asyncpg.Pool, is_dead: Callable[[str], bool] = is_dead) -> None:
        self._pool, self._is_dead = pool, is_dead

    async def round(self, me: Me, wanted: Sequence[str], ttl_ms: int) -> Round:
        """Say that this brain lives, renew what it holds, take what is free and its part."""
        async with self._transaction() as tx:
            await tx.execute(_WANTED, list(wanted), ttl_ms)
            await tx.execute(_LOCKED)
            for corrected in _STEPPED_BACK:
                await tx.execute(corrected)
            await self._say(tx, me)
            dead = await self._buried(tx, me)
            leases = [Lease(**dict(row)) for row in await tx.fetch(_LEASES)]
            brains = await tx.fetch(_BRAINS, ttl_ms)
            part = share(me.name, me.boot, leases, len(brains))
            await tx.execute(
                f"UPDATE lease SET {_UNTIL} WHERE name = ANY($1)", list(part.renew), ttl_ms
            )
            free = [row["name"] for row in await tx.fetch(_FREE, list(part.take))]
            taken = await tx.fetch(
                f"UPDATE lease SET {_UNTIL}, holder = $3, fence = fence + 1 "
                "WHERE name = ANY($1) RETURNING name, fence", free, ttl_ms, me.holder,
            )  # fmt: skip
        held = {each.name: each.fence for each in leases if each.name in part.renew}
        held |= {row["name"]: row["fence"] for row in taken}
        return Round(held, part.give, _others(me, brains), dead)

    async def _say(self, tx: Connection, me: Me) -> None:
        await tx.execute(_I_AM, me.name, me.boot, me.attended, sorted(me.horn), me.life)

    async def _buried(self, tx: Connection, me: Me) -> list[str]:
        """Leave on behalf of neighbours whose process is no more; as holders."""
        found = await tx.fetch(_NEIGHBOURS, me.name, me.boot)
        gone = {
            holder_of(row["name"], row["boot"]): (row["name"], row["boot"])
            for row in found if self._is_dead(row["life"])
        }  # fmt: skip
        if not gone:
            return []
        for row in await tx.fetch(_CONNECTED, list(gone)):
            gone.pop(row["application_name"], None)
        for name, boot in gone.values():
            await self._left(tx, name, boot)
        return list(gone)

    @staticmethod
    async def _left(tx: Connection, name: str, boot: str) -> None:
        await tx.execute(
            "UPDATE lease SET until = least(until, clock_timestamp()) WHERE holder = $1",
            holder_of(name, boot),
        )
        await tx.execute("DELETE FROM brain WHERE name = $1 AND boot = $2", name, boot)

    async def others(self, me: Me, ttl_ms: int) -> list[Other]:
        """The other brains that live."""
        try:
            return _others(me, await self._pool.fetch(_BRAINS, ttl_ms, timeout=2))
        except FAULTS as error:
            raise StoreError(f"brains cannot be read: {error}") from error

    async def tell(self, me: Me) -> None:
        """Say now what the next round would."""
        async with self._transaction() as tx:
            await self._say(tx, me)

    async def release(self, me: Me, names: Sequence[str]) -> None:
        """Give leases away before their time."""
        async with self._transaction() as tx:
            await tx.execute(_LOCKED)
            await tx.execute(
                "UPDATE lease SET until = clock_timestamp() WHERE name = ANY($1) AND holder = $2",
                list(names), me.holder,
            )  # fmt: skip

    async def leave(self, me: Me) -> None:
        """Give everything away and be gone."""
        async with self._transaction() as tx:
            await tx.execute(_LOCKED)
            await self._left(tx, me.name, me.boot)

    async def tidy(self, ttl_ms: int, sources: Sequence[str]) -> None:
        """Forget brains and sources that are no more, and old news; the leader's work."""
        async with self._transaction() as tx:
            await tx.execute(_LOCKED)
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
        before this transaction ends, which the database ends if nothing comes for it."""
        found = await tx.fetchval(
            "SELECT set_config('idle_in_transaction_session_timeout', $4, true) FROM lease "
            "WHERE name = $1 AND holder = $2 AND fence = $3 FOR KEY SHARE",
            name, me.holder, fence, WORK_IDLE,
        )  # fmt: skip
        if not found:
            raise LeaseLostError(f"another brain holds {name!r} by now (fence {fence} is over)")

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        try:
            async with self._pool.acquire(timeout=2) as connection, connection.transaction():
                await connection.execute(_LIMITS)
                yield connection
        except FAULTS as error:
            raise StoreError(f"leases cannot be written: {error!r}") from error


def _others(me: Me, rows: Sequence[asyncpg.Record]) -> list[Other]:
    return [
        Other(holder_of(row["name"], row["boot"]), row["attended"],
              frozenset(msgspec.convert(row["horn"], list[str])), row["age"])
        for row in rows if (row["name"], row["boot"]) != (me.name, me.boot)
    ]  # fmt: skip
