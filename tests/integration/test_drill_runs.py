"""A drill is marked to its end; where devices are real, no alarm is ever answered by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shared.web.dto import Run
from tests.integration.test_trigger_signals import Brain, brain, until
from tests.support.playbook_world import World, playbook_world
from tests.support.trigger_world import loaded

ADMIN = ("admin", ("admin",))


@pytest.fixture
async def world(database_url: str, nats_server: Any, tmp_path: Path) -> AsyncIterator[World]:
    async with playbook_world(database_url, nats_server, tmp_path) as made:
        yield made


async def drilled(made: Brain, simulated: bool) -> Run:
    """A drill under way."""
    site = made.triggers._site
    made.triggers._site = replace(site, info=site.info.model_copy(update={"simulated": simulated}))
    run = await made.desk.start_manually("leaving", *ADMIN, "key-1", {"value": 1300.0})
    assert isinstance(run, Run)
    await until(lambda: made.world.pool.fetchval(
        "SELECT 1 FROM journal WHERE run = $1 AND path = '/steps/sit'", run.id
    ))  # fmt: skip
    return run


async def outcome(made: Brain, word: str) -> dict[str, Any]:
    """What the alarm came to."""
    found = "SELECT run, outcome FROM trigger_fired WHERE occurrence = $1 AND outcome = $2"
    return dict(await until(lambda: made.world.pool.fetchrow(found, "o-1", word)))


async def test_check_25_a_real_alarm_never_joins_a_drill(world: World, tmp_path: Path) -> None:
    made = await brain(world, tmp_path, "shelved")
    async with made.running():
        drill = await drilled(made, simulated=False)
        assert drill.drill
        assert (await world.store.get(drill.id)).context["alarm"]["value"] == 1300.0  # type: ignore[union-attr]
        await made.plant.send(made.plant.moved("o-1"))
        started = await outcome(made, "started")
        assert started["run"] != drill.id
        real = await made.desk.get_run(started["run"])
        assert real is not None
        assert not real.drill


async def test_a_simulated_alarm_joins_the_drill_that_raised_it(
    world: World, tmp_path: Path
) -> None:
    made = await brain(world, tmp_path, "shelved")
    async with made.running():
        drill = await drilled(made, simulated=True)
        await made.plant.send(made.plant.moved("o-1"))
        assert (await outcome(made, "attached"))["run"] == drill.id
        told = await made.desk.journal_of(drill.id)
        assert told is not None
        assert [row.path for row in told.rows if row.phase == "done"] == [
            "/steps/lower", "/steps/vent"
        ]  # fmt: skip
        assert told.context["drill"] is True


CALLS = """
schema: playbook/v1
playbook: calling
version: 1
name: calling
endpoints: {mes: {type: http}}
triggers: [{id: by-hand, manual: {roles: [admin]}}]
steps:
  - {id: read, http: {endpoint: mes, path: /heats}, on_error: continue}
  - {id: write, http: {endpoint: mes, method: POST, path: /heats}, on_error: continue}
"""


class Outside:
    """What was called."""

    def __init__(self) -> None:
        self.called: list[str] = []

    async def call(self, _endpoint: str, method: str, *_: Any) -> dict[str, Any]:
        """Everything goes well."""
        self.called.append(method)
        return {"status": 200, "json": {}}


@pytest.mark.parametrize(
    ("simulated", "drill", "called"),
    [
        (False, {"value": 1.0}, ["GET"]), (True, {"value": 1.0}, ["GET", "POST"]),
        (False, None, ["GET", "POST"]),
    ],
)  # fmt: skip
async def test_a_drill_changes_nothing_outside_where_that_is_real(
    world: World, tmp_path: Path, simulated: bool, drill: dict[str, Any] | None, called: list[str]
) -> None:
    made, outside = await brain(world, tmp_path, "shelved"), Outside()
    made.engine.means = replace(made.engine.means, http=outside, simulated=simulated)
    (tmp_path / "calling.yaml").write_text(CALLS)
    await made.desk._releases.put(loaded(tmp_path / "calling.yaml"))
    async with made.running():
        run = await made.desk.start_manually("calling", *ADMIN, "key-1", drill)
        assert isinstance(run, Run)
        await made.ended(run.id)
    assert outside.called == called
    record = (await world.store.journal(run.id))["/steps/write"]
    if "POST" in called:
        assert record.phase == "done"
    else:
        assert record.phase == "failed"
        assert (record.data["kind"], record.data["reason"]) == ("refused", "drill")
