"""The receiving end on a real PostgreSQL: exactly once, in order, whatever arrives."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

import factory_brain
from factory_brain.adapters.postgres.pools import open_common, open_rest
from shared.clock import ManualClock
from shared.messages.bodies import GapRecord, SystemEvent
from shared.messages.codec import encode
from shared.messages.control import Hello
from shared.messages.envelope import Event, Frame
from shared.outbox.receiving import Batch
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"


def event(number: int, code: str = "x") -> msgspec.Raw:
    body = SystemEvent(code=code, active=True, params={"n": number})
    return msgspec.Raw(encode(Event(id=f"id-{number}", type="system", time=number, body=body)))


def frame(first: int, *events: msgspec.Raw, epoch: str = "a", lane: str = "live") -> Frame:
    return Frame(source="f1.e1", epoch=epoch, lane=lane, first=first, events=list(events))


class Sink:
    """Stores what it is given in the same transaction; can fail on demand."""

    def __init__(self) -> None:
        self.fail = False
        self.cannot: set[int] = set()

    async def apply(self, connection: asyncpg.Connection, batch: Batch) -> None:
        for item in batch.events:
            code = "a" + "\x00" * (item.seq in self.cannot)  # what PostgreSQL cannot hold
            await connection.fetchval("SELECT $1::text", code)
            await connection.execute(
                "INSERT INTO seen VALUES ($1, $2, $3)", batch.epoch, item.seq, item.event.id
            )
        if self.fail:
            raise ConnectionError("the brain dies here")


@pytest.fixture
async def receiving(brain_url: str) -> AsyncIterator[tuple[FrameReceiver, Sink, asyncpg.Pool]]:
    await migrate(brain_url, MIGRATIONS)
    pool = await connect_pool(brain_url)
    await pool.execute("CREATE TABLE seen (epoch text, seq bigint, id text)")
    sink = Sink()
    yield FrameReceiver(pool, ManualClock(), sink.apply), sink, pool
    await pool.close()


async def stored(pool: asyncpg.Pool) -> list[int]:
    return [r["seq"] for r in await pool.fetch("SELECT seq FROM seen ORDER BY ctid")]


async def test_each_event_once_and_in_order(receiving) -> None:
    receiver, _, pool = receiving
    one, two = frame(1, event(1), event(2)), frame(3, event(3))
    assert (await receiver.receive(one)).watermark == 2
    assert (await receiver.receive(one)).applied == 0  # a resend
    assert (await receiver.receive(frame(5, event(5)))).waits  # a hole
    assert (await receiver.receive(two)).watermark == 3
    # A resend cut at other boundaries overlaps what is known and brings what is new.
    assert (await receiver.receive(frame(2, event(2), event(3), event(4)))).watermark == 4
    assert await stored(pool) == [1, 2, 3, 4]
    assert (await receiver.watermarks("f1.e1"))[0] == {"a/live": 4}


async def test_a_fault_in_apply_leaves_neither_rows_nor_watermark(receiving) -> None:
    receiver, sink, pool = receiving
    sink.fail = True
    with pytest.raises(ConnectionError):
        await receiver.receive(frame(1, event(1)))
    sink.fail = False
    assert await stored(pool) == []
    assert (await receiver.receive(frame(1, event(1)))).applied == 1
    assert await stored(pool) == [1]


@pytest.mark.parametrize("within_a_statement", [False, True])
async def test_a_frozen_receiver_keeps_a_lane_from_the_others_for_a_while_only(
    receiving, brain_url: str, within_a_statement: bool
) -> None:
    """A brain stopped in its transaction; its successor's wait is bounded by the database."""
    receiver, _, pool = receiving
    await receiver.receive(frame(1, event(1)))
    theirs = await connect_pool(brain_url, transaction_s=0.5)
    async with theirs.acquire() as frozen:
        await frozen.execute("BEGIN")
        await frozen.execute("SELECT 1 FROM watermark FOR UPDATE")
        if within_a_statement:  # the server waits for its next message, and does not call it idle
            await frozen.prepare("SELECT 2")
            state = await pool.fetchval(
                "SELECT state FROM pg_stat_activity WHERE pid = $1", frozen.get_server_pid()
            )
            assert state == "active"
        async with asyncio.timeout(10):
            assert (await receiver.receive(frame(2, event(2)))).applied == 1
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError)):  # it goes on too late
            await frozen.execute("COMMIT")
    await theirs.close()


async def test_every_pool_of_a_brain_bounds_its_transactions(brain_url: str) -> None:
    pools = await open_rest(await open_common(brain_url, "brain"), brain_url, "brain")
    for _, pool in pools.each():
        assert await pool.fetchval("SHOW transaction_timeout") != "0"
        assert await pool.fetchval("SHOW idle_in_transaction_session_timeout") != "0"
        await pool.close()


async def test_same_position_with_other_content_is_quarantined(receiving) -> None:
    receiver, _, pool = receiving
    await receiver.receive(frame(1, event(1)))
    receipt = await receiver.receive(frame(1, event(1, code="forged")))
    assert (receipt.applied, receipt.quarantined) == (0, 1)
    row = await pool.fetchrow("SELECT reason, seq FROM quarantined")
    assert (row["reason"], row["seq"]) == ("position_conflict", 1)
    assert (await receiver.watermarks("f1.e1"))[1] == {"a/live": 1}


async def test_an_unreadable_event_is_set_aside_and_the_rest_goes_on(receiving) -> None:
    receiver, _, pool = receiving
    bad = msgspec.Raw(encode({"id": 7}))
    receipt = await receiver.receive(frame(1, event(1), bad, event(3)))
    assert (receipt.watermark, receipt.applied, receipt.quarantined) == (3, 2, 1)
    assert await stored(pool) == [1, 3]


async def test_a_gap_record_closes_the_hole_it_explains(receiving) -> None:
    receiver, _, pool = receiving
    await receiver.receive(frame(1, event(1)))
    body = GapRecord(lane="live", first=2, last=6, reason="count")
    gap = msgspec.Raw(encode(Event(id="g", type="gap", time=1, body=body)))
    assert (await receiver.receive(frame(6, gap, event(7)))).watermark == 7
    row = await pool.fetchrow("SELECT first, last, reason FROM gap")
    assert tuple(row) == (2, 6, "count")


async def test_an_event_that_cannot_be_stored_stops_nobody(receiving) -> None:
    receiver, sink, pool = receiving
    sink.cannot = {2}
    receipt = await receiver.receive(frame(1, event(1), event(2), event(3)))
    assert (receipt.watermark, receipt.applied, receipt.quarantined) == (3, 2, 1)
    assert await stored(pool) == [1, 3]
    row = await pool.fetchrow("SELECT seq, reason, data FROM quarantined")
    assert row["seq"] == 2
    assert row["reason"].startswith("cannot be stored")
    assert row["data"] == bytes(event(2))
    assert (await receiver.receive(frame(4, event(4)))).watermark == 4


async def test_a_gap_that_swallowed_an_earlier_gap_record_tells_of_both(receiving) -> None:
    receiver, _, pool = receiving
    await receiver.receive(frame(1, event(1)))
    # 2..6 became a gap record at 6, which with 7..9 became another one: its own range begins at 6.
    body = GapRecord(lane="live", first=6, last=9, reason="count")
    gap = msgspec.Raw(encode(Event(id="g", type="gap", time=1, body=body)))
    assert (await receiver.receive(frame(9, gap, event(10)))).watermark == 10
    assert [tuple(r) for r in await pool.fetch("SELECT first, last FROM gap")] == [(2, 9)]


async def test_what_the_sender_was_told_is_committed_is_not_waited_for(receiving) -> None:
    receiver, _, pool = receiving
    await receiver.hello(Hello(source="f1.e1", epoch="a", boot="b1", at=1))
    await receiver.receive(frame(1, event(1)))  # then an older backup of this database comes back
    ahead = msgspec.structs.replace(frame(43, event(43)), oldest=41)
    assert (await receiver.receive(ahead)).waits  # 41 and 42 are still to come
    late = msgspec.structs.replace(frame(41, event(41), event(42)), oldest=41)
    assert (await receiver.receive(late)).watermark == 42
    assert (await receiver.receive(ahead)).watermark == 43
    rows = await pool.fetch("SELECT first, last, reason FROM gap")
    assert [tuple(row) for row in rows] == [(2, 40, "receiver_lost_state")]


async def test_a_restored_receiver_records_what_it_forgot(receiving) -> None:
    receiver, _, pool = receiving
    assert (await receiver.receive(frame(41, event(41)))).watermark == 41
    row = await pool.fetchrow("SELECT first, last, reason FROM gap")
    assert tuple(row) == (1, 40, "receiver_lost_state")


async def test_a_registered_epoch_waits_for_its_beginning(receiving) -> None:
    receiver, _, _ = receiving
    welcome = await receiver.hello(Hello(source="f1.e1", epoch="a", boot="b1", at=1))
    assert welcome.accepted
    assert (await receiver.receive(frame(2, event(2)))).waits
    assert (await receiver.receive(frame(1, event(1)))).watermark == 1


async def test_an_epoch_belongs_to_one_boot(receiving) -> None:
    receiver, _, _ = receiving
    first = Hello(source="f1.e1", epoch="a", boot="b1", at=1)
    assert (await receiver.hello(first)).accepted
    assert (await receiver.hello(first)).accepted  # asked again after a lost answer
    other = await receiver.hello(Hello(source="f1.e1", epoch="a", boot="b2", at=1))
    assert (other.accepted, other.code) == (False, "epoch_reused")


async def test_hello_returns_the_watermarks_of_older_epochs(receiving) -> None:
    receiver, _, _ = receiving
    await receiver.receive(frame(1, event(1), epoch="old"))
    welcome = await receiver.hello(
        Hello(source="f1.e1", epoch="new", boot="b", at=1, held={"old": ["live"]})
    )
    assert welcome.watermarks == {"old/live": 1}


async def test_two_that_claim_one_position_are_found_out_within_one_transaction(receiving) -> None:
    receiver, _, pool = receiving
    frames = [frame(1, event(1)), frame(1, event(1, "other")), frame(2, event(2))]
    receipts = await receiver.receive_many(frames)
    assert [(each.applied, each.quarantined) for each in receipts] == [(1, 0), (0, 1), (1, 0)]
    assert await stored(pool) == [1, 2]
    [row] = await pool.fetch("SELECT seq, reason FROM quarantined")
    assert tuple(row) == (1, "position_conflict")


async def test_no_word_of_a_gap_stops_its_lane(receiving) -> None:
    receiver, _, pool = receiving
    body = GapRecord(lane="live", first=-5, last=(1 << 63) + 1, reason="full\x00disk")
    told = msgspec.Raw(encode(Event(id="g", type="gap", time=1, body=body)))
    assert (await receiver.receive(frame(1, told))).watermark == 1
    far = Frame(source="f1.e1", epoch="b", lane="live", first=1, events=[event(1)], oldest=900)
    assert (await receiver.receive(far)).applied == 1  # says that it holds only what comes later
    gaps = await pool.fetch("SELECT first, last, reason FROM gap")
    assert [tuple(gap) for gap in gaps] == [(0, 1 << 62, "full\\0disk")]
