"""The live list's deltas: in a flood the worst goes first and waits for no tick of the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from dataclasses import replace

import msgspec
import pytest

from factory_brain.application import live_view as module
from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import MAX_ROWS, LiveView
from factory_brain.domain.rows import Occurrence
from shared.alarm.states import AlarmState
from shared.clock import ManualClock
from shared.messages.bodies import AlarmTransition
from shared.web.sse import Broadcaster

ACTIVE = AlarmState(active=True, acked=False).to_dict()


def raised(alarm: str, priority: int) -> Occurrence:
    body = AlarmTransition(
        alarm=alarm, occurrence=f"o-{alarm}", version=1, annunciated_version=1, kind="raised",
        annunciate=True, state=ACTIVE, settings_version=1, priority=priority, asset="a", tag="t",
    )  # fmt: skip
    return Occurrence(body.occurrence, alarm, "e1", body, "1", 1, None, 1, False)


@contextmanager
def sending(view: LiveView) -> Iterator[None]:
    task = asyncio.create_task(view.broadcast_for_ever())
    try:
        yield
    finally:
        task.cancel()


def rows_of(frame: bytes) -> list[tuple[str, int]]:
    data = next(line for line in frame.decode().splitlines() if line.startswith("data: "))
    return [(row["alarm"], row["priority"]) for row in json.loads(data[6:]).get("rows", [])]


def world() -> tuple[LiveView, Broadcaster]:
    clock = ManualClock()
    broadcaster = Broadcaster(clock.now_ms)
    return LiveView({}, clock, broadcaster, FleetView("f1", [], clock)), broadcaster


async def test_of_a_flood_the_worst_are_sent_first_and_all_are_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TICK_S", 0.02)
    monkeypatch.setattr(module, "TICK_CRITICAL_S", 0.01)
    view, broadcaster = world()
    frames = broadcaster.stream(last_event_id="none", attends=False)
    async with asyncio.timeout(20), aclosing(frames):  # type: ignore[type-var]
        await anext(frames)  # the resync: the viewer is there
        for number in range(2 * MAX_ROWS):
            await view.on_occurrence(raised(f"a{number}", 3), True)
        await view.on_occurrence(raised("worst", 1), True)
        with sending(view):
            first = rows_of(await anext(frames))
            assert (first[0], len(first)) == (("worst", 1), MAX_ROWS)
            seen = {alarm for alarm, _ in first}
            while len(seen) < 2 * MAX_ROWS + 1:
                rows = rows_of(await anext(frames))
                assert 0 < len(rows) <= MAX_ROWS
                assert not seen & {alarm for alarm, _ in rows}
                seen |= {alarm for alarm, _ in rows}


async def test_a_priority_1_waits_for_no_tick_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TICK_S", 3600.0)
    view, broadcaster = world()
    frames = broadcaster.stream(last_event_id="none", attends=False)
    async with asyncio.timeout(20), aclosing(frames):  # type: ignore[type-var]
        await anext(frames)
        with sending(view):
            await view.on_occurrence(raised("plain", 3), True)
            assert rows_of(await anext(frames)) == [("plain", 3)]
            await view.on_occurrence(raised("worst", 1), True)
            assert rows_of(await anext(frames)) == [("worst", 1)]


async def test_what_was_overtaken_is_neither_kept_nor_brought_back() -> None:
    view, _ = world()
    old = raised("a", 3)
    over = msgspec.structs.replace(
        old.transition, occurrence="o-2", version=2,
        state=AlarmState(active=False, acked=True).to_dict(),
    )  # fmt: skip
    newer = replace(old, occurrence="o-2", transition=over, raised_at=old.raised_at + 5)
    await view.on_occurrence(old, True)
    assert view.occurrence("a") == old
    await view.on_occurrence(newer, True)  # raised and over before it was told
    assert view.occurrence("a") is None
    await view.on_occurrence(old, False)  # somebody has judged it since
    assert view.occurrence("a") is None
