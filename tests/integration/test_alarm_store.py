"""The brain's store on a real PostgreSQL: whole frames equal one by one, and bounds hold."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import factory_brain
from factory_brain.adapters.postgres.alarm_store import CODES_OF_A_SOURCE, AlarmStore
from factory_brain.domain.arrivals import Arrived
from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"


@pytest.fixture
async def store(brain_url: str) -> AsyncIterator[AlarmStore]:
    await migrate(brain_url, MIGRATIONS)
    pool = await connect_pool(brain_url)
    yield AlarmStore(pool)
    await pool.close()


def arrived(occurrence: str, version: int, kind: str, at: int, number: int) -> Arrived:
    active = kind in ("raised", "re_alarmed")
    body = AlarmTransition(
        alarm=f"A-{occurrence[0]}", occurrence=occurrence, version=version, annunciated_version=1,
        kind=kind, annunciate=kind == "raised", settings_version=1, priority=2, asset="X", tag="T",
        state=AlarmState(raw=active, active=active, acked=False).to_dict(), source_time=at,
        receive_time=at, raised_at=1000,
    )  # fmt: skip
    return Arrived("e1", f"id-{number}", at, at + 5, False, body)


def storm(seed: int) -> list[Arrived]:
    """Transitions of a few occurrences, shuffled and partly repeated, as two lanes bring them."""
    chance = random.Random(seed)
    life = ("raised", "acknowledged", "returned", "re_alarmed", "returned")
    made = [
        arrived(f"{letter}{number}", version, kind, 1000 + 10 * version + number, 5 * number)
        for letter in "abc"
        for number in range(4)
        for version, kind in enumerate(life, start=1)
    ]  # fmt: skip
    chance.shuffle(made)
    return made + chance.choices(made, k=10)


async def rows(store: AlarmStore) -> list[tuple[Any, ...]]:
    found = await store.pool.fetch(
        "SELECT occurrence, order_key, raised_at, returned_at, received_at, late, open, "
        "transition->>'version' AS version FROM occurrence ORDER BY occurrence"
    )
    return [tuple(row) for row in found]


@pytest.mark.parametrize("seed", range(3))
async def test_a_whole_frame_equals_one_by_one(store: AlarmStore, seed: int) -> None:
    events = storm(seed)
    async with store.transaction() as tx:
        for event in events:
            await store.apply_transitions(tx, [event])
            await store.refresh(tx, [event.body.occurrence])
    singly = await rows(store)
    await store.pool.execute("TRUNCATE occurrence")
    for at in range(0, len(events), 17):
        part = events[at : at + 17]
        async with store.transaction() as tx:
            await store.apply_transitions(tx, part)
            await store.refresh(tx, sorted({event.body.occurrence for event in part}))
    assert await rows(store) == singly
    assert len(singly) == 12


async def test_the_shown_count_is_of_the_day_and_bounded(store: AlarmStore) -> None:
    async with store.transaction() as tx:
        many = [arrived(f"a{n}", 1, "raised", 1000 + n, n) for n in range(30)]
        await store.apply_transitions(tx, many)
        merged = await store.refresh(tx, [each.body.occurrence for each in many])
    assert [each.occurrence for each in merged] == [f"a{n}" for n in range(30)]
    assert max(each.count for each in merged) == 30
    newest = await store.newest("A-a")
    assert newest is not None
    assert newest.count == 30


async def test_invented_codes_fill_no_table(store: AlarmStore) -> None:
    async with store.transaction() as tx:
        for number in range(CODES_OF_A_SOURCE + 50):
            await store.set_system(tx, "f1.e1", f"made-up-{number}", True, {"n": number}, number)
        await store.set_system(tx, "f1.e2", "journal_degraded", True, {}, 1)
    known = await store.system()
    assert len([row for row in known if row["source"] == "f1.e1"]) == CODES_OF_A_SOURCE
    assert [row["code"] for row in known if row["source"] == "f1.e2"] == ["journal_degraded"]
    async with store.transaction() as tx:  # what is known already can still end
        await store.set_system(tx, "f1.e1", "made-up-0", False, {}, 9)
    assert len(await store.system()) == CODES_OF_A_SOURCE
