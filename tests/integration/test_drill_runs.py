"""A drill is marked to its end; where devices are real, no alarm is ever answered by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from factory_brain.adapters.outward import Outside as Endpoints
from factory_brain.adapters.outward_http import HttpCalls
from shared.errors import Rejected
from shared.site.model import EndpointSpec
from shared.web.dto import Run
from tests.integration.test_trigger_signals import Brain, brain, until
from tests.support.playbook_world import World, playbook_world
from tests.support.trigger_world import loaded

ADMIN = ("admin", ("admin",))


@pytest.fixture
async def world(brain_url: str, nats_server: Any, tmp_path: Path) -> AsyncIterator[World]:
    async with playbook_world(brain_url, nats_server, tmp_path) as made:
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
        self.marked: list[bool] = []

    async def call(self, _endpoint: str, method: str, *rest: Any) -> dict[str, Any]:
        """Everything goes well."""
        self.called.append(method)
        self.marked.append(rest[-1])
        return {"status": 200, "json": {}}


CASES: list[tuple[bool, dict[str, Any] | None, list[str]]] = [
    (False, {"value": 1.0}, ["GET"]), (True, {"value": 1.0}, ["GET", "POST"]),
    (False, None, ["GET", "POST"]),
]  # fmt: skip


async def test_a_drill_changes_nothing_outside_where_that_is_real(
    world: World, tmp_path: Path
) -> None:
    made = await brain(world, tmp_path, "shelved")
    (tmp_path / "calling.yaml").write_text(CALLS)
    await made.desk._releases.put(loaded(tmp_path / "calling.yaml"))
    async with made.running():
        for number, (simulated, drill, called) in enumerate(CASES):
            outside = Outside()
            made.engine.means = replace(
                made.engine.means, http=outside, simulated=lambda now=simulated: now
            )
            run = await made.desk.start_manually("calling", *ADMIN, f"key-{number}", drill)
            assert isinstance(run, Run)
            await made.ended(run.id)
            assert outside.called == called
            assert outside.marked == [drill is not None] * len(called)
            journal = await world.store.journal(run.id)
            assert journal["/steps/read"].data.get("drill") == (True if drill else None)
            record = journal["/steps/write"]
            if "POST" in called:
                assert record.phase == "done"
            else:
                assert record.phase == "failed"
                assert (record.data["kind"], record.data["reason"]) == ("refused", "drill")


@pytest.mark.parametrize("drill", [False, True])
async def test_check_25_a_request_of_a_drill_says_so_on_the_wire(
    tmp_path: Path, drill: bool
) -> None:
    came: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        came.append(head.lower() + await reader.readexactly(len(b'{"heat":1}')))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    mes = EndpointSpec(url=f"http://127.0.0.1:{port}/", private=True)
    calls = HttpCalls(Endpoints("f1", {"mes": mes}, {}, tmp_path))
    async with server:
        found = await calls.call("mes", "POST", "/heats", {"heat": 1}, "run:/steps/a", 10.0, drill)
        await calls.close()
    assert found["status"] == 200
    assert (b"\r\nx-andon-drill: 1\r\n" in came[0]) is drill
    assert came[0].endswith(b'{"heat":1}')  # the body is as the playbook says


async def test_a_faster_drill_waits_shorter_and_says_how_much(world: World, tmp_path: Path) -> None:
    made = await brain(world, tmp_path, "shelved")
    (tmp_path / "slow.yaml").write_text(SLOW)
    await made.desk._releases.put(loaded(tmp_path / "slow.yaml"))
    start, site = partial(made.desk.start_manually, "slow", *ADMIN), made.desk._site
    for drill, simulated in ((None, True), ({}, False)):
        info = site.info.model_copy(update={"simulated": simulated})
        made.desk._site = replace(site, info=info)
        refused = await start("key-0", drill, 60.0)
        assert isinstance(refused, Rejected)
        assert refused.code == "drill_time_scale"
    as_now = replace(site, info=site.info.model_copy(update={"simulated": True}))
    as_now.become(replace(site, info=site.info.model_copy(update={"simulated": False})))
    made.desk._site = as_now  # its devices were taken over while the brain ran: they are real
    assert isinstance(await start("key-0", {}, 60.0), Rejected)
    made.desk._site = replace(site, info=site.info.model_copy(update={"simulated": True}))
    async with made.running():
        run = await start("key-1", {}, 60.0)
        assert isinstance(run, Run)
        assert run.time_scale == 60
        await made.ended(run.id)
    found = await made.desk.get_run(run.id)
    assert found is not None
    assert found.ended_at is not None
    assert found.ended_at - found.started_at < 20_000  # a minute, 60 times as fast
    assert (await world.store.journal(run.id))["/outcome"].data["metrics"]["took_s"] >= 60


SLOW = """
schema: playbook/v1
playbook: slow
version: 1
name: slow
triggers: [{id: by-hand, manual: {roles: [admin]}}]
steps:
  - {id: sit, wait: 1m}
outcome: {metrics: {took_s: "${run.elapsed_s}"}}
"""
