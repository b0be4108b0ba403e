"""What becomes of an alarm reaches its run at once: the real ingest, triggers and engine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from factory_brain.application.playbooks.alarm_states import AlarmStates
from factory_brain.application.playbooks.engine import Engine
from shared.clock import SystemClock
from tests.support.playbook_world import World, playbook_world
from tests.support.trigger_world import ALARM, TriggerWorld, loaded

UNDO = "{device: burner, op: restore_output, args: {output_pct: 60}, expires: 20s}"
BOOK = f"""
schema: playbook/v1
playbook: leaving
version: 1
name: leaving
devices:
  burner: {{type: burner.modulating, bind: alarm.asset, role: burner}}
  fan: {{type: fan.exhaust, bind: alarm.asset, role: exhaust}}
triggers: [{{id: hot, alarm: {ALARM}}}]
leave_when: [{{alarm: WORD, then: compensate}}]
steps:
  - id: lower
    command: {{device: burner, op: set_output, args: {{output_pct: 40}}, expires: 20s}}
    compensate: {{command: {UNDO}}}
  - id: vent
    command: {{device: fan, op: start, expires: 20s}}
    compensate: {{command: {{device: fan, op: stop, expires: 20s}}}}
  - id: sit
    wait: 10m
finally:
  - {{id: bye, log: over}}
"""
SENT = "SELECT at FROM journal WHERE run = $1 AND path = '/steps/lower' ORDER BY n"
DONE = [("set_output", {"output_pct": 40}), ("start", {})]
UNDONE = [("stop", {}), ("restore_output", {"output_pct": 60})]


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 20) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
        return found


class Brain:
    """A brain's ingest, triggers, engine and alarm states on the world's database."""

    def __init__(self, world: World, folder: Path, engine: Engine, desk: Any) -> None:
        self.world, self.engine, self.desk = world, engine, desk
        self.plant = TriggerWorld(world.pool, folder)
        self.plant.clock = SystemClock()  # type: ignore[assignment]
        self.plant.ingest._clock = SystemClock()
        self.triggers = desk._triggers
        fired = self.plant.store
        self.states = AlarmStates(SystemClock(), self.plant.alarms, fired, engine.poke)
        engine.ask_alarms(self.states)
        self.plant.ingest.on_occurrence.append(self.states.on_occurrence)
        self.plant.ingest.on_commit.append(self.triggers.wake)
        engine.on_over.append(lambda _: self.triggers.wake())

        async def told(runs: Mapping[str, str]) -> None:
            for each in await self.plant.alarms.several(list(runs)):
                await self.states.on_occurrence(each, False)

        self.triggers.on_told.append(told)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """At work; afterwards gone without any goodbye."""
        work = (self.engine.run(), self.triggers.run(), self.states.run())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def sitting(self) -> str:
        """The run, once it waits in its last step."""
        found = "SELECT run FROM journal WHERE path = '/steps/sit' AND phase = 'intent'"
        return await until(lambda: self.world.pool.fetchval(found))

    async def ended(self, run: str) -> str:
        """How it ended."""
        found = "SELECT status FROM run WHERE id = $1 AND ended_at IS NOT NULL"
        return await until(lambda: self.world.pool.fetchval(found, run))

    def writes(self, run: str) -> list[tuple[str, dict[str, Any]]]:
        return [(operation, args) for _, operation, args in self.world.edge.writes(run)]


@pytest.fixture
async def world(brain_url: str, nats_server: Any, tmp_path: Path) -> AsyncIterator[World]:
    async with playbook_world(brain_url, nats_server, tmp_path) as made:
        yield made


async def brain(world: World, folder: Path, word: str) -> Brain:
    books = folder / "books"
    books.mkdir(exist_ok=True)
    (books / "leaving.yaml").write_text(BOOK.replace("WORD", word))
    engine, desk = await world.engine(world.store, folder / "none")
    await desk._releases.put(loaded(books / "leaving.yaml"))
    return Brain(world, folder, engine, desk)


@pytest.mark.parametrize(
    ("word", "change"),
    [
        ("cleared", {"kind": "returned"}),
        ("acknowledged", {"kind": "acknowledged", "acked": True}),
        ("shelved", {"kind": "shelved", "shelf": "T"}),
    ],
)
async def test_check_19_a_run_leaves_when_its_alarm_does_and_undoes_backwards(
    world: World, tmp_path: Path, word: str, change: dict[str, Any]
) -> None:
    made = await brain(world, tmp_path, word)
    async with made.running():
        await made.plant.send(made.plant.moved("o-1"))
        run = await made.sitting()
        assert made.writes(run) == DONE
        await made.plant.send(made.plant.moved("o-1", version=2, **change))
        await made.ended(run)
    assert made.writes(run) == DONE + UNDONE
    left = await world.pool.fetchval("SELECT data FROM journal WHERE path = '/leave'")
    assert left["alarm"] == word


async def test_check_19_an_alarm_that_joined_keeps_the_run(world: World, tmp_path: Path) -> None:
    made = await brain(world, tmp_path, "cleared")
    async with made.running():
        await made.plant.send(made.plant.moved("o-1"))
        run = await made.sitting()
        await made.plant.send(made.plant.moved("o-2"))
        await until(lambda: world.pool.fetchval(
            "SELECT 1 FROM trigger_fired WHERE outcome = 'attached'"
        ))  # fmt: skip
        await made.plant.send(made.plant.moved("o-1", "returned", version=2))
        assert await made.states.states("o-1") == {}
        await asyncio.sleep(0.3)
        assert await world.pool.fetchval("SELECT ended_at FROM run") is None
        await made.plant.send(made.plant.moved("o-2", "returned", version=2))
        await made.ended(run)
    assert made.writes(run) == DONE + UNDONE


async def test_an_alarm_reaches_its_first_command_fast(world: World, tmp_path: Path) -> None:
    made = await brain(world, tmp_path, "suppressed")
    waits: list[int] = []
    async with made.running():
        for n in range(12):
            await made.plant.send(made.plant.moved(f"o-{n}", asset="FUR-01"))
            at = SystemClock().now_ms()
            run = await until(lambda n=n: world.pool.fetchval(
                "SELECT id FROM run WHERE occurrence = $1", f"o-{n}"
            ))  # fmt: skip
            waits.append(await until(lambda run=run: world.pool.fetchval(SENT, run)) - at)
            await until(lambda run=run: _ends(world, run))
    waits.sort()
    assert waits[len(waits) // 2] < 250, waits


async def _ends(world: World, run: str) -> bool:
    control = '{"cancel": {"by": "x", "at": 1, "reason": "", "compensate": false}}'
    await world.pool.execute(
        "UPDATE run SET control = $2::text::jsonb, news = news + 1, wake_at = 0 "
        "WHERE id = $1 AND ended_at IS NULL",
        run, control,
    )  # fmt: skip
    return await world.pool.fetchval("SELECT ended_at FROM run WHERE id = $1", run) is not None
