"""Taking playbooks of the group back: what was refused stays so, and the right version returns."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from factory_brain.application.playbooks.from_group.ports import Settled
from shared.errors import Rejected
from shared.postgres.pool import connect_pool
from tests.support.group_playbook_world import FactoryShelf, back, factory_shelf, push, text
from tests.support.servers import PostgresForTests


@pytest.fixture(scope="module")
def url(postgres: PostgresForTests, brain_template: str) -> Iterator[str]:
    name = f"t_{secrets.token_hex(4)}"
    yield asyncio.run(postgres.copy(brain_template, name))
    asyncio.run(asyncio.wait_for(postgres.drop(name, owner=False), 20))


@pytest.fixture
async def pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    made = await connect_pool(url, size=3)
    yield made
    await made.close()


@pytest.fixture
async def place(pool: asyncpg.Pool) -> FactoryShelf:
    return await factory_shelf(pool)


async def test_what_was_refused_and_taken_back_never_comes_alive_again(
    place: FactoryShelf,
) -> None:
    drafts = place.ground.drafts
    found = await place.settle(push())
    rejected = await drafts.reject(found.draft, "lin", "not like this", lambda _: None)
    assert not isinstance(rejected, Rejected), rejected
    assert place.said[-1].code == "refused_by_person"
    reopened = await drafts.reopen(found.draft, "wu", "", lambda _: None)
    assert not isinstance(reopened, Rejected), reopened
    done = await place.settle(back(2, "push-1"))
    assert isinstance(done, Settled)
    assert done.status == "applied"
    assert [(r.push, r.status) for r in place.said[-2:]] == [
        ("push-1", "rolled_back"), ("push-2", "applied"),
    ]  # fmt: skip
    draft = await drafts.store.get(found.draft)
    assert draft is not None
    assert draft.status == "discarded"
    await drafts.submit(found.draft, "wu", "", lambda _: None)
    late = await place.approve(found.draft)
    assert isinstance(late, Rejected)
    assert place.live == 1


async def test_a_refusal_that_nobody_has_reopened_is_taken_back_too(place: FactoryShelf) -> None:
    found = await place.settle(push())
    await place.ground.drafts.reject(found.draft, "lin", "no", lambda _: None)
    await place.settle(back(2, "push-1"))
    await place.ground.drafts.reopen(found.draft, "wu", "", lambda _: None)
    await place.ground.drafts.submit(found.draft, "wu", "", lambda _: None)
    late = await place.approve(found.draft)
    assert isinstance(late, Rejected)
    assert place.live == 1


async def test_taking_back_restores_what_ran_right_before_it(place: FactoryShelf) -> None:
    found = await place.settle(push(version=4))
    # While it waits for its review the factory releases a version of its own.
    await place.release(text(2, more="  - {id: ours, log: ours}\n"))
    made = await place.approve(found.draft)
    assert not isinstance(made, Rejected), made
    assert place.live == 4
    await place.settle(back(2, "push-1"))
    release = await place.ground.shelf.store.newest("held")
    assert release is not None
    assert (release.version, release.restores) == (5, 2)
    assert "id: ours" in release.text
