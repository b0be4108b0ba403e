"""The wire form of messages, and the receiver's verdict on a frame."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import ContractError
from shared.messages.bodies import AlarmTransition, Fact, GapRecord, SystemEvent
from shared.messages.codec import decode, encode
from shared.messages.control import CommandRequest, Health
from shared.messages.envelope import Event, Frame, digest
from shared.outbox.watermark import judge

EVENT = Event(id="1", type="fact", time=1, body=Fact(
    id="f", alarm="A", occurrence="o", version_seen=1, action="acknowledge", actor="li",
    place="edge", hlc="1.0",
))  # fmt: skip


def raw(number: int) -> msgspec.Raw:
    return msgspec.Raw(encode(number))


def frame(first: int, count: int) -> Frame:
    events = [raw(n) for n in range(first, first + count)]
    return Frame(source="f1.e1", epoch="e", lane="live", first=first, events=events)


def test_an_event_keeps_its_kind_and_content() -> None:
    assert decode(encode(EVENT), Event) == EVENT
    gap = Event(
        id="2", type="gap", time=1, body=GapRecord(lane="live", first=1, last=2, reason="c")
    )
    assert isinstance(decode(encode(gap), Event).body, GapRecord)


def test_a_frame_keeps_each_event_byte_for_byte() -> None:
    original = [encode(EVENT), encode(EVENT)]
    sent = Frame(
        source="f1.e1", epoch="ab", lane="live", first=7, events=[msgspec.Raw(e) for e in original]
    )
    got = decode(encode(sent), Frame)
    assert [bytes(event) for event in got.events] == original
    assert (got.last, got.message_id) == (8, "f1.e1:ab:live:7-8")
    assert digest(got.events[0]) == digest(original[0])
    assert digest(b"a") != digest(b"b")


def test_an_unknown_field_of_a_newer_version_is_ignored() -> None:
    newer = msgspec.msgpack.encode({"t": "system", "code": "x", "active": True, "later": 1})
    assert decode(newer, SystemEvent) == SystemEvent(code="x", active=True)


@pytest.mark.parametrize(
    "data", [b"", b"\xc1", b"\x01", encode({"id": 1}), encode(EVENT)[:-1], encode(EVENT) + b"\x00"]
)
def test_what_is_not_the_agreed_form_is_one_clear_fault(data: bytes) -> None:
    with pytest.raises(ContractError, match="not a valid Event"):
        decode(data, Event)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for kind in (Event, Frame, Health, CommandRequest, AlarmTransition):
        try:
            decode(data, kind)
        except ContractError:
            continue


def test_a_hole_makes_the_frame_wait_and_changes_nothing() -> None:
    verdict = judge(frame(5, 3), 3)
    assert verdict.waits
    assert (verdict.fresh, verdict.repeated, verdict.watermark) == ([], [], 3)


def test_a_frame_that_overlaps_is_split_at_the_watermark() -> None:
    verdict = judge(frame(2, 4), 3)
    assert [seq for seq, _ in verdict.repeated] == [2, 3]
    assert [seq for seq, _ in verdict.fresh] == [4, 5]
    assert verdict.watermark == 5


def test_a_gap_record_closes_exactly_its_own_hole() -> None:
    verdict = judge(frame(6, 2), 2, gap_through=6)
    assert not verdict.waits
    assert [seq for seq, _ in verdict.fresh] == [6, 7]
    assert judge(frame(8, 2), 2, gap_through=6).waits  # somebody else's gap


@given(st.integers(1, 60), st.data())
def test_any_delivery_order_stores_every_event_once_and_in_order(
    total: int, data: st.DataObject
) -> None:
    frames, first = [], 1
    while first <= total:
        count = data.draw(st.integers(1, 7))
        frames.append(frame(first, min(count, total - first + 1)))
        first = frames[-1].last + 1
    # Other cuts of the same events: what a sender makes after a restart.
    frames += [frame(n, min(5, total - n + 1)) for n in range(1, total + 1, 4)]
    queue = data.draw(st.permutations(frames + frames))
    watermark, stored = 0, []
    while queue:
        later = []
        for one in queue:
            verdict = judge(one, watermark)
            watermark = verdict.watermark
            stored += verdict.fresh
            if verdict.waits:
                later.append(one)
        assert len(later) < len(queue), "no progress"
        queue = later
    assert [seq for seq, _ in stored] == list(range(1, total + 1))
    assert all(decode(bytes(event), int) == seq for seq, event in stored)
