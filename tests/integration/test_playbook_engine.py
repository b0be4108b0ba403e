"""Playbooks on real PostgreSQL and NATS: effects happen once, also over kills at every commit."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.webhook_sender import HttpWebhooks, Outside
from factory_brain.application.fleet import FleetView
from factory_brain.application.fleet_calling import call_edges
from factory_brain.application.playbooks.edge_devices import EdgeDevices
from factory_brain.application.playbooks.engine import Engine
from factory_brain.application.playbooks.plant_tags import PlantTags
from factory_brain.application.playbooks.ports import Delivery, FencedError, Rest
from shared.clock import SystemClock
from shared.errors import Rejected
from shared.paths import demo_sites
from shared.site.loader import load_site
from shared.site.model import EndpointSpec
from shared.web.dto import Run
from tests.support.playbook_world import (
    MortalStore,
    World,
    playbook_world,
    raised,
)

SITE = load_site(demo_sites() / "f1")
HOLD = ("FUR-01/burner", "set_output", {"output_pct": 35})
VENT = ("FUR-01/exhaust", "start", {})


async def until(condition: Callable[[], Awaitable[Any]], seconds: float = 15) -> Any:
    """Poll with a deadline; returns what the condition returned."""
    async with asyncio.timeout(seconds):
        while not (found := await condition()):
            await asyncio.sleep(0.02)
        return found


@contextlib.asynccontextmanager
async def running(engine: Engine) -> AsyncIterator[None]:
    """The engine at work; afterwards gone without any goodbye."""
    task = asyncio.create_task(engine.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
async def world(brain_url: str, nats_server: Any, tmp_path: Path) -> AsyncIterator[World]:
    async with playbook_world(brain_url, nats_server, tmp_path) as made:
        await made.sample("TT-101", 1200.0)  # below safe_c: the last wait is met at once
        yield made


async def settle(desk: Any, run_id: str, option: str = "vent", seconds: float = 15) -> Run:
    """Answer the run's question when it asks, and wait for its end."""

    async def step() -> Run | None:
        run = await desk.get_run(run_id)
        if run.ask is not None:
            await desk.answer(run_id, run.ask.step, option, "li", ("shift-lead",), "", "k")
        return run if run.ended_at is not None else None

    return await until(step, seconds)


def statuses(run: Run) -> dict[str, str]:
    return {step.id: step.status for step in run.steps}


async def told(world: World, run_id: str) -> int:
    return await world.pool.fetchval("SELECT count(*) FROM notification WHERE run = $1", run_id)


async def test_a_run_tells_acts_asks_and_ends(world: World) -> None:
    engine, desk = await world.engine(world.store)
    async with running(engine):
        await desk.on_occurrence(raised("occ-1"), True)
        run_id = world.started["occ-1"]

        async def asking() -> Any:
            run = await desk.get_run(run_id)
            return run if run is not None and run.ask else None

        run = await until(asking)
        assert (run.status, run.ask.options) == (
            "waiting",
            ["vent", "keep-holding", "false-alarm"],
        )
        assert run.ask is not None
        assert "1291.5" in run.ask.question.en
        answer = (run_id, "decide", "vent")
        refused = await desk.answer(*answer, "wang", ("operator",), "", "k1")
        assert isinstance(refused, Rejected)
        assert refused.code == "not_allowed"
        wrong = await desk.answer(run_id, "decide", "explode", "li", ("shift-lead",), "", "k")
        assert isinstance(wrong, Rejected)
        assert await desk.answer(*answer, "li", ("shift-lead",), "hot", "k2") is None
        late = await desk.answer(
            run_id, "decide", "keep-holding", "zhao", ("shift-lead",), "", "k3"
        )
        assert isinstance(late, Rejected)
        assert late.code in ("already_answered", "not_asking")  # the first answer wins
        run = await settle(desk, run_id)
    assert run.status == "success"
    assert world.edge.writes(run_id) == [HOLD, VENT]
    assert await told(world, run_id) == 1
    found = statuses(run)
    assert (found["hold-heat"], found["decide"], found["vent"]) == ("done", "done", "done")
    assert [(o.status, o.metrics["decided"]) for o in world.ended] == [("success", "vent")]


async def test_an_edge_that_was_not_heard_yet_is_not_away(world: World) -> None:
    """A brain that was killed answers the alarm that waited for it before the edge's next beat."""
    world.fleet = FleetView("f1", SITE.info.edges, SystemClock())
    engine, desk = await world.engine(world.store)
    async with running(engine):
        await desk.on_occurrence(raised("occ-1"), True)
        await asyncio.sleep(0.3)  # an engine that does not wait has failed by now
        assert world.edge.done == {}
        await call_edges("f1", world.bus, world.fleet)
        run = await settle(desk, world.started["occ-1"])
    assert (run.status, world.edge.writes(run.id)) == ("success", [HOLD, VENT])


async def test_an_edge_that_stays_silent_is_away_after_a_while(world: World) -> None:
    fleet = FleetView("f1", SITE.info.edges, SystemClock())
    devices = EdgeDevices("f1", world.bus, fleet, world.store, SITE.bindings.devices)
    asked = devices.send("c", HOLD[0], HOLD[1], HOLD[2], 60_000, [], "", 0, "r", "")
    assert await asked == {"outcome": "unsendable", "reason": "edge_offline"}
    readings = PlantTags(SITE.tags, SITE.sources, SampleStore(world.pool), fleet, SystemClock())
    async with asyncio.timeout(2):  # nobody waits a second time
        found = await readings.readings(["TT-101"])
    assert (found["TT-101"].good, found["TT-101"].reason) == (False, "stale")


async def test_the_webhook_is_signed_and_a_cloud_event(world: World) -> None:
    engine, desk = await world.engine(world.store)
    async with running(engine):
        await desk.on_occurrence(raised("occ-1"), True)

        async def arrived() -> bool:
            return bool(world.receiver.genuine)

        await until(arrived)
    assert world.receiver.forged == []
    event = json.loads(world.receiver.bodies[0])
    assert (event["specversion"], event["type"]) == ("1.0", "furnace.overtemp.raised")
    assert event["data"]["asset"] == "FUR-01"
    assert event["id"] == world.receiver.genuine[0]


async def test_an_occurrence_starts_one_run_and_a_second_alarm_joins_it(world: World) -> None:
    _, desk = await world.engine(world.store)
    for _ in range(3):
        await desk.on_occurrence(raised("occ-1"), True)
    await desk.on_occurrence(raised("occ-2"), True)
    assert world.started["occ-2"] == world.started["occ-1"]
    await desk.on_occurrence(raised("occ-3", active=False), True)
    await desk.on_occurrence(raised("occ-4", age_ms=3_600_000), True)  # an old one joins too
    assert set(world.started) == {"occ-1", "occ-2", "occ-4"}
    assert await world.pool.fetchval("SELECT count(*) FROM run") == 1


async def test_a_lost_answer_is_asked_for_and_never_sent_twice(world: World, monkeypatch) -> None:
    monkeypatch.setattr("factory_brain.application.playbooks.edge_devices.ANSWER_S", -9.0)
    world.edge.lose_answers = 1
    engine, desk = await world.engine(world.store)
    async with running(engine):
        await desk.on_occurrence(raised("occ-1"), True)
        run = await settle(desk, world.started["occ-1"], "keep-holding")
    assert run.status == "success"
    assert statuses(run)["hold-heat"] == "reconciled"
    assert world.edge.writes(run.id) == [HOLD]
    assert set(world.edge.received.values()) == {1}
    phases = await world.pool.fetch(
        "SELECT phase FROM journal WHERE path = '/steps/hold-heat' ORDER BY n"
    )
    assert [row["phase"] for row in phases] == ["intent", "unknown", "reconciled"]


async def test_a_command_that_never_arrived_is_sent_under_the_same_id(
    world: World, monkeypatch
) -> None:
    monkeypatch.setattr("factory_brain.application.playbooks.edge_devices.ANSWER_S", -9.0)
    world.edge.drop_commands = 1
    engine, desk = await world.engine(world.store)
    async with running(engine):
        await desk.on_occurrence(raised("occ-1"), True)
        run = await settle(desk, world.started["occ-1"], "keep-holding")
    assert (run.status, world.edge.writes(run.id)) == ("success", [HOLD])
    assert list(world.edge.done) == [f"{run.id}:/steps/hold-heat:1"]


async def test_never_seen_by_another_epoch_proves_nothing(world: World, monkeypatch) -> None:
    """The edge lost its journal between the write and the question: nothing is sent again."""
    monkeypatch.setattr("factory_brain.application.playbooks.edge_devices.ANSWER_S", -9.0)
    world.edge.lose_answers = 1
    engine, desk = await world.engine(world.store)

    async def forgets() -> None:
        async with asyncio.timeout(10):
            while not world.edge.results:
                await asyncio.sleep(0.005)
        world.edge.results.clear()
        world.edge.epoch = "ep-2"

    async with running(engine):
        forgetting = asyncio.create_task(forgets())
        await desk.on_occurrence(raised("occ-1"), True)
        run = await settle(desk, world.started["occ-1"], "keep-holding")
        await forgetting
    assert world.edge.writes(run.id) == [HOLD]
    assert (run.status, statuses(run)["hold-heat"]) == ("needs_human", "failed")
    assert await told(world, run.id) == 2  # the shift, then maintenance


async def test_a_refused_command_pages_people_and_ends_for_them(world: World) -> None:
    world.edge.outcome = ("refused", "interlock")
    engine, desk = await world.engine(world.store)
    async with running(engine):
        await desk.on_occurrence(raised("occ-1"), True)
        run = await settle(desk, world.started["occ-1"])
    assert (run.status, world.edge.writes(run.id)) == ("needs_human", [])
    assert statuses(run)["page-maintenance"] == "done"


async def test_an_old_engine_is_fenced_off(world: World) -> None:
    _, desk = await world.engine(world.store)
    await desk.on_occurrence(raised("occ-1"), True)
    now = 10**14
    (old,) = await world.store.claim("old", now, 1, 10)
    (new,) = await world.store.claim("new", now + 2, 1000, 10)
    assert new.fence == old.fence + 1
    with pytest.raises(FencedError):
        await world.store.release(old, Rest("success", ended_at=now))
    with pytest.raises(FencedError):
        await world.store.write(old, [], now)
    await world.store.renew("new", {new.id: new.fence}, now + 2000)
    assert await world.store.held("new") == {new.id: (new.fence, 0)}
    assert await world.store.held("old") == {}


AWAITED = """
schema: playbook/v1
playbook: awaited
version: 1
name: {zh: 等待回执, en: Awaited}
inputs: {limit: {type: number, default: 40}}
devices: {burner: {type: burner.modulating, bind: alarm.asset, role: burner}}
endpoints: {cmms: {type: webhook}}
triggers: [{id: hot, alarm: FUR-01.TT-101.HIHI}]
steps:
  - id: both
    parallel:
      branches:
        - id: ticket
          steps:
            - id: open
              webhook: {endpoint: cmms, type: t, data: {asset: "${alarm.asset}"}}
              retry: {schedule: [0s, 200ms, 200ms]}
        - id: device
          steps:
            - id: hold
              command:
                {device: burner, op: set_output, args: {output_pct: "${inputs.limit}"},
                 expires: 20s, require: ["tag('burner.mode').value == 'AUTO' || inputs.limit > 1"],
                 verify: {until: "tag('burner.setpoint').value <= inputs.limit + 0.5"}}
  - {id: end, log: "opened ${steps.open.ok}"}
"""


async def awaited(world: World, folder: Path, statuses: list[int]) -> Run:
    (folder / "books").mkdir()
    (folder / "books" / "awaited.yaml").write_text(AWAITED)
    world.receiver.statuses = statuses
    engine, desk = await world.engine(world.store, folder / "books")
    async with running(engine):
        await desk.on_occurrence(raised("occ-1"), True)
        return await settle(desk, world.started["occ-1"])


async def test_an_awaited_webhook_is_retried_under_one_id(world: World, tmp_path: Path) -> None:
    run = await awaited(world, tmp_path, [503, 302, 202])
    assert (run.status, len(world.receiver.genuine)) == ("success", 3)  # 302 is not followed
    assert set(world.receiver.genuine) == {f"{run.id}:/steps/both/ticket/open"}
    assert len(set(world.receiver.bodies)) == 1
    (command,) = world.edge.done.values()
    assert command.verify == '(tag("BURNER-01.SP").value <= 40.5)'
    assert command.require == ['((tag("BURNER-01.MODE").value == "AUTO") || true)']


async def test_a_webhook_nobody_takes_fails_its_step(world: World, tmp_path: Path) -> None:
    run = await awaited(world, tmp_path, [500, 500, 500])
    assert (run.status, statuses(run)["open"]) == ("failure", "failed")
    assert await world.pool.fetchval("SELECT status FROM delivery") == "dead"
    assert world.edge.writes(run.id) == [("FUR-01/burner", "set_output", {"output_pct": 40})]


async def test_a_hanging_receiver_does_not_hold_up_a_command(world: World, tmp_path: Path) -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    world.receiver.port = server.sockets[0].getsockname()[1]
    engine, desk = await world.engine(world.store)
    async with running(engine):
        await desk.on_occurrence(raised("occ-1"), True)
        run = await settle(desk, world.started["occ-1"], seconds=8)
    server.close()
    assert run.status == "success"
    assert world.edge.writes(run.id) == [HOLD, VENT]


async def test_private_addresses_are_refused_unless_meant(world: World) -> None:
    spec = EndpointSpec(url="http://127.0.0.1:9/x", secret="webhook-cmms")
    link = EndpointSpec(url="http://169.254.169.254/x", secret="webhook-cmms", private=True)
    file = EndpointSpec(url="file:///etc/passwd", secret="webhook-cmms", private=True)
    found = {"private": spec, "link": link, "file": file}
    sender = HttpWebhooks(Outside("f1", found, {}, world.secrets), SystemClock())
    for name, why in {"private": "private", "link": "never called", "file": "only http"}.items():
        body = {"type": "t", "data": {}, "time": 0}
        answer = await sender.deliver(Delivery("id", "r", "/p", name, body, 0, [0], True))
        assert why in (answer.error or "")
    await sender.close()


async def one_life(world: World, occurrence: str, at: int, after: bool) -> tuple[int, Run]:
    """One run whose first engine is killed at its `at`-th commit; a second engine ends it."""
    mortal = MortalStore(world.store, at, after)
    engine, desk = await world.engine(mortal)
    _, looker = await world.engine(world.store)
    with contextlib.suppress(Exception):
        await desk.on_occurrence(raised(occurrence), True)
    async with running(engine):
        ended = asyncio.create_task(_first_life(world, looker, occurrence))
        died = asyncio.create_task(mortal.dead.wait())
        await asyncio.wait({ended, died}, timeout=20, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        died.cancel()
        await asyncio.gather(ended, died, return_exceptions=True)
    second, desk = await world.engine(world.store)
    async with running(second):
        await desk.on_occurrence(raised(occurrence), True)  # a restarted brain looks again
        run_id = await world.pool.fetchval("SELECT id FROM run WHERE occurrence = $1", occurrence)
        return mortal.commits, await settle(desk, run_id)


async def _first_life(world: World, desk: Any, occurrence: str) -> None:
    async def known() -> str | None:
        return await world.pool.fetchval("SELECT id FROM run WHERE occurrence = $1", occurrence)

    await settle(desk, await until(known), seconds=20)


@pytest.mark.timeout(300)
async def test_kills_at_every_commit_lose_and_double_nothing(world: World) -> None:
    commits, run = await one_life(world, "whole", 10_000, True)
    assert commits > 5
    for after in (True, False):
        for at in range(1, commits + 1):
            name = f"killed-{'after' if after else 'before'}-{at}"
            _, run = await one_life(world, name, at, after)
            assert run.status == "success", name
            assert world.edge.writes(run.id) == [HOLD, VENT], name
            assert await told(world, run.id) == 1, name
            settled = {"done", "reconciled"}
            steps = {s.id: s.status for s in run.steps if s.id != "outcome"}
            assert set(steps.values()) <= settled, (name, steps)
            delivered = await world.pool.fetchval(
                "SELECT count(*) FROM delivery WHERE run = $1", run.id
            )
            assert delivered == 1, name
    ids = {name for name in world.receiver.genuine}
    assert len(ids) <= 2 * commits + 1
    assert world.receiver.forged == []
    assert {o.run for o in world.ended if o.status == "success"} == {
        row["id"] for row in await world.pool.fetch("SELECT id FROM run")
    }
