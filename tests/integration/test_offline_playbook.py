"""A playbook's offline part: run by the edge alone, over a kill, and adopted by the brain."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from shared.clock import SystemClock
from shared.messages.bodies import FragmentStep
from shared.messages.control import CommandRequest, CommandResult, Fragment, Fragments
from shared.playbook.fragment import HEARD
from shared.playbook.model import Playbook
from tests.support.edge_world import HI, NODE, Brain, Engine, World, ask, raised, until
from tests.support.playbook_world import World as PlaybookWorld
from tests.support.playbook_world import playbook_world
from tests.support.playbook_world import raised as occurrence_raised

pytest_plugins = ("tests.support.edge_fixtures",)
pytestmark = pytest.mark.timeout(240)

BOOK = Playbook.model_validate(
    {
        "schema": "playbook/v1",
        "playbook": "close-valve",
        "version": 3,
        "name": "close the valve",
        "devices": {"valve": {"type": "valve", "bind": "alarm.asset", "role": "second"}},
        "triggers": [{"id": "hot", "alarm": HI}],
        "steps": [{"id": "note", "log": "the brain is here"}],
        "offline": {
            "after": "2s",
            "steps": [
                {
                    "id": "close",
                    "command": {
                        "device": "valve", "op": "set", "args": {"pct": 15}, "expires": "10s",
                        "verify": {"until": 'tag("SP-2").value == 15', "within": "3s"},
                    },
                },
                {"id": "stay", "wait": "30s"},
            ],
        },
    }
)  # fmt: skip


def fragments() -> CommandRequest:
    item = Fragment(
        playbook=BOOK.playbook, version=BOOK.version,
        document=BOOK.model_dump_json(by_alias=True).encode(),
    )  # fmt: skip
    return CommandRequest(fragments=Fragments(version="v7", items=[item]))


def told(above: Brain) -> list[tuple[str, str]]:
    return [(step.path, step.phase) for step in above.bodies(FragmentStep)]


async def test_an_edge_alone_runs_the_fragment_once_and_hands_over(
    servers: World, above: Brain, engine: Engine
) -> None:
    await until(lambda: above.health and above.health[-1].drivers.get("s2") == "connected", 10)
    held = await ask(above, NODE.command, fragments(), CommandResult)
    assert (held.id, held.outcome) == ("v7", "done")
    await until(lambda: above.health[-1].fragments == "v7", 5)
    await engine.tell("s1", samples=[["TT-1", 105]])
    occurrence = (await raised(above, HI)).occurrence
    servers.stop("f9")
    writes = [w for w in await until(lambda: _of(engine, 15.0), 25, "no write while alone")]
    assert len(writes) == 1
    engine.kill()  # while it waits: what was done is known again, and not done again
    engine.start()
    await engine.ready()
    await engine.tell("s2", samples=[["SP-2", 15]])  # the device kept what was written
    await servers.start("f9")
    await until(lambda: ("/offline", "done") in told(above), 40, "not handed over")
    steps = [step for step in above.bodies(FragmentStep) if step.occurrence == occurrence]
    phases = [step.phase for step in steps if step.path == "/offline/close"]
    # The kill came after the result, or between the write and its result: then it was read back.
    assert phases in (["intent", "done"], ["intent", "reconciled"])
    assert (steps[-1].path, steps[-1].data["status"]) == ("/offline", "handed_over")
    assert len(_of(engine, 15.0)) == 1


def _of(engine: Engine, value: float) -> list[dict[str, Any]]:
    return [write for write in engine.writes() if write.get("value") == value]


async def test_a_malformed_fragment_is_refused_and_the_old_one_stays(
    above: Brain, engine: Engine
) -> None:
    await ask(above, NODE.command, fragments(), CommandResult)
    bad = Fragments(version="v8", items=[Fragment(playbook="x", version=1, document=b"{}")])
    answer = await ask(above, NODE.command, CommandRequest(fragments=bad), CommandResult)
    assert (answer.outcome, answer.reason) == ("refused", "malformed")
    await until(lambda: above.health and above.health[-1].fragments == "v7", 5)


@pytest.fixture
async def factory(brain_url: str, nats_server: Any, tmp_path: Path) -> AsyncIterator[PlaybookWorld]:
    async with playbook_world(brain_url, nats_server, tmp_path) as made:
        await made.sample("TT-101", 1200.0)
        yield made


async def test_the_brain_adopts_what_the_edge_did(factory: PlaybookWorld) -> None:
    store = factory.store
    _, desk = await factory.engine(store)
    now = SystemClock().now_ms()
    steps = [("hold-alone", "intent"), ("hold-alone", "done"), ("", "done")]
    for seq, (name, phase) in enumerate(steps, start=1):
        path = f"/offline/{name}".rstrip("/")
        body = FragmentStep(
            playbook="furnace-overtemp", version=1, alarm="FUR-01.TT-101.HIHI",
            occurrence="o-alone", path=path, phase=phase, data={"device": "FUR-01/burner"},
        )  # fmt: skip
        await factory.pool.execute(
            "INSERT INTO event (source, epoch, lane, seq, id, type, time, received_at, late, "
            "alarm, occurrence, body) VALUES ('f1.e1', 'e', 'replay', $1, $2, 'fragment.step', "
            "$3, $3, true, $4, $5, $6)",
            seq, f"ev-{seq}", now + seq, body.alarm, body.occurrence, msgspec.to_builtins(body),
        )  # fmt: skip
    await desk.on_occurrence(occurrence_raised("o-alone", age_ms=60_000), True)
    run_id = factory.started["o-alone"]
    journal = await store.journal(run_id)
    assert journal["/offline/hold-alone"].phase == "done"
    assert journal["/offline/hold-alone"].data[HEARD] == now + 2
    run = await desk.get_run(run_id)
    assert run is not None
    shown = {step.path: (step.verb, step.status) for step in run.steps}
    assert shown["/offline/hold-alone"] == ("command", "done")
    wait = "SELECT wake_at - started_at FROM run WHERE id = $1"
    assert await factory.pool.fetchval(wait, run_id) > 0  # for what travels behind the raise
    await factory.pool.execute("UPDATE run SET wake_at = wake_at + 60000 WHERE id = $1", run_id)
    before = await factory.pool.fetchval(wait, run_id)
    await desk.on_fragment(body)
    assert await factory.pool.fetchval(wait, run_id) < before - 50_000
