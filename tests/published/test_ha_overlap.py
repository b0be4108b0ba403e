"""Overlap of runs as Home Assistant's own tests expect it, and the same with kills in the middle.

Expected values transcribed from home-assistant/core, `tests/helpers/test_script.py`:
test_script_mode_single, test_max_exceeded, test_script_mode_2, test_script_mode_queued,
test_script_mode_queued_cancel. The script there fires event 1, waits for a switch to go off, and
fires event 2; here a hand that ends runs stands for it, and the store and triggers are the real
ones.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from factory_brain.application.playbooks.triggers import Triggers
from tests.support.trigger_world import ALARM, TriggerWorld, trigger_world


class Killed(Exception):
    """The brain's process is no more."""


class Script:
    """Event 1 at a run's start, event 2 when the switch is off; then its end."""

    def __init__(self, world: TriggerWorld, kills: bool) -> None:
        self.world, self.kills = world, kills
        self.brain: Triggers = world.triggers
        self.begun: list[str] = []
        self.events: list[int] = []
        self.count = 0

    async def start(self) -> None:
        """One more trigger."""
        self.count += 1
        await self.world.send(self.world.moved(f"o-{self.count}"))
        await self.rest()

    async def rest(self) -> None:
        """Decide, with a kill just before and just behind a commit; then fire event 1."""
        if self.kills:
            for where in ("finish", "_after"):
                await self._die(where)
        await self.world.settle(self.brain)
        for run in await self.world.runs("running"):
            if run not in self.begun:
                self.begun.append(run)
                self.events.append(1)
        told = "SELECT id FROM run WHERE control ? 'cancel' AND ended_at IS NULL"
        for row in await self.world.pool.fetch(told):
            await self.world.end(row["id"], "cancelled")
            await self.rest()

    async def _die(self, where: str) -> None:
        from factory_brain.application.playbooks.starting import Turn

        async def dead(*_: object) -> None:
            raise Killed

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Turn if where == "finish" else Triggers, where, dead)
            try:
                await self.brain.round()
            except Killed:
                self.brain = self.world.brain()

    async def switch_off(self) -> None:
        """All that wait go on to their end, oldest first."""
        for run in await self.world.runs("running"):
            self.events.append(2)
            await self.world.end(run)
        await self.rest()

    async def alive(self) -> int:
        """Runs that have begun or wait."""
        return len(await self.world.runs("running", "queued"))


async def script(world: TriggerWorld, mode: str, most: int, kills: bool) -> Script:
    rule = f"{{mode: {mode}, max: {most}}}"
    await world.book(f"[{{id: hot, alarm: {ALARM}}}]", rule)
    return Script(world, kills)


# The tables; each begins with nothing live.


async def _script_mode_single(world: TriggerWorld, kills: bool) -> None:
    run = await script(world, "single", 1, kills)
    await run.start()
    assert (run.events, await run.alive()) == ([1], 1)
    await run.start()
    assert (run.events, await run.alive()) == ([1], 1)
    await run.switch_off()
    assert (run.events, await run.alive()) == ([1, 2], 0)
    assert await world.outcomes() == {"started": 1, "attached": 1}


async def _max_exceeded(
    world: TriggerWorld, mode: str, most: int, conflict: str, outcome: str, kills: bool
) -> None:
    rule = f"{{mode: {mode}, max: {most}, on_conflict: {conflict}}}"
    await world.book(f"[{{id: hot, alarm: {ALARM}}}]", rule)
    run = Script(world, kills)
    for _ in range(most + 1):
        await run.start()
    assert await run.alive() == most
    assert (await world.outcomes())[outcome] == 1  # counted, and shown with the alarm
    ((fired, _),) = await world.store.fired_of(f"o-{most + 1}", 5)
    assert fired.outcome == outcome
    assert (fired.run is not None) == (conflict == "attach")


async def _script_mode_2(world: TriggerWorld, mode: str, last: list[int], kills: bool) -> None:
    run = await script(world, mode, 1 if mode == "restart" else 2, kills)
    await run.start()
    assert run.events == [1]
    await run.start()
    assert run.events == [1, 1]
    await run.switch_off()
    assert run.events == [1, 1, *last]
    assert await run.alive() == 0


async def _a_restart_that_is_overtaken_never_begins(world: TriggerWorld, kills: bool) -> None:
    run = await script(world, "restart", 1, kills)
    await run.start()
    await world.send(world.moved("x-1"), world.moved("x-2"), world.moved("x-3"))
    await run.rest()
    assert (run.events, await run.alive()) == ([1, 1], 1)
    assert await world.pool.fetchval("SELECT occurrence FROM run WHERE status = 'running'") == "x-3"
    assert await world.outcomes() == {"started": 1, "superseded": 2, "queued": 1}


async def _script_mode_queued(world: TriggerWorld, kills: bool) -> None:
    run = await script(world, "queued", 2, kills)
    await run.start()
    assert (run.events, await run.alive()) == ([1], 1)
    await run.start()
    assert (run.events, await run.alive()) == ([1], 2)
    await run.switch_off()
    assert (run.events, await run.alive()) == ([1, 2, 1], 1)
    await run.switch_off()
    assert (run.events, await run.alive()) == ([1, 2, 1, 2], 0)


async def _script_mode_queued_cancel(world: TriggerWorld, kills: bool) -> None:
    run = await script(world, "queued", 2, kills)
    await run.start()
    await run.start()
    first, second = await world.runs()
    assert await run.alive() == 2
    await world.end(second, "cancelled")
    await run.rest()
    assert (await run.alive(), run.events) == (1, [1])
    await world.end(first, "cancelled")
    await run.rest()
    assert (await run.alive(), run.events) == (0, [1])


async def _the_queue_keeps_its_order_and_a_dropped_one_wedges_nobody(
    world: TriggerWorld, kills: bool
) -> None:
    run = await script(world, "queued", 10, kills)
    for _ in range(5):
        await run.start()
    ids = await world.runs()
    await world.end(ids[2], "cancelled")  # in the middle of the queue
    run.brain = world.brain()
    for status in ("failure", "cancelled", "success"):
        (live,) = await world.runs("running")
        await world.end(live, status)
        await run.rest()
    assert run.begun == [ids[0], ids[1], ids[3], ids[4]]


CASES: list[tuple[Callable[..., Awaitable[None]], tuple[object, ...]]] = [
    (_script_mode_single, ()),
    *(
        (_max_exceeded, (mode, most, conflict, outcome))
        for mode, most in (("single", 1), ("parallel", 2), ("queued", 2))
        for conflict, outcome in (("attach", "attached"), ("ignore", "ignored"))
    ),
    (_script_mode_2, ("restart", [2])),
    (_script_mode_2, ("parallel", [2, 2])),
    (_a_restart_that_is_overtaken_never_begins, ()),
    (_script_mode_queued, ()),
    (_script_mode_queued_cancel, ()),
    (_the_queue_keeps_its_order_and_a_dropped_one_wedges_nobody, ()),
]


@pytest.mark.parametrize("kills", [False, True], ids=["whole", "killed"])
async def test_check_07_overlap_as_home_assistant(
    brain_url: str, tmp_path: Path, kills: bool
) -> None:
    async with trigger_world(brain_url, tmp_path) as world:
        for case, args in CASES:
            await world.clear()
            try:
                await case(world, *args, kills)
            except AssertionError as error:
                raise AssertionError(f"{case.__name__}{args}: {error}") from error
