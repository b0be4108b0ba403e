"""Who waits for the plant is woken by what changed while nobody looked: after a restart, between
a look and the rest, and never all at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress

from factory_brain.application.playbooks.watching import AT_ONCE, Watching
from shared.clock import ManualClock
from shared.expression import Reading, TagReading


class Plant:
    """The newest values, as the historian has them."""

    def __init__(self) -> None:
        self.values: dict[str, TagReading] = {}

    def set(self, tag: str, value: float, age_s: float = 0.0) -> None:
        """It reads this now."""
        self.values[tag] = Reading(value, True, age_s, "")

    async def stored(self, tags: list[str]) -> dict[str, TagReading]:
        """Those that have one."""
        return {tag: self.values[tag] for tag in tags if tag in self.values}

    async def peaks(self, tags: list[str], since: int) -> dict[str, float]:
        """Nobody asks."""
        raise AssertionError


class Stored:
    """Runs at rest; keeps who was woken, in order."""

    def __init__(self, runs: dict[str, list[str]]) -> None:
        self.runs, self.woken, self.news = runs, list[list[str]](), asyncio.Event()

    async def watched(self) -> dict[str, list[str]]:
        """run -> tags."""
        return self.runs

    async def poke(self, runs: Sequence[str], at: int) -> None:
        """They look."""
        self.woken.append(list(runs))
        self.news.set()

    @property
    def all(self) -> list[str]:
        """Who was woken."""
        return [run for each in self.woken for run in each]


def watching(store: Stored, plant: Plant) -> Watching:
    """With no run in hand."""

    def here(_: Iterable[str]) -> set[str]:
        return set()

    return Watching(store, plant, ManualClock(), here, lambda: None)  # type: ignore[arg-type]


async def woken(found: Watching, store: Stored, count: int) -> list[str]:
    """Let it work until so many were woken."""
    working = asyncio.create_task(found.run())
    try:
        async with asyncio.timeout(10):
            while len(store.all) < count:
                store.news.clear()
                await store.news.wait()
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
    return store.all


async def test_after_a_restart_every_run_looks_the_freshest_change_first() -> None:
    plant = Plant()
    plant.set("old", 1.0, age_s=900)
    plant.set("new", 1.0, age_s=2)
    runs = {f"run-{n}": ["old"] for n in range(AT_ONCE + 5)} | {"fresh": ["old", "new"]}
    store = Stored(runs)
    found = await woken(watching(store, plant), store, len(runs))
    assert found[0] == "fresh"
    assert sorted(found) == sorted(runs)
    assert max(map(len, store.woken)) == AT_ONCE


async def test_what_changed_between_the_look_and_the_rest_wakes_the_run() -> None:
    plant, store = Plant(), Stored({})
    found = watching(store, plant)
    plant.set("tag", 2.0)  # committed after the run had looked
    found.put("run", ["tag"], {"tag": (1.0, True)})
    store.runs = {"run": ["tag"]}
    await found.compare()
    assert await woken(found, store, 1) == ["run"]


async def test_what_another_run_saw_does_not_hide_a_change_from_one_that_saw_less() -> None:
    plant, store = Plant(), Stored({"first": ["tag"], "second": ["tag"]})
    found = watching(store, plant)
    plant.set("tag", 2.0)
    found.put("first", ["tag"], {"tag": (2.0, True)})
    found.put("second", ["tag"], {"tag": (1.0, True)})
    await found.compare()
    assert set(await woken(found, store, 2)) == {"first", "second"}


async def test_what_has_not_changed_wakes_nobody() -> None:
    plant, store = Plant(), Stored({"run": ["tag"], "other": ["else"]})
    found = watching(store, plant)
    plant.set("tag", 1.0)
    plant.set("else", 1.0)
    found.put("run", ["tag"], {"tag": (1.0, True)})
    found.put("other", ["else"], {"else": (1.0, True)})
    await found.compare()
    plant.set("else", 2.0)
    await found.compare()
    assert await woken(found, store, 1) == ["other"]
