"""Annunciation, lanes, sampler, windows and the store's recovery."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.application.journal import Journal
from edge_node.application.records import (
    AlarmRecord,
    Change,
    CommandEntry,
    Emit,
    PutAlarm,
    PutCommand,
    PutMark,
    PutMeta,
    event,
)
from edge_node.application.uplink import Lanes
from edge_node.domain.annunciation import Annunciation
from edge_node.domain.source_time import SourceTime
from edge_node.domain.windows import Late, Sliding
from shared.alarm.states import AlarmState
from shared.clock import ManualClock
from shared.errors import StoreError, UnstorableError
from shared.messages.bodies import AlarmTransition, GapRecord, SystemEvent
from shared.messages.control import LeaseGrant, Token
from shared.messages.envelope import Event
from shared.messages.subjects import LIVE, REPLAY
from shared.outbox.port import Caps
from tests.support.edge_script import START


def test_a_lease_hands_the_horn_up_and_its_loss_hands_it_down() -> None:
    horn = Annunciation()
    assert horn.annunciating(0)
    assert horn.grant(LeaseGrant(id="1", holder="a", ttl_ms=5000), 0).accepted
    assert not horn.annunciating(4999)
    assert horn.grant(LeaseGrant(id="2", holder="b", ttl_ms=5000), 100).code == "held_by_another"
    assert horn.annunciating(5000)
    assert horn.reason(5000) == "lease_lapsed"
    assert horn.grant(LeaseGrant(id="3", holder="b", ttl_ms=5000), 6000).accepted
    assert horn.grant(LeaseGrant(id="4", holder="b", ttl_ms=1, released=True), 6001).accepted
    assert horn.annunciating(6001)
    assert not horn.grant(LeaseGrant(id="5", holder="b", ttl_ms=3_600_000), 7000).accepted


def test_a_grant_that_was_long_under_way_makes_no_silence() -> None:
    horn = Annunciation(boot="b")

    def grant(mono: int, now: int, boot: str = "b") -> str:
        token = Token(boot=boot, mono=mono)
        ack = horn.grant(LeaseGrant(id="1", holder="a", ttl_ms=5000, token=token), now)
        return ack.code or "accepted"

    # The factory sounds until 5000 after it asked, that is later than 5000 after what it had heard.
    assert grant(1000, 4000) == "accepted"
    assert not horn.annunciating(5999)
    assert horn.annunciating(6000)
    assert grant(1000, 6000) == "too_late"
    assert horn.annunciating(6000)
    assert grant(6500, 7000, boot="before") == "other_boot"
    assert grant(99_000, 7000) == "accepted"  # a clock ahead of our own gives no longer lease
    assert grant(3000, 7500) == "accepted"  # nor does an older grant shorten a newer one
    assert not horn.annunciating(11_999)
    assert horn.annunciating(12_000)


class _Drainer:
    link_up = True
    since: float | None = None

    def stuck_since(self, lane: str) -> float | None:
        assert lane == LIVE
        return self.since


def _raised(priority: int) -> Event:
    body = AlarmTransition(
        alarm="a", occurrence="o", version=1, annunciated_version=1, kind="raised", annunciate=True,
        state={}, settings_version=1, priority=priority, asset="a", tag="t",
    )  # fmt: skip
    return Event(id="id", type="alarm.raised", time=0, body=body)


def test_events_go_live_only_while_the_factory_confirms() -> None:
    clock, drainer = ManualClock(), _Drainer()
    lanes = Lanes(clock)
    assert lanes() == REPLAY
    lanes.drainer = drainer  # type: ignore[assignment]
    assert lanes() == LIVE
    drainer.since = 0.0
    assert lanes(_raised(3)) == LIVE
    clock.advance(1500)
    assert lanes(_raised(3)) == REPLAY  # accepted by the broker, confirmed by nobody
    drainer.since = 1.4
    assert lanes(_raised(3)) == LIVE  # the first confirmation is enough
    clock.advance(100)
    assert [lanes(_raised(3)) for _ in range(600)] == [LIVE] * 600
    clock.advance(100)
    assert lanes(_raised(3)) == REPLAY  # a storm shows it sooner
    drainer.since, drainer.link_up = None, False
    assert lanes(_raised(3)) == REPLAY


def test_a_few_of_the_highest_priorities_are_told_before_the_backlog() -> None:
    lanes = Lanes(ManualClock())
    assert [lanes(_raised(1)) for _ in range(201)] == [LIVE] * 200 + [REPLAY]
    assert lanes(_raised(2)) == LIVE
    assert (lanes(_raised(3)), lanes()) == (REPLAY, REPLAY)
    lanes.drainer = _Drainer()  # type: ignore[assignment]
    assert lanes(_raised(1)) == LIVE  # and the count begins anew
    lanes.drainer = None
    assert lanes(_raised(1)) == LIVE


def test_windows() -> None:
    window = Sliding(6000, Late())
    for at, value in ((0, 4.0), (4000, 8.0), (9000, 3.0)):
        window.add(at, value)
    figures = {
        name: window.figure(name, 9000)
        for name in ("avg", "min", "max", "count", "lag", "changed", "rate")
    }
    assert figures == {
        "avg": 5.5, "min": 3.0, "max": 8.0, "count": 2.0, "lag": 4.0, "changed": True,
        "rate": pytest.approx(-1 / 9),
    }  # fmt: skip
    assert window.figure("avg", 60_000) == 3.0  # an unchanged value still holds
    assert Sliding(1000, Late()).figure("avg", 0) is None


def test_a_device_clock_that_steps_is_followed_within_20_s() -> None:
    clock = SourceTime()
    clock.observe(1000, 1050)
    assert clock.steady(1000, 1050) == 1000
    clock.observe(3_601_100, 1100)  # an hour ahead from now on
    assert clock.steady(3_601_100, 1100) == 1100
    for now in (12_000, 23_000, 34_000):
        clock.observe(now, now)  # and back
    assert clock.steady(34_000, 34_000) == 34_000


def open_store(path: Path, epoch: str, caps: Caps | None = None) -> SqliteStore:
    def gap(record: GapRecord) -> Event:
        return event("gap", "outbox.gap", 0, record)

    return SqliteStore(path / "edge.db", epoch, lambda _: LIVE, gap, caps)


def record(occurrence: str, **state: object) -> AlarmRecord:
    return AlarmRecord(
        alarm="A", state=AlarmState(**state).to_dict(), occurrence=occurrence,  # type: ignore[arg-type]
        version=1, annunciated_version=1,
    )  # fmt: skip


def emit(name: str) -> Emit:
    return Emit(event(name, "system.x", 1, SystemEvent(code="x", active=True)))


async def test_everything_is_recovered(tmp_path: Path) -> None:
    store = open_store(tmp_path, "e1")
    intent = CommandEntry(id="c", device="d", operation="o", args={"x": 1}, origin="reflex", at=1)
    store.commit([[PutAlarm(record("o1")), emit("1"), PutCommand(intent)]], 1)
    store.commit([[PutAlarm(record("o2", active=True, raw=True, acked=False)), emit("2")]], 2)
    store.commit([[PutMark("b", "e", "live", 7), PutMeta("counter", b"\5")]], 3)
    store.close()
    again = open_store(tmp_path, "e2")
    found = again.load()
    assert found.alarms["A"].occurrence == "o2"
    assert list(found.closed) == ["o1"]
    assert found.commands["c"].outcome == ""
    assert found.marks == {("b", "e", "live"): 7}
    assert found.meta == {"counter": b"\5"}
    assert again.run(lambda box: box.pending()) == [("e1", "live", 1, 2)]
    again.close()


async def test_a_change_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    store = open_store(tmp_path, "e1")
    fault = "CREATE TRIGGER t BEFORE INSERT ON command BEGIN SELECT RAISE(ABORT, 'x'); END"
    store._db.execute(fault)
    intent = CommandEntry(id="c", device="d", operation="o", args={}, origin="reflex", at=1)
    with pytest.raises(StoreError):
        store.commit([[PutAlarm(record("o1")), emit("1"), PutCommand(intent)]], 1)
    assert store.load().alarms == {}
    assert store.run(lambda box: box.pending()) == []
    store.close()


async def test_what_a_cap_drops_becomes_a_gap_record(tmp_path: Path) -> None:
    store = open_store(tmp_path, "e1", Caps(max_events=5))
    for number in range(8):
        store.commit([[emit(str(number))]], number)
    status = store.run(lambda box: box.status())
    counts = status.lanes[LIVE]
    assert counts.produced == 8
    assert counts.dropped > 0
    assert counts.produced == counts.delivered + counts.buffered + counts.dropped
    store.close()


def test_a_fault_of_any_kind_in_a_commit_leaves_nothing_of_it_behind(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "edge.db", "ep", lambda _: LIVE, lambda gap: _told(gap))
    good = Emit(_told(SystemEvent(code="a", active=True)))
    far = Emit(_told(SystemEvent(code="b", active=True), at=1 << 70))  # more than SQLite can hold
    with pytest.raises(UnstorableError):
        store.commit([[good], [far]], START)
    store.commit([[good]], START)
    segment = store.run(lambda box: box.read("ep", LIVE, 1))
    assert segment is not None
    assert (segment.first, len(segment.events)) == (1, 1)
    store.close()


async def test_a_change_that_cannot_be_written_is_said_like_a_failing_disk() -> None:
    class Store:
        def commit(self, changes: list[Change], now: int) -> None:
            raise OverflowError("an integer that is too large")

        def set_aside(self, change: Change, reason: str, now: int) -> None:
            raise AssertionError

        def run(self, call: object) -> None:
            raise AssertionError

        def close(self) -> None:
            return None

    journal = Journal(Store(), ManualClock())
    said: list[tuple[bool, str]] = []
    journal.on_health = lambda degraded, reason: said.append((degraded, reason))
    done = journal.write([Emit(_told(SystemEvent(code="a", active=True)))])
    with pytest.raises(OverflowError):
        await journal.flush()
    assert [degraded for degraded, _ in said] == [True]
    assert "too large" in said[0][1]
    assert not await journal.durable(done, 0.01)
    assert journal.waiting == 1  # kept, in memory at least


def _told(body: SystemEvent | GapRecord, at: int = START) -> Event:
    return event("id", "system", at, body)
