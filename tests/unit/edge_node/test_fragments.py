"""Playbooks' offline parts at the edge: over kills, wrong clocks, and one device at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.application import fragments
from edge_node.application.actuation import Actuation
from edge_node.application.fragments import OfflinePlaybooks, Surroundings
from edge_node.application.ipc import WriteResult
from edge_node.application.journal import Journal
from edge_node.domain.operations import PlannedWrite
from shared.messages.bodies import FragmentStep, GapRecord
from shared.messages.codec import decode
from shared.messages.control import Fragment, Fragments
from shared.messages.envelope import Event
from shared.messages.subjects import LIVE
from shared.playbook.model import Playbook
from shared.site.model import DeviceSpec
from tests.support.edge_script import START, Script, columns, limit

ALARMS = [limit(f"{tag}.HI", tag, "HI", 100) for tag in ("T", "S")]
VALVE = DeviceSpec.model_validate(
    {"type": "valve", "edge": "e1", "source": "s1",
     "operations": {"set": {"write": "V", "arg": "pct", "min": 0, "max": 100}}}
)  # fmt: skip


def close(name: str, pct: int) -> dict[str, Any]:
    command = {"device": "valve", "op": "set", "args": {"pct": pct}, "expires": "10s"}
    return {"id": name, "command": command}


BOOK = Playbook.model_validate(
    {
        "schema": "playbook/v1", "playbook": "close-valve", "version": 1, "name": "close",
        "devices": {"valve": {"type": "valve", "bind": "alarm.asset", "role": "valve"}},
        "triggers": [{"id": "a", "alarm": "T.HI"}, {"id": "b", "alarm": "S.HI"}],
        "steps": [{"id": "note", "log": "here"}], "deadline": "10m",
        "offline": {"after": "5s",
                    "steps": [close("half", 50), {"id": "stay", "wait": "30s"}, close("shut", 0)]},
    }
)  # fmt: skip


class Place:
    """The offline parts of one edge over one database file; booted again after a kill."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.boots, self.reachable = folder, 0, True
        self.script = Script(["T", "S"], ALARMS)
        self.written: list[Any] = []

    async def boot(self) -> None:
        await self.kill()
        self.boots += 1

        def gap(record: GapRecord) -> Event:
            return Event(id=f"gap-{record.first}", type="outbox.gap", time=START, body=record)

        store = SqliteStore(self.folder / "edge.db", f"e{self.boots}", lambda _: LIVE, gap)
        self.journal = Journal(store, self.script.clock)
        self.writer = asyncio.create_task(self.journal.run())
        s = self.script
        devices = {"X-1/valve": VALVE}
        actuation = Actuation(devices, s.tags, self, s.clock, s.pipeline.steady)
        self.parts = OfflinePlaybooks(
            Surroundings(s.book, s.tags, actuation, devices), self.journal, s.clock,
            s.pipeline.steady, lambda: self.reachable,
        )  # fmt: skip
        self.parts.recover(store.load().meta)

    async def kill(self) -> None:
        if self.boots:
            self.writer.cancel()
            await self.journal.close()

    async def write(self, source: str, order: str, planned: PlannedWrite, ms: int) -> WriteResult:
        self.written.append(planned.value)
        return WriteResult(id=order, outcome="done")

    async def to(self, second: float) -> None:
        """Let time go on by the second, with a look at each."""
        while (self.script.pipeline.steady() - START) / 1000 < second:
            self.script.clock.advance(1000)
            await self.look()

    async def look(self) -> None:
        self.parts._look()
        async with asyncio.timeout(10):
            while self.parts._tasks:
                await asyncio.sleep(0.001)

    async def told(self, path: str) -> list[FragmentStep]:
        """What went up under a path, over all boots."""
        steps: list[FragmentStep] = []
        for boot in range(1, self.boots + 1):
            part = await self.journal.outbox(lambda box, e=f"e{boot}": box.read(e, LIVE, 1))
            bodies = [decode(bytes(raw), Event).body for raw in part.events] if part else []
            steps += [body for body in bodies if isinstance(body, FragmentStep)]
        return [step for step in steps if step.path == path]

    def ends(self) -> list[str]:
        runs = self.parts._runs.values()
        return [run.journal["/outcome"].data["status"] for run in runs if "/outcome" in run.journal]


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    made = Place(tmp_path)
    await made.boot()
    held = Fragment(
        playbook=BOOK.playbook, version=1, document=BOOK.model_dump_json(by_alias=True).encode()
    )
    assert (await made.parts.install(Fragments(version="v1", items=[held]))).outcome == "done"
    yield made
    await made.kill()


async def test_a_kill_in_the_middle_ends_nothing_while_the_brain_stays_away(place: Place) -> None:
    place.script.sample("T", 110)
    place.reachable = False
    await place.to(10)
    assert place.written == [50]
    await place.boot()
    await place.look()
    assert place.ends() == []  # the brain was never there: nothing is handed over to it
    await place.to(60)
    assert (place.written, place.ends()) == ([50, 0], ["success"])
    await place.to(90)
    assert place.written == [50, 0]


async def test_after_a_kill_the_brain_has_a_moment_to_be_there(place: Place) -> None:
    place.script.sample("T", 110)
    place.reachable = False
    await place.to(10)
    await place.boot()
    place.script.clock.advance(60_000)  # the wait is over; is the brain back?
    await place.look()
    await place.to(74)
    assert place.written == [50]
    place.reachable = True
    await place.to(80)
    assert (place.written, place.ends()) == ([50], ["handed_over"])


@pytest.mark.parametrize("hours", [-2, 2])
async def test_no_wrong_clock_begins_a_fragment_early_or_late(place: Place, hours: int) -> None:
    script = place.script
    device = script.clock.now_ms() + hours * 3_600_000
    script.log += script.pipeline.take("s1", columns([(0, device, 110.0, 0)]))
    place.reachable = False
    await place.to(2)
    script.clock.jump(hours * 3_600_000)  # and somebody sets the edge's clock
    await place.to(4)
    assert place.written == []
    await place.to(8)
    assert place.written == [50]
    script.clock.jump(-hours * 3_600_000)
    await place.to(45)
    assert (place.written, place.ends()) == ([50, 0], ["success"])


async def test_two_alarms_of_one_asset_do_not_move_its_device_twice(place: Place) -> None:
    place.script.sample("T", 110)
    place.reachable = False
    await place.to(8)
    place.script.sample("S", 110)
    await place.to(80)
    assert place.written == [50, 0]
    assert place.ends() == ["success"]


async def test_what_still_stands_has_had_its_run_whatever_came_since(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fragments, "KEEP_ENDED", 1)
    place.script.sample("T", 110)
    place.reachable = False
    await place.to(50)
    for number in range(3):
        place.script.sample("S", 110)
        await place.to(100 + 60 * number)
        place.script.sample("S", 50)
    assert place.written == [50, 0] * 4
    assert len(place.parts._runs) <= 3


async def test_handed_over_in_the_middle_it_goes_on_when_the_brain_is_away_again(
    place: Place,
) -> None:
    place.script.sample("T", 110)
    place.reachable = False
    await place.to(10)
    place.reachable = True
    await place.to(12)
    assert (place.written, place.ends()) == ([50], ["handed_over"])
    place.reachable = False
    await place.to(16)
    assert place.written == [50]  # the brain may only have blinked: it has its time again
    await place.boot()  # and a kill in between forgets nothing
    await place.to(60)
    assert (place.written, place.ends()) == ([50, 0], ["success"])
    place.reachable = True
    await place.to(62)
    place.reachable = False
    await place.to(100)
    assert place.written == [50, 0]  # it has had its end
    told = [step.phase + ":" + step.data["status"] for step in await place.told("/offline")]
    ways = list(dict.fromkeys(told))
    assert ways == ["done:handed_over", "intent:resumed", "done:success"]


async def test_handed_over_it_does_not_go_on_once_the_alarm_or_the_deadline_is_over(
    place: Place,
) -> None:
    place.script.sample("T", 110)
    place.reachable = False
    await place.to(10)
    place.reachable = True
    await place.to(12)
    place.script.sample("T", 50)
    place.reachable = False
    await place.to(60)
    assert (place.written, place.ends()) == ([50], ["handed_over"])
    place.script.sample("T", 110)  # a new occurrence has its own
    await place.to(70)
    place.reachable = True
    await place.to(10 + 11 * 60)
    place.reachable = False
    await place.to(90 + 11 * 60)
    assert (place.written, place.ends()) == ([50, 50], ["handed_over", "handed_over"])
