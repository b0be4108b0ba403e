"""Rounds of the trainer of early warning and of the sending: whose fault stops whom, what waits."""

from __future__ import annotations

import json
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from group_cloud.application.warning import trainer as trainer_module
from group_cloud.application.warning.ports import Family, Held, Learnt, Task, Window
from group_cloud.application.warning.sending import WarningSending
from group_cloud.application.warning.trainer import DAY_MS, WarningTrainer
from group_cloud.learning.warning_training import learn
from shared.alarm.warning_schema import WINDOW_MS
from shared.clock import ManualClock

TAGS = ("A", "B", "C")
TODAY = 20_000
NOW = TODAY * DAY_MS + 10 * 3_600_000
WELL, ILL = (Family("o", plant, TAGS, ("f1",)) for plant in ("well", "ill"))


def window(day: int, n: int, label: int = 0, revision: int = 1) -> Window:
    vector = np.full(4 * len(TAGS), 0.01 * n, "<f4").tobytes()
    fault = "x" if label == 1 else ""
    return Window(day * DAY_MS + n * WINDOW_MS, "f1", label, fault, vector, revision)


class World:
    """Stands in for the tables and the learning process; it learns with the real learner."""

    def __init__(self, *found: Window) -> None:
        self.table = {each.at: each for each in found}
        self.came = dict.fromkeys(self.table, 0)
        self.learnt: set[int] = set()
        self.held: Held | None = None
        self.tasks: list[Task] = []
        self.meanwhile: list[Window] = []
        self.clock = ManualClock(NOW)
        nothing: Any = self
        self.trainer = WarningTrainer(nothing, nothing, nothing, self.clock, nothing)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield None

    def take(self, *found: Window) -> None:
        for each in found:
            self.table[each.at], self.came[each.at] = each, self.clock.now_ms()
            self.learnt.discard(each.at)

    async def families(self) -> list[Family]:
        return [ILL, WELL]

    async def first_new(self, family: Family, until: int) -> int | None:
        if family is ILL:
            raise OSError("this family cannot be read")
        return min((at for at in self.table if at <= until and at not in self.learnt), default=None)

    async def windows(self, _: Family, after: int, until: int, most: int) -> list[Window]:
        return [self.table[at] for at in sorted(self.table) if after < at <= until][-most:]

    async def learner(self, _: Family) -> Held | None:
        return self.held

    async def keep_learner(self, _: Any, __: Family, held: Held, at: int) -> None:
        self.held = held

    async def mark_learnt(
        self, _: Any, __: Family, windows: Sequence[Window], too_old: int | None
    ) -> None:
        self.learnt |= {w.at for w in windows if self.table[w.at].revision == w.revision}
        if too_old is not None:
            self.learnt |= {at for at in self.table if at < windows[0].at
                            and self.came[at] < too_old}  # fmt: skip

    async def learn(self, task: Task) -> Learnt:
        self.tasks.append(task)
        self.clock.advance(1000)
        self.take(*self.meanwhile)
        self.meanwhile = []
        return learn(task)

    async def rest(self) -> None:
        return

    async def prune(self, _: int) -> None:
        return


async def test_a_family_that_cannot_be_learnt_stops_no_other() -> None:
    world = World(window(TODAY - 1, 3))
    assert not await world.trainer.round()
    assert world.held is not None


@pytest.mark.parametrize(
    "state", [b"", b"torn", zlib.compress(json.dumps({}).encode())], ids=["whole", "torn", "empty"]
)
async def test_a_learner_that_cannot_be_read_begins_anew(state: bytes) -> None:
    world = World(window(TODAY - 2, 3))
    await world.trainer.train(WELL)
    assert world.held is not None
    world.held = replace(world.held, state=state or world.held.state)
    world.take(window(TODAY - 1, 5))
    assert await world.trainer.train(WELL)
    assert world.held.figures["windows"] == 2
    assert len(world.tasks[-1].windows) == (1 if not state else 2)


async def test_windows_of_today_wait_so_that_no_day_is_learnt_in_parts() -> None:
    world = World(window(TODAY - 1, 3), window(TODAY, 1))
    assert await world.trainer.train(WELL)
    for n in (2, 3):
        world.take(window(TODAY, n))
        assert not await world.trainer.train(WELL)
    assert [len(task.windows) for task in world.tasks] == [1]
    world.clock.advance(DAY_MS)
    assert await world.trainer.train(WELL)
    assert [len(task.windows) for task in world.tasks] == [1, 3]
    assert world.tasks[-1].state  # it went on


async def test_what_comes_while_it_learns_is_learnt_next(monkeypatch: pytest.MonkeyPatch) -> None:
    # The oldest window is first heard of, then the newest are enough and older ones were there.
    world = World(window(TODAY - 1, 3))
    world.meanwhile = [window(TODAY - 2, 3)]
    await world.trainer.train(WELL)
    assert await world.first_new(WELL, NOW) == window(TODAY - 2, 3).at
    await world.trainer.train(WELL)
    assert await world.first_new(WELL, NOW) is None
    monkeypatch.setattr(trainer_module, "MOST_WINDOWS", 2)
    world.take(window(TODAY - 4, 3))
    world.clock.advance(1)
    world.meanwhile = [window(TODAY - 3, 3)]
    await world.trainer.train(WELL)
    assert world.learnt >= {window(TODAY - 4, 3).at}
    assert await world.first_new(WELL, NOW) == window(TODAY - 3, 3).at


async def test_an_answer_that_comes_while_bags_are_written_is_not_forgotten() -> None:
    """Its bag is emptied in the next turn."""
    written: list[str] = []

    class Down:
        async def unheard(self, site: str | None = None) -> list[Any]:
            return []

        async def ensure_bucket(self, _: str) -> None:
            if not written:
                sending._heard.add("f1")

        async def bucket_put(self, bucket: str, _: str, __: bytes) -> None:
            written.append(bucket)

    down: Any = Down()
    sending = WarningSending(down, down, down, ManualClock(NOW), down)
    sending._heard.add("f1")
    await sending.send()
    await sending.send()
    await sending.send()
    assert len(written) == 2
