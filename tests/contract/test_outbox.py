"""One suite for every outbox: SQLite at the edge, PostgreSQL in the brain."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import SQLModel

from shared.messages.bodies import GapRecord
from shared.messages.codec import encode
from shared.messages.envelope import Event
from shared.outbox.port import MAX_FRAME_EVENTS, Outbox
from shared.outbox.sqlite_outbox import SqliteOutbox
from shared.postgres import tables
from shared.postgres.migrate import async_url
from shared.postgres.outbox import PgOutbox
from shared.postgres.pool import connect_pool


class Subject(Protocol):
    """An outbox under test with a way to append in a transaction."""

    outbox: Outbox

    async def append(self, lane: str, at: int, event: bytes, *, abort: bool = False) -> None: ...

    def at_epoch(self, epoch: str) -> Subject: ...


class SqliteSubject:
    def __init__(self, path: Path, epoch: str = "e1") -> None:
        self._path = path
        self.db = sqlite3.connect(path)
        self.outbox = SqliteOutbox(self.db, epoch)

    async def append(self, lane: str, at: int, event: bytes, *, abort: bool = False) -> None:
        self.outbox.append(lane, at, event)
        self.db.rollback() if abort else self.db.commit()

    def at_epoch(self, epoch: str) -> SqliteSubject:
        self.db.close()
        return SqliteSubject(self._path, epoch)


class PgSubject:
    def __init__(self, pool, epoch: str = "e1") -> None:
        self._pool = pool
        self.outbox = PgOutbox(pool, epoch)

    async def append(self, lane: str, at: int, event: bytes, *, abort: bool = False) -> None:
        async with self._pool.acquire() as connection:
            transaction = connection.transaction()
            await transaction.start()
            await self.outbox.append(connection, lane, at, event)
            await (transaction.rollback() if abort else transaction.commit())

    def at_epoch(self, epoch: str) -> PgSubject:
        return PgSubject(self._pool, epoch)


@pytest.fixture
def sqlite_subject(tmp_path: Path) -> Iterator[SqliteSubject]:
    made = SqliteSubject(tmp_path / "outbox.db")
    yield made
    made.db.close()


@pytest.fixture
async def pg_subject(database_url: str) -> AsyncIterator[PgSubject]:
    engine = create_async_engine(async_url(database_url))
    async with engine.begin() as connection:
        await connection.run_sync(
            SQLModel.metadata.create_all,
            tables=[tables.OutboxRow.__table__, tables.OutboxLane.__table__],
        )
    await engine.dispose()
    pool = await connect_pool(database_url)
    yield PgSubject(pool)
    await pool.close()


@pytest.fixture(params=["sqlite_subject", "pg_subject"])
def subject(request: pytest.FixtureRequest) -> Subject:
    return request.getfixturevalue(request.param)


async def counts(outbox: Outbox, lane: str) -> tuple[int, int, int]:
    c = (await outbox.status()).lanes[lane]
    assert c.produced == c.delivered + c.buffered + c.dropped + c.quarantined
    return c.produced, c.delivered, c.buffered


async def test_sequence_is_contiguous_over_aborted_transactions(subject) -> None:
    await subject.append("live", 1, b"\x01")
    await subject.append("live", 2, b"\x02", abort=True)
    await subject.append("live", 3, b"\x03")
    segment = await subject.outbox.read("e1", "live", 1)
    assert [bytes(e) for e in segment.events] == [b"\x01", b"\x03"]
    assert (segment.first, segment.last) == (1, 2)
    assert await counts(subject.outbox, "live") == (2, 0, 2)


async def test_deletes_only_what_is_committed_and_counts_it_once(subject) -> None:
    for i in range(10):
        await subject.append("live", i, bytes([i]))
    for _ in range(3):  # a repeated report changes nothing
        await subject.outbox.committed("e1", "live", 4)
    assert await counts(subject.outbox, "live") == (10, 4, 6)
    assert (await subject.outbox.read("e1", "live", 1)).first == 5
    await subject.outbox.committed("e1", "live", 2)  # an old report cannot bring rows back
    assert await counts(subject.outbox, "live") == (10, 4, 6)


async def test_lanes_and_epochs_are_apart_and_the_oldest_epoch_comes_first(subject) -> None:
    await subject.append("live", 5, b"a")
    await subject.append("history", 6, b"b")
    later = subject.at_epoch("e0")  # sorts before e1 by name, but is younger
    await later.append("live", 9, b"c")
    pending = await later.outbox.pending()
    assert [p[0] for p in pending][:2] == ["e1", "e1"]
    assert pending[-1] == ("e0", "live", 1, 1)
    if isinstance(later, SqliteSubject):
        later.db.close()


async def test_a_frame_is_bounded(subject) -> None:
    for i in range(MAX_FRAME_EVENTS + 5):
        await subject.append("live", i, b"x")
    segment = await subject.outbox.read("e1", "live", 1)
    assert len(segment.events) == MAX_FRAME_EVENTS
    assert (await subject.outbox.read("e1", "live", segment.last + 1)).last == 505


async def test_quarantined_events_move_from_delivered(subject) -> None:
    for i in range(4):
        await subject.append("live", i, b"x")
    await subject.outbox.committed("e1", "live", 4, 1)
    c = (await subject.outbox.status()).lanes["live"]
    assert (c.produced, c.delivered, c.quarantined, c.buffered) == (4, 3, 1, 0)


async def test_a_cap_turns_the_oldest_into_one_gap_record(tmp_path) -> None:
    subject = SqliteSubject(tmp_path / "o.db")
    for i in range(10):
        await subject.append("live", i, b"x" * 10)

    def gap(lane: str, first: int, last: int, reason: str) -> bytes:
        body = GapRecord(lane=lane, first=first, last=last, reason=reason)
        return encode(Event(id="g", type="gap", time=9, body=body))

    with subject.db:
        assert subject.outbox.drop_oldest("count", 9, gap, 6) == 5
    segment = await subject.outbox.read("e1", "live", 1)
    assert segment.first == 6  # the gap record stands at the last dropped position
    c = (await subject.outbox.status()).lanes["live"]
    assert (c.produced, c.dropped, c.buffered) == (10, 5, 5)
    assert c.produced == c.delivered + c.buffered + c.dropped + c.quarantined
    subject.db.close()
