"""The journal when content or memory or the disk fails: one bad change stops nobody, what cannot
be held leaves a gap record, and a disk that is full at the start delays only the file."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from pathlib import Path

import pytest

from edge_node.adapters import wal_checkpoints
from edge_node.adapters.late_store import LateStore, open_or_wait
from edge_node.adapters.sqlite_store import MAX_EVENT_BYTES, SqliteStore
from edge_node.application import journal as journal_module
from edge_node.application.journal import Journal
from edge_node.application.records import Change, Emit, PutMeta, event
from shared.clock import ManualClock
from shared.errors import StoreError
from shared.messages.bodies import GapRecord, SystemEvent
from shared.messages.codec import decode
from shared.messages.envelope import Event
from shared.messages.subjects import HISTORY, LIVE
from shared.outbox.port import OutboxStatus

START = 1_700_000_000_000


def told(number: int, at: int = START, text: str = "x") -> Emit:
    return Emit(event(f"id-{number}", "system", at, SystemEvent(code=text, active=True)))


def gap_event(gap: GapRecord) -> Event:
    return event("gap", "outbox.gap", START, gap)


def open_store(path: Path) -> SqliteStore:
    return SqliteStore(path, "ep", lambda _: LIVE, gap_event)


def balanced(status: OutboxStatus) -> bool:
    return all(
        c.produced == c.delivered + c.buffered + c.dropped + c.quarantined
        for c in status.lanes.values()
    )


POISON: dict[str, Change] = {
    "an integer SQLite cannot hold": [told(0, at=1 << 63)],
    "an integer MessagePack cannot hold": [told(0, at=1 << 70)],
    "a text that is no Unicode": [told(0, text="\ud800")],
    "more bytes than a broker takes": [told(0, text="y" * MAX_EVENT_BYTES)],
    "half of it good": [told(7), PutMeta("m", object())],  # type: ignore[arg-type]
}


@pytest.mark.parametrize("why", POISON)
async def test_one_change_that_can_never_be_written_is_set_aside(tmp_path: Path, why: str) -> None:
    store = open_store(tmp_path / "edge.db")
    journal = Journal(store, ManualClock())
    reasons: list[str] = []
    journal.on_refused = reasons.append
    good = [journal.write([told(n)]) for n in range(1, 6)]
    bad = journal.write(POISON[why])
    good += [journal.write([told(n)]) for n in range(6, 10)]
    assert await journal.flush()
    assert [await journal.durable(each, 0.1) for each in good] == [True] * 9
    assert not await journal.durable(bad, 0.1)
    assert (journal.waiting, journal.refused, journal.degraded) == (0, 1, False)
    assert journal.status().refused == len(reasons) == 1
    segment = store.run(lambda box: box.read("ep", LIVE, 1))
    assert segment is not None
    ids = [decode(bytes(raw), Event).id for raw in segment.events]
    assert ids == [f"id-{n}" for n in range(1, 10)]  # all others, in their order
    with sqlite3.connect(tmp_path / "edge.db") as db:
        assert db.execute("SELECT count(*) FROM refused").fetchone() == (1,)
    db.close()
    await journal.close()


async def test_what_memory_cannot_hold_becomes_a_gap_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_WAITING", 20)
    monkeypatch.setattr(journal_module, "SHED_AT_ONCE", 5)
    store = open_store(tmp_path / "edge.db")
    journal = Journal(store, ManualClock())
    journal.write([told(1)])
    assert await journal.flush()
    samples = Emit(told(99).event, HISTORY)
    journal.write([samples], droppable=True)
    for number in range(2, 30):
        journal.write([told(number)])
    assert (journal.lost_samples, journal.lost_events) == (1, 10)
    assert await journal.flush()
    status = store.run(lambda box: box.status())
    assert balanced(status)
    live = status.lanes[LIVE]
    assert (live.produced, live.dropped, live.buffered) == (29, 9, 20)
    head = store.run(lambda box: box.read("ep", LIVE, 2))
    assert head is not None
    record = decode(bytes(head.events[0]), Event).body
    assert isinstance(record, GapRecord)
    assert (head.first, record.first, record.last, record.reason) == (11, 2, 11, "memory")
    ids = [decode(bytes(raw), Event).id for raw in head.events[1:]]
    assert ids == [f"id-{n}" for n in range(12, 30)]
    for through in (1, 11, 29):
        store.run(lambda box, through=through: box.committed("ep", LIVE, through))
        assert balanced(store.run(lambda box: box.status()))
    await journal.close()


async def test_a_disk_that_is_full_at_the_start_delays_only_the_file(tmp_path: Path) -> None:
    first = open_store(tmp_path / "edge.db")
    first.commit([[told(1), PutMeta("known", b"1")]], START)
    first.close()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))  # no file may grow: as on a full disk
    try:
        store, snapshot = open_or_wait(tmp_path / "edge.db", open_store)
        assert isinstance(store, LateStore)
        journal = Journal(store, ManualClock())
        done = journal.write([told(2)])
        assert not await journal.flush()
        assert journal.degraded
        assert not await journal.durable(done, 0.01)
        with pytest.raises(StoreError):
            store.run(lambda box: box.status())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert await journal.flush()
    assert not journal.degraded
    assert await journal.durable(done, 0.1)
    assert store.run(lambda box: box.status()).lanes[LIVE].buffered == 2
    await journal.close()
    assert snapshot.meta in ({}, {"known": b"1"})  # {}: where memory is limited like the disk


def test_a_damaged_file_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "edge.db").write_bytes(b"no database " * 1000)
    with pytest.raises(StoreError, match="not a database"):
        open_or_wait(tmp_path / "edge.db", open_store)


async def test_a_reflex_s_intent_goes_before_samples_and_not_before_earlier_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "MAX_PASSED", 3)
    store = open_store(tmp_path / "edge.db")
    groups: list[list[str]] = []
    plain = store.commit

    def commit(changes: list[Change], now: int) -> None:
        groups.append([row.event.id for change in changes for row in change])  # type: ignore[union-attr]
        plain(changes, now)

    monkeypatch.setattr(store, "commit", commit)
    journal = Journal(store, ManualClock())
    samples = [
        journal.write([Emit(told(100 + n).event, HISTORY)], droppable=True) for n in range(5)
    ]
    before = journal.write([told(1)])
    urgent = journal.write([told(2)], urgent=True)
    running = asyncio.create_task(journal.run())
    assert await journal.durable(urgent, 5)
    assert before.done()
    assert not samples[0].done()
    assert groups == [["id-1", "id-2"]]
    assert [await journal.durable(each, 5) for each in samples] == [True] * 5
    assert groups[1:] == [["id-100", "id-101"], ["id-102", "id-103"], ["id-104"]]
    # Reflex after reflex must not keep the samples out for ever.
    last = journal.write([Emit(told(200).event, HISTORY)], droppable=True)
    for number in range(10, 14):
        assert await journal.durable(journal.write([told(number)], urgent=True), 5)
    assert last.done()
    running.cancel()
    segment = store.run(lambda box: box.read("ep", HISTORY, 1))
    assert segment is not None
    ids = [decode(bytes(raw), Event).id for raw in segment.events]
    assert ids == [*(f"id-{100 + n}" for n in range(5)), "id-200"]
    await journal.close()


async def test_samples_that_wait_survive_a_disk_that_refuses_and_a_close(tmp_path: Path) -> None:
    store = open_store(tmp_path / "edge.db")
    journal = Journal(store, ManualClock())
    for number in range(7):
        journal.write([Emit(told(number).event, HISTORY)], droppable=True)
    journal.write([told(50)])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        assert not await journal.flush()
        assert journal.waiting == 8
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await journal.close()
    again = open_store(tmp_path / "edge.db")
    held = again.run(lambda box: box.read("ep", HISTORY, 1))
    assert held is not None
    assert [decode(bytes(raw), Event).id for raw in held.events] == [f"id-{n}" for n in range(7)]
    again.close()


async def test_the_log_is_copied_back_beside_the_writer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal_checkpoints, "EVERY_BYTES", 1 << 20)
    store = open_store(tmp_path / "edge.db")
    journal = Journal(store, ManualClock())
    path = tmp_path / "edge.db"
    empty = path.stat().st_size
    deadline = asyncio.get_running_loop().time() + 20
    written = 0
    # By itself the writer would begin only at FALLBACK_PAGES.
    while path.stat().st_size == empty and asyncio.get_running_loop().time() < deadline:
        assert written < wal_checkpoints.FALLBACK_PAGES // 60
        journal.write([Emit(told(written, text="z" * 200_000).event, HISTORY)], droppable=True)
        assert await journal.flush()
        written += 1
    assert path.stat().st_size > empty
    await journal.close()
    again = open_store(path)
    assert again.run(lambda box: box.status()).lanes[HISTORY].buffered == written
    again.close()
