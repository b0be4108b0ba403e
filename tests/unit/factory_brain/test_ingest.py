"""After the commit: everybody hears of it once, whatever is consumed beside it and whatever fails.

The receiver is a stand-in that yields between its steps, as a database does.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from factory_brain.application.ingest import Ingest
from factory_brain.application.telling import MAX_TELLS, Tell, Telling
from shared.clock import ManualClock
from shared.messages.bodies import SystemEvent
from shared.messages.envelope import Event, Frame
from shared.outbox.receiving import Batch, Receipt, Received


class Store:
    """Takes system events."""

    async def set_system(self, *_: Any) -> None:
        await asyncio.sleep(0)

    async def insert_events(self, *_: Any) -> None:
        await asyncio.sleep(0)


class Receiver:
    """Applies a frame as one transaction that ends when the test says so."""

    def __init__(self, ingest: Ingest) -> None:
        self.ingest = ingest
        self.commit: dict[str, asyncio.Event] = {}
        self.committed: list[str] = []

    async def receive(self, frame: Frame) -> Receipt:
        if frame.lane in self.committed:
            return Receipt(1)
        body = SystemEvent(code=frame.lane, active=True)
        events = [Received(1, Event(id="e", type="system", time=0, body=body))]
        if frame.lane != "history":
            batch = Batch(frame.source, frame.epoch, frame.lane, 0, events)
            await self.ingest.apply(None, batch)
        if frame.lane in self.commit:
            await self.commit[frame.lane].wait()
        self.committed.append(frame.lane)
        return Receipt(1, applied=1)

    async def receive_many(self, frames: list[Frame]) -> list[Receipt]:
        return [await self.receive(frame) for frame in frames]


def frame(lane: str) -> Frame:
    return Frame(source="f1.e1", epoch="a", lane=lane, first=1, events=[])


def world() -> tuple[Ingest, Receiver]:
    async def forward(*_: Any) -> None:
        return None

    ingest = Ingest(ManualClock(), Store(), Store(), forward)  # type: ignore[arg-type]
    ingest.receiver = receiver = Receiver(ingest)  # type: ignore[assignment]
    return ingest, receiver


async def test_a_frame_of_samples_beside_it_takes_nothing_from_an_alarm() -> None:
    ingest, receiver = world()
    told: list[list[str]] = []

    async def on_system() -> None:
        told.append(list(receiver.committed))

    ingest.on_system.append(on_system)
    receiver.commit["live"] = asyncio.Event()
    alarm = asyncio.create_task(ingest.receive(frame("live")))
    await asyncio.sleep(0)  # it stands before its commit
    for _ in range(5):
        await asyncio.sleep(0)
    await ingest.receive(frame("history"))
    assert told == []  # nobody is told before the commit
    receiver.commit["live"].set()
    await alarm
    assert told == [["history", "live"]]


async def test_who_could_not_be_told_is_told_when_the_frame_comes_again() -> None:
    ingest, _ = world()
    told: list[str] = []

    async def fails_once() -> None:
        if not told:
            told.append("failed")
            raise ConnectionError("the database is away")
        told.append("told")

    async def other() -> None:
        told.append("other")

    ingest.on_system += [fails_once, other]
    with pytest.raises(ConnectionError):
        await ingest.receive(frame("live"))  # committed, yet not acknowledged
    await ingest.receive(frame("live"))  # a repetition brings nothing new by itself
    assert told == ["failed", "told", "other"]
    assert ingest.telling.untold == 0


async def test_a_commit_whose_answer_was_lost_is_told_when_the_frame_proves_known() -> None:
    ingest, receiver = world()
    told: list[str] = []

    async def on_system() -> None:
        told.append("told")

    class CutAtTheCommit:
        """The database commits, or not, and the connection is gone."""

        def __init__(self, *, commits: bool) -> None:
            self.commits = commits

        async def receive_many(self, frames: list[Frame]) -> list[Receipt]:
            await receiver.receive_many(frames)
            if not self.commits:
                receiver.committed.clear()
            raise ConnectionError("cut")

    ingest.on_system.append(on_system)
    for commits in (True, False):
        told.clear()
        receiver.committed.clear()
        ingest.receiver = CutAtTheCommit(commits=commits)  # type: ignore[assignment]
        with pytest.raises(ConnectionError):
            await ingest.receive(frame("live"))
        assert told == []
        ingest.receiver = receiver  # type: ignore[assignment]
        await ingest.receive(frame("live"))
        await ingest.receive(frame("live"))
        assert told == ["told"], commits  # once, whichever it was


async def test_a_lasting_fault_of_one_listener_does_not_stop_the_stream() -> None:
    ingest, _ = world()
    told: list[str] = []

    async def fails() -> None:
        raise ConnectionError("for ever")

    async def other() -> None:
        told.append("other")

    ingest.on_system += [fails, other]
    for _ in range(MAX_TELLS):
        with pytest.raises(ConnectionError):
            await ingest.receive(frame("live"))
    await ingest.receive(frame("live"))
    assert told == ["other"]
    assert ingest.telling.untold == 1


async def test_a_live_alarm_waits_for_no_backlogs_listeners() -> None:
    telling, told, slow = Telling(), [], asyncio.Event()

    def say(name: str) -> Tell:
        async def call() -> None:
            if name == "old":
                await slow.wait()
            told.append(name)

        return Tell(call, "o-" + name.partition(" ")[0])

    backlog = asyncio.create_task(telling.tell("replay", [say("old"), say("next")]))
    await asyncio.sleep(0)
    await telling.tell("live", [say("new")])
    assert told == ["new"]
    same = asyncio.create_task(telling.tell("live", [say("old newer")]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert told == ["new"]  # nobody hears the older news of one occurrence last
    slow.set()
    await asyncio.gather(backlog, same)
    assert told == ["new", "old", "next", "old newer"]
