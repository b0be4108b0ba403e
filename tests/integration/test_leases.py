"""Leases in a real database: twins, a clock that steps back, work under a lease, a hung brain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

import factory_brain
from factory_brain.adapters.postgres.lease_store import LeaseLostError, LeaseStore
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.application.brains import Me
from factory_brain.domain.shares import LEADER, SOURCE
from shared.clock import SystemClock
from shared.errors import StoreError
from shared.lives import own_life
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from tests.support.brain_world import until

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
TTL_MS = 800
WANTED = (LEADER, f"{SOURCE}e1", f"{SOURCE}e2")
A, TWIN = Me("x", "first"), Me("x", "second")


@pytest.fixture
async def pool(brain_url: str) -> AsyncIterator[asyncpg.Pool]:
    await migrate(brain_url, MIGRATIONS)
    made = await connect_pool(brain_url)
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


def living(boot: str, pid: int = 0, start: int | None = None, space: str = "") -> Me:
    """A brain in a process of this machine; by default in this one, which lives."""
    words = own_life().split()
    words[1] = space or words[1]
    words[3] = str(pid or words[3])
    words[4] = words[4] if start is None else str(start)
    return Me("x", boot, life=" ".join(words))


NOBODY = 4_194_399
"""Above the greatest number that a process can have."""


@pytest.mark.skipif(not own_life(), reason="no /proc of Linux here")
async def test_check_14_a_killed_brains_leases_are_taken_at_once_with_a_higher_fence(
    pool: asyncpg.Pool,
) -> None:
    store, now = LeaseStore(pool), living("now")
    for dead in (living("gone", NOBODY), living("used-again", start=1)):
        fences = (await store.round(dead, WANTED, 60_000)).held
        taken = await store.round(now, WANTED, 60_000)
        assert taken.dead == [dead.holder]
        assert taken.held == {name: fence + 1 for name, fence in fences.items()}
        assert not taken.others
        async with pool.acquire() as connection, connection.transaction():
            with pytest.raises(LeaseLostError):  # what it still commits by its fence is refused
                await LeaseStore.check(connection, LEADER, dead, fences[LEADER])
        await store.leave(now)


@pytest.mark.skipif(not own_life(), reason="no /proc of Linux here")
async def test_check_14_who_may_live_keeps_its_leases(pool: asyncpg.Pool) -> None:
    store, now = LeaseStore(pool), living("now")
    unknown, elsewhere = Me("x", "unknown"), living("elsewhere", NOBODY, space="1")
    for alive in (living("twin"), elsewhere, unknown):
        assert await holds(store, alive) == {*WANTED}
        found = await store.round(now, WANTED, TTL_MS)
        assert not found.dead, alive
        assert not found.held, alive
        await store.leave(alive)
        await store.leave(now)
    # Of the same process by its words, at another address: a clone of the machine.
    cloned = living("clone", NOBODY)
    assert await holds(store, cloned) == {*WANTED}
    await pool.execute("UPDATE brain SET address = '192.0.2.7'")
    assert not (await store.round(now, WANTED, TTL_MS)).dead


@pytest.mark.skipif(not own_life(), reason="no /proc of Linux here")
async def test_who_is_connected_is_not_dead_whatever_is_said_of_its_process(
    pool: asyncpg.Pool, brain_url: str
) -> None:
    # Clones of a running machine behind one address: the same boot, and each its own processes.
    store, now, clone = LeaseStore(pool), living("now"), living("clone", NOBODY)
    its = await connect_pool(brain_url, name=clone.holder)
    try:
        assert set((await store.round(clone, WANTED, 60_000)).held) == {*WANTED}
        found = await store.round(now, WANTED, 60_000)
        assert not found.dead
        assert not found.held
    finally:
        await its.close()

    async def buried() -> bool:
        return clone.holder in (await store.round(now, WANTED, 60_000)).dead

    await until(buried, 10)
    assert set((await store.round(now, WANTED, 60_000)).held) == {*WANTED}


@pytest.mark.skipif(not own_life(), reason="no /proc of Linux here")
async def test_a_dead_brains_lease_under_which_something_is_being_committed_is_left_alone(
    pool: asyncpg.Pool,
) -> None:
    store, now, dead = LeaseStore(pool), living("now"), living("gone", NOBODY)
    fence = (await store.round(dead, WANTED, 60_000)).held[LEADER]
    async with pool.acquire() as connection, connection.transaction():
        await LeaseStore.check(connection, LEADER, dead, fence)  # its last words, on their way
        found = await store.round(now, WANTED, 60_000)
        assert {*found.held} == {f"{SOURCE}e1", f"{SOURCE}e2"}
    assert LEADER in (await store.round(now, WANTED, 60_000)).held


async def test_check_14_a_dead_engines_runs_in_hand_are_claimed_at_once(
    pool: asyncpg.Pool,
) -> None:
    clock = SystemClock()
    store, at = PgRunStore(pool, clock), clock.now_ms()
    await store.save_version("d", "p", 1, {}, at)
    for name in ("his", "others"):
        await pool.execute(
            "INSERT INTO run (id, digest, playbook, version, key, context, status, started_at, "
            "deadline_at, wake_at, lease_until, fence, priority, slot) "
            "VALUES ($1, 'd', 'p', 1, $1, '{}', 'running', $2, $3, $2, 0, 0, 3, 0)",
            name, at, at + 60_000,
        )  # fmt: skip
        [run] = await store.claim(name, at, 30_000, 10)
        assert run.fence == 1
    later = at + 1_000
    assert not await store.claim("next", later, 30_000, 10)
    assert await store.free(["his"], later) == 1
    [run] = await store.claim("next", later + 1, 30_000, 10)
    assert (run.id, run.fence) == ("his", 2)
    [outage] = run.control["outages"]
    assert outage["broken"]
    assert outage["ms"] < 1_000  # a second at the most: not since it was due
