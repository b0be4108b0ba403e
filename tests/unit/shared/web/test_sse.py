"""Server-sent events: one encoding for all, bounded queues, a resync for whoever fell behind."""

from __future__ import annotations

import asyncio

import pytest

from shared.web import sse
from shared.web.sse import QUEUE, RESYNC, Broadcaster, encode_event


async def next_frame(stream) -> bytes:
    return await asyncio.wait_for(anext(stream), 5)


def test_an_event_is_framed_as_the_standard_says() -> None:
    assert encode_event("delta", b'{"a":1}', "e-1") == b'id: e-1\nevent: delta\ndata: {"a":1}\n\n'
    assert encode_event("heartbeat", b"{}") == b"event: heartbeat\ndata: {}\n\n"


async def test_a_new_viewer_is_told_to_fetch_a_snapshot_then_gets_deltas() -> None:
    broadcaster = Broadcaster(lambda: 5)
    stream = broadcaster.stream(last_event_id=None, attends=False)
    assert await next_frame(stream) == RESYNC
    broadcaster.send("delta", b"1", "e-1")
    assert await next_frame(stream) == encode_event("delta", b"1", "e-1")
    await stream.aclose()
    assert broadcaster.viewers == 0


async def test_who_comes_back_gets_only_what_was_missed() -> None:
    broadcaster = Broadcaster(lambda: 5)
    for i in range(1, 4):
        broadcaster.send("delta", b"%d" % i, f"e-{i}")
    stream = broadcaster.stream(last_event_id="e-1", attends=False)
    frames = [await next_frame(stream), await next_frame(stream)]
    assert frames == [encode_event("delta", b"%d" % i, f"e-{i}") for i in (2, 3)]
    broadcaster.send("delta", b"4", "e-4")
    assert await next_frame(stream) == encode_event("delta", b"4", "e-4")
    await stream.aclose()


@pytest.mark.parametrize("seen", ["other-1", "e-999", "e-0"])
async def test_who_knows_another_epoch_or_too_old_a_place_is_resynchronised(seen: str) -> None:
    broadcaster = Broadcaster(lambda: 5)
    for i in range(sse.HISTORY + 2):
        broadcaster.send("delta", b"x", f"e-{i}")
    stream = broadcaster.stream(last_event_id=seen, attends=False)
    assert await next_frame(stream) == RESYNC
    await stream.aclose()


async def test_who_does_not_keep_up_loses_its_queue_not_our_memory() -> None:
    broadcaster = Broadcaster(lambda: 5)
    slow = broadcaster.stream(last_event_id=None, attends=False)
    await next_frame(slow)
    for i in range(QUEUE + 3):
        broadcaster.send("delta", b"%d" % i)
    assert broadcaster.overflows == 1
    assert await next_frame(slow) == RESYNC
    assert await next_frame(slow) == encode_event("delta", b"%d" % (QUEUE + 1))
    await slow.aclose()


async def test_silence_is_broken_by_a_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_S", 0.01)
    stream = Broadcaster(lambda: 77).stream(last_event_id=None, attends=False)
    await next_frame(stream)
    assert await next_frame(stream) == b'event: heartbeat\ndata: {"at":77}\n\n'
    await stream.aclose()


async def test_a_place_is_attended_only_while_someone_who_may_acknowledge_watches() -> None:
    broadcaster = Broadcaster(lambda: 0)
    watcher = broadcaster.stream(last_event_id=None, attends=False)
    await next_frame(watcher)
    assert not broadcaster.attended
    operator = broadcaster.stream(last_event_id=None, attends=True)
    await next_frame(operator)
    assert broadcaster.attended
    await operator.aclose()
    assert not broadcaster.attended
    await watcher.aclose()
