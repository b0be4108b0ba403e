"""Pushes of the group that fail, come in the wrong order, or meet what people here have decided."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from factory_brain.application.playbooks.authoring.checking import check
from factory_brain.application.playbooks.from_group.desk import GroupPlaybooks
from factory_brain.application.playbooks.from_group.turns import in_turn
from shared.errors import Rejected
from shared.messages.codec import encode
from shared.messages.playbook_push import PlaybookPush, PushBag, SignedPush
from shared.postgres.pool import connect_pool
from tests.support.group_playbook_world import (
    FactoryShelf,
    back,
    factory_shelf,
    push,
    signed,
    text,
    tuned,
)
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


class Bag:
    """What lies in the factory's bucket."""

    def __init__(self, *pushes: PlaybookPush) -> None:
        self.data = encode(PushBag(pushes=[signed(each) for each in pushes]))

    async def bucket_get(self, bucket: str, key: str, domain: str) -> bytes:
        return self.data


async def read(place: FactoryShelf, *pushes: PlaybookPush) -> list[tuple[str, str, str]]:
    """(push, status, code) of all that is said of a bag."""
    before = len(place.said)
    await GroupPlaybooks(place.ground, Bag(*pushes)).read()  # type: ignore[arg-type]
    return [(r.push, r.status, r.code) for r in place.said[before:]]


def turns(*pushes: PlaybookPush) -> list[int]:
    made = {signed(each).payload: each.counter for each in pushes}
    return [made[each.payload] for each in in_turn([signed(each) for each in pushes])]


def test_rollbacks_go_first_but_not_before_what_they_take_back() -> None:
    assert turns(push(counter=3), tuned(4), back(5, "long-ago")) == [5, 3, 4]
    assert turns(tuned(2), push(counter=3), tuned(4), back(5, "push-3")) == [2, 3, 5, 4]
    assert turns(back(9, "push-8"), back(7, "x"), push(counter=8)) == [7, 8, 9]
    # What pretends to take back something later takes nothing along.
    assert turns(back(2, "push-5"), push(counter=3), push(counter=5)) == [2, 3, 5]
    nothing = SignedPush(payload=b"\xc1", signature=b"")
    assert in_turn([nothing, signed(push())])[-1] is nothing


@pytest.mark.parametrize("where", ["reason", "approved_by"])
async def test_a_push_that_cannot_be_stored_stands_in_nobodys_way(
    pool: asyncpg.Pool, where: str
) -> None:
    place = await factory_shelf(pool, "accept")
    await place.settle(push())
    bad = push(counter=2, version=4, **{where: "NUL\0 inside"})
    said = await read(place, bad, tuned(3, output=40), back(4, "push-1"))
    assert said[:2] == [("push-1", "rolled_back", ""), ("push-4", "applied", "")]
    assert said[2:] == [("push-2", "refused", "push_failed"), ("push-3", "applied", "")]
    assert place.inputs["output"] == 40
    # Under its number, once and for all.
    assert await read(place, bad, tuned(5, output=41)) == [("push-5", "applied", "")]
    logged = await place.audited("group_playbook_refused")
    assert logged[-1]["push"] == "push-2"


@pytest.mark.parametrize("head", [{"counter": 2**63}, {"counter": 9, "id": "a\0b"}])
async def test_nor_does_one_whose_very_head_cannot_be(
    pool: asyncpg.Pool, head: dict[str, Any]
) -> None:
    place = await factory_shelf(pool, "accept")
    said = await read(place, push(**head), tuned(2, output=40))
    assert ("push-2", "applied", "") in said
    assert ("", "refused", "push_failed") in said
    assert await read(place, tuned(3, output=41)) == [("push-3", "applied", "")]


async def test_a_database_that_is_away_refuses_nothing(
    pool: asyncpg.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = await factory_shelf(pool, "accept")

    async def away(*_: Any) -> Any:
        raise asyncpg.ConnectionDoesNotExistError("connection was closed")

    with monkeypatch.context() as cut:
        cut.setattr(place.ground.rows, "taken_back", away)
        with pytest.raises(asyncpg.PostgresConnectionError):
            await read(place, tuned(1, output=40))
    assert place.said == []
    assert await read(place, tuned(1, output=40)) == [("push-1", "applied", "")]


async def test_what_was_taken_back_before_it_came_does_not_come_alive(pool: asyncpg.Pool) -> None:
    """Somebody who can write the bucket, but sign nothing, holds a push back."""
    place = await factory_shelf(pool, "accept")
    assert await read(place, back(5, "push-3")) == [
        ("push-5", "refused", "nothing_to_take_back")
    ]  # fmt: skip
    assert await read(place, push(counter=3)) == [("push-3", "rolled_back", "")]
    assert place.live == 1
    # Numbers of rollbacks apart, an old one is still an old one.
    await place.settle(tuned(7, output=40))
    await place.refuses(tuned(6, output=30), "counter_replayed")
    await place.refuses(back(4, "push-7"), "counter_replayed")


async def test_what_is_taken_back_to_must_be_signed_by_this_site(pool: asyncpg.Pool) -> None:
    place = await factory_shelf(pool)
    store = place.ground.shelf.store
    real = await store.get("held", 1)
    assert real is not None
    forged = text(2, more="  - {id: sly, log: sly}\n")
    async with store.transaction() as tx:  # whoever can write the database has no key
        await store.add(tx, replace(real, version=2, text=forged, digest="0" * 16))
    found = await place.settle(push(counter=1, version=3, text=text(3)))
    assert not isinstance(await place.approve(found.draft), Rejected)
    assert place.live == 3
    params = await place.refuses(back(2, "push-1"), "release_signature_invalid")
    assert params == {"playbook": "held", "version": 2}
    newest = await store.newest("held")
    assert newest is not None
    assert newest.version == 3  # our key vouches for nothing that nobody here has reviewed


async def test_a_release_of_a_withdrawn_playbook_is_not_in_force_until_it_is_put_back(
    pool: asyncpg.Pool,
) -> None:
    place = await factory_shelf(pool)
    shelf = place.ground.shelf
    found = await place.settle(push())
    assert await shelf.withdraw("held", "lin", "burner is out", True) is None
    assert not isinstance(await place.approve(found.draft), Rejected)
    told = place.said[-1]
    assert (told.status, told.code, told.version) == ("waiting", "playbook_withdrawn_here", None)
    assert place.live is None
    values = await place.settle(tuned(2, output=40))
    assert (values.status, values.code) == ("refused", "playbook_withdrawn_here")
    assert isinstance(await place.desk.decide("push-1", False, "lin", "no"), Rejected)
    assert await shelf.withdraw("held", "lin", "burner is back", False) is None
    told = place.said[-1]
    assert (told.push, told.status, told.code, told.version) == ("push-1", "applied", "", 2)
    assert place.live == 2


async def test_and_taken_back_before_that_it_never_is(pool: asyncpg.Pool) -> None:
    place = await factory_shelf(pool)
    shelf = place.ground.shelf
    found = await place.settle(push())
    await shelf.withdraw("held", "lin", "burner is out", True)
    await place.approve(found.draft)
    assert (await place.settle(back(2, "push-1"))).status == "applied"
    await shelf.withdraw("held", "lin", "burner is back", False)
    newest = await shelf.store.newest("held")
    assert newest is not None
    assert (newest.version, newest.restores, place.live) == (3, 1, 3)
    assert [r.push for r in place.said[-2:]] == ["push-1", "push-2"]  # nothing was applied since


async def test_put_back_onto_a_later_release_it_is_superseded(pool: asyncpg.Pool) -> None:
    place = await factory_shelf(pool)
    shelf = place.ground.shelf
    found = await place.settle(push())
    await shelf.withdraw("held", "lin", "burner is out", True)
    await place.approve(found.draft)
    async with shelf.store.transaction() as tx:
        await shelf.release(tx, await check(shelf.releases, text(3)), "lin", "wu", "")
    await shelf.withdraw("held", "lin", "burner is back", False)
    assert (place.said[-1].status, place.said[-1].code) == ("refused", "superseded")
    assert place.live == 3
