"""Leases in a real database: twins, a clock that steps back, work under a lease, a hung brain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import factory_brain
from factory_brain.adapters.postgres.lease_store import LeaseLostError, LeaseStore
from factory_brain.application.brains import Me
from factory_brain.domain.shares import LEADER, SOURCE
from shared.errors import StoreError
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from tests.support.brain_world import until

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
TTL_MS = 800
WANTED = (LEADER, f"{SOURCE}e1", f"{SOURCE}e2")
A, TWIN = Me("x", "first"), Me("x", "second")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate(database_url, MIGRATIONS)
    made = await connect_pool(database_url)
    yield made
    await made.close()


async def holds(store: LeaseStore, me: Me) -> set[str]:
    try:
        return set((await store.round(me, WANTED, TTL_MS)).held)
    except StoreError:
        return set()


async def test_two_brains_of_one_name_never_steal_and_take_over_in_time(pool: asyncpg.Pool) -> None:
    store = LeaseStore(pool)
    assert await holds(store, A) == {*WANTED}
    for _ in range(3):
        assert not await holds(store, TWIN)
        found = await store.round(A, WANTED, TTL_MS)
        assert set(found.held) == {*WANTED}
        assert [other.name for other in found.others] == ["x second"]
        assert found.give == (f"{SOURCE}e2",)  # two live: each a part
    await store.release(A, found.give)
    assert await holds(store, TWIN) == {f"{SOURCE}e2"}
    # A clean end gives back at once; the fence tells who wrote last.
    fence = found.held[LEADER]
    await store.leave(A)
    taken = await store.round(TWIN, WANTED, TTL_MS)
    assert {*taken.held} == {*WANTED}
    assert taken.held[LEADER] == fence + 1
    # A killed one keeps its leases until they have run out, also from its own next start.
    loop = asyncio.get_running_loop()
    began = loop.time()
    again = Me("x", "third")
    assert not await holds(store, again)

    async def all_taken() -> bool:
        return await holds(store, again) == {*WANTED}

    await until(all_taken, 10)
    assert loop.time() - began > TTL_MS / 1000 * 0.8


async def test_a_database_clock_that_steps_back_keeps_no_dead_brain_alive(
    pool: asyncpg.Pool,
) -> None:
    store = LeaseStore(pool)
    assert await holds(store, A) == {*WANTED}
    # Back by an hour: what was written before lies an hour ahead.
    await pool.execute("UPDATE lease SET until = until + interval '1 hour'")
    await pool.execute("UPDATE brain SET seen_at = seen_at + interval '1 hour'")
    other = Me("y", "b")
    assert not await holds(store, other)  # it may live: it has a lease's time to renew
    [told] = await store.others(other, TTL_MS)
    assert told.age_ms >= 0
    assert await holds(store, A) == {*WANTED}  # and it did

    async def taken() -> bool:
        return await holds(store, other) == {*WANTED}

    await until(taken, 10)  # not after an hour


async def test_work_under_a_lease_delays_no_renewal_but_puts_off_a_change_of_hands(
    pool: asyncpg.Pool,
) -> None:
    store, other = LeaseStore(pool), Me("y", "b")
    fence = (await store.round(A, WANTED, TTL_MS)).held[LEADER]
    loop = asyncio.get_running_loop()
    async with pool.acquire() as connection, connection.transaction():
        await LeaseStore.check(connection, LEADER, A, fence)
        began = loop.time()
        for _ in range(3):
            assert await holds(store, A) == {*WANTED}
            assert not await holds(store, other)
        assert loop.time() - began < 1.5
        end = loop.time() + TTL_MS / 1000 + 0.2
        while loop.time() < end:
            await connection.execute("SELECT 1")
            await asyncio.sleep(0.05)
        part = await holds(store, other)
        assert part
        assert LEADER not in part  # all of A's have run out, and it still commits under this one
    assert LEADER in await holds(store, other)
    async with pool.acquire() as connection, connection.transaction():
        with pytest.raises(LeaseLostError):
            await LeaseStore.check(connection, LEADER, A, fence)


async def test_a_brain_that_stops_in_the_middle_of_a_round_stops_nobody_else(
    pool: asyncpg.Pool,
) -> None:
    store, stopped, other = LeaseStore(pool), asyncio.Event(), Me("y", "b")
    assert await holds(store, A) == {*WANTED}

    async def half_a_round() -> None:
        async with store._transaction() as tx:
            await tx.execute("SELECT name FROM lease ORDER BY name FOR UPDATE")
            stopped.set()
            await asyncio.sleep(4)  # as by SIGSTOP: nothing comes from it
            await tx.execute("SELECT 1")

    half = asyncio.create_task(half_a_round())
    await stopped.wait()

    async def taken() -> bool:
        return await holds(store, other) == {*WANTED}

    await until(taken, 3.5)
    [ended] = await asyncio.gather(half, return_exceptions=True)
    assert isinstance(ended, StoreError), ended
