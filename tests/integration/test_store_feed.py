"""The journal's feed on a real PostgreSQL: effect and position are one commit, for each consumer.

Events come through the real receiver and `apply`; a kill is an end between effect and commit.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

import factory_brain
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.feed import Feed, FeedEvent, FeedMovedError
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.application.ingest import Ingest
from shared.clock import ManualClock
from shared.messages.bodies import StateChange
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
LANES = [("f1.e1", "a", "live"), ("f1.e1", "a", "replay"), ("f1.e2", "b", "live")]


class World:
    """A brain's store with a clock of its own."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self.pool, self.clock = pool, ManualClock()
        self.wakes = 0

        async def forward(*_: Any) -> None:
            return None

        self.ingest = Ingest(self.clock, AlarmStore(pool), SampleStore(pool), forward)
        self.ingest.receiver = FrameReceiver(pool, self.clock, self.ingest.apply)
        self.ingest.on_commit.append(self._woken)

    def _woken(self) -> None:
        self.wakes += 1

    async def send(self, lane: tuple[str, str, str], *numbers: int, bad: int = 0) -> None:
        """A frame of consecutive events; the one at `bad` cannot be read."""
        events = [
            msgspec.Raw(encode({"id": 7} if number == bad else made(number))) for number in numbers
        ]
        source, epoch, name = lane
        frame = Frame(source=source, epoch=epoch, lane=name, first=numbers[0], events=events)
        await self.ingest.receive(frame)


def made(number: int) -> Event:
    body = StateChange(chart="c", asset="X", before="a", after=f"s{number}")
    return Event(id=f"id-{number}", type="state", time=number, body=body)


@pytest.fixture
async def world(brain_url: str) -> AsyncIterator[World]:
    await migrate(brain_url, MIGRATIONS)
    pool = await connect_pool(brain_url)
    await pool.execute(
        "CREATE TABLE effect (n bigserial, consumer text, source text, epoch text, lane text, "
        "seq bigint)"
    )
    yield World(pool)
    await pool.close()


class Killed(Exception):
    """The consumer's process ends here."""


async def consume(pool: asyncpg.Pool, feed: Feed, chance: random.Random) -> None:
    """To the end, in portions, dying at any place and starting anew."""
    while await feed.behind():
        feed = Feed(pool, feed.consumer, begin="start")
        events = await feed.next(chance.randint(1, 40))
        part = events[: chance.randint(0, len(events))] if chance.random() < 0.3 else events
        try:
            async with pool.acquire() as tx, tx.transaction():
                for event in part:
                    await tx.execute(
                        "INSERT INTO effect (consumer, source, epoch, lane, seq) "
                        "VALUES ($1, $2, $3, $4, $5)",
                        feed.consumer, *event.key, event.seq,
                    )  # fmt: skip
                if chance.random() < 0.3:
                    raise Killed  # between effect and position
                await feed.done(tx, part)
                if chance.random() < 0.3:
                    raise Killed  # between position and commit
        except Killed:
            continue


async def effects(pool: asyncpg.Pool, consumer: str, lane: tuple[str, str, str]) -> list[int]:
    rows = await pool.fetch(
        "SELECT seq FROM effect WHERE consumer = $1 AND source = $2 AND epoch = $3 AND lane = $4 "
        "ORDER BY n",
        consumer, *lane,
    )  # fmt: skip
    return [row["seq"] for row in rows]


@pytest.mark.parametrize("seed", range(2))
async def test_every_event_once_whatever_dies(world: World, seed: int) -> None:
    chance = random.Random(seed)
    at = dict.fromkeys(LANES, 1)
    feeds = [Feed(world.pool, name, begin="start") for name in ("alpha", "beta")]
    for _ in range(4):
        for _ in range(3):
            lane = chance.choice(LANES)
            numbers = range(at[lane], at[lane] + chance.randint(1, 30))
            at[lane] = numbers.stop
            # The clock may be set back by days, and unreadable events are set aside.
            world.clock.jump(chance.choice((1000, 86_400_000, -172_800_000)))
            await world.send(lane, *numbers, bad=chance.choice((0, numbers[-1], numbers[0])))
        await consume(world.pool, feeds[0], chance)
    await consume(world.pool, feeds[1], chance)
    for lane in LANES:
        rows = await world.pool.fetch(
            "SELECT seq FROM event WHERE source = $1 AND epoch = $2 AND lane = $3 ORDER BY seq",
            *lane,
        )
        stored = [row["seq"] for row in rows]
        for feed in feeds:
            assert await effects(world.pool, feed.consumer, lane) == stored
    assert world.wakes > 0
    assert [await feed.behind() for feed in feeds] == [0, 0]


async def test_now_begins_where_the_journal_stands(world: World) -> None:
    await world.send(LANES[0], 1, 2)
    feed = Feed(world.pool, "new", begin="now")
    assert await feed.next() == []
    await world.send(LANES[0], 3)
    await world.send(LANES[2], 1)
    events = await Feed(world.pool, "new", begin="now").next()
    assert {(event.key, event.seq) for event in events} == {(LANES[0], 3), (LANES[2], 1)}
    assert events[0].body == StateChange(chart="c", asset="X", before="a", after="s3")


async def test_two_of_one_name_do_nothing_twice(world: World) -> None:
    await world.send(LANES[0], 1, 2, 3)
    one, two = (Feed(world.pool, "same", begin="start") for _ in range(2))
    mine, others = await one.next(), await two.next()
    assert mine == others

    async def done(feed: Feed, events: list[FeedEvent]) -> None:
        async with world.pool.acquire() as tx, tx.transaction():
            await feed.done(tx, events)

    await done(one, mine)
    with pytest.raises(FeedMovedError):
        await done(two, others)
    assert await two.next() == []


async def test_what_was_set_aside_blocks_nobody(world: World) -> None:
    feed = Feed(world.pool, "c", begin="start")
    await world.send(LANES[0], 1, bad=1)
    assert await feed.behind() == 1
    assert await feed.next() == []
    assert await feed.behind() == 0
    await world.send(LANES[0], 2, 3, bad=2)
    assert [event.seq for event in await feed.next()] == [3]
