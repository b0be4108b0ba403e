"""A round of early warning at a factory: one plant's fault, drills that are over, lost samples."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from factory_brain.application.warning.judging import SETTLED_MS, Judging
from factory_brain.application.warning.ports import Judged, Model
from factory_brain.application.warning.windows import Ground, WindowSender
from factory_brain.domain.shadow import DAY_MS, HOUR_MS
from factory_brain.domain.warning import DRILLED_MS, Happened, Plant, Record, Span, labelled
from shared.alarm.warning_schema import WINDOW_MS, schema_hash
from shared.clock import ManualClock
from shared.messages.warning import WITHDRAWN, WarningWindows

TAGS = ("A", "B", "C")
LINES = ("ill", "well")
PLANTS = [Plant(schema_hash(TAGS) + line, line, TAGS) for line in LINES]
NOW = 20_000 * DAY_MS + 12 * HOUR_MS
SENT = (0, "")


class World:
    """Stands in for the tables, the alarms and the way up."""

    def __init__(self) -> None:
        self.kept: list[Judged] = []
        self.up: list[WarningWindows] = []
        self.marked: list[str] = []
        self.drilled: list[Span] = []
        self.refreshed = 0
        self.already: dict[int, tuple[int, str]] = {}
        nothing: Any = self
        self.ground = Ground(
            "f1", lambda: PLANTS, lambda: nothing, ManualClock(NOW), nothing, nothing, nothing,
            nothing,
        )  # fmt: skip

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        yield None

    async def fence(self, _: Any) -> None:
        return

    async def refresh(self) -> None:
        self.refreshed += 1

    async def models(self) -> list[Model]:
        return [Model("p", 1, plant.key, b"", NOW + DAY_MS, 1) for plant in PLANTS]

    async def shown(self, _: int) -> list[Any]:
        return []

    async def judged(self, plant: str, _: int) -> list[Judged]:
        if plant.endswith("ill"):
            raise OSError("this plant cannot be read")
        return [each for each in self.kept if each.plant == plant]

    async def keep_judged(self, _: Any, said: Judged) -> bool:
        self.kept.append(said)
        return True

    async def standing(self, _: Any, __: str) -> None:
        return None

    async def forget(self, _: int) -> None:
        return

    async def drills(self, _: Any, __: str, since: int, until: int) -> list[Span]:
        return [(a, b) for a, b in self.drilled if a < until and b > since - DRILLED_MS]

    async def of(self, plant: Plant) -> Any:
        return "no_norm" if not self.already else type("N", (), {"until": 0})()

    async def record(self, _: Any, line: str, __: int, ___: int) -> Record:
        if line == "ill":
            raise OSError("this plant cannot be read")
        return Record(said=(Happened("o", "X", NOW - DAY_MS, NOW - DAY_MS + 1, "nuisance"),))

    async def sent(self, _: str, __: int) -> dict[int, tuple[int, str]]:
        return self.already

    async def sent_today(self, _: str, __: int) -> int:
        return 0

    async def minutes(self, tags: Any, since: int, count: int) -> Any:
        return None

    async def mark_sent(self, _: Any, plant: str, labels: Any, at: int) -> int:
        self.marked.append(plant)
        return 1

    async def say(self, _: Any, kind: str, body: WarningWindows) -> None:
        self.up.append(body)


async def test_a_plant_that_cannot_be_judged_stops_no_other_and_is_told() -> None:
    world: Any = World()
    with pytest.raises(OSError, match="this plant"):
        await Judging(world.ground, world, world).round()
    assert [each.plant for each in world.kept] == [PLANTS[1].key]
    assert world.refreshed == 1


async def test_a_drill_that_is_over_when_its_window_is_judged_still_silences_it() -> None:
    end = (NOW - SETTLED_MS) // WINDOW_MS * WINDOW_MS
    for drill, silent in (
        ((end - WINDOW_MS + 1, end - 1), "drill"),
        ((end - 3 * HOUR_MS, end - WINDOW_MS - DRILLED_MS + 1), "drill"),
        ((end - 5 * HOUR_MS, end - WINDOW_MS - DRILLED_MS - 1), "no_norm"),
        ((end + 1, end + 2), "no_norm"),  # it began after the window
    ):
        world: Any = World()
        world.drilled = [drill]
        with pytest.raises(OSError, match="this plant"):
            await Judging(world.ground, world, world).round()
        assert [each.silent for each in world.kept] == [silent], drill


async def test_a_plant_that_cannot_be_sent_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a window that lost its samples is taken back, if the group has it."""

    async def lost(*_: Any) -> dict[int, bytes]:
        return {}

    monkeypatch.setattr("factory_brain.application.warning.off_loop.vectors", lost)
    world: Any = World()
    record = await world.record(None, "well", 0, 0)
    wanted = labelled(PLANTS[1], "f1", record, NOW - 2 * DAY_MS, NOW - 2 * HOUR_MS)
    first, *_ = sorted(wanted)
    world.already = {first: (1, "a fault that was withdrawn")}
    with pytest.raises(OSError, match="this plant"):
        await WindowSender(world.ground, world).round()
    assert set(world.marked) == {PLANTS[1].key}
    [told] = world.up
    assert (told.times, told.labels, told.faults) == ([first], [WITHDRAWN], [""])
    assert told.vectors == bytes(4 * 4 * len(TAGS))
