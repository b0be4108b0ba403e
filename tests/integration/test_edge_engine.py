"""The edge engine as a process, on real servers and a real database, with a scripted driver."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil
import pytest

from shared.embedded.ports import Ports, answers
from shared.ids import new_epoch
from shared.messages.bodies import (
    AlarmTransition,
    Fact,
    FactResult,
    LocalAction,
    SystemEvent,
)
from shared.messages.codec import encode
from shared.messages.control import (
    Committed,
)
from shared.messages.envelope import Event, Frame
from tests.support.edge_world import HI, HIHI, NODE, SITE, Brain, Engine, World, ask, raised, until

pytest_plugins = ("tests.support.edge_fixtures",)
pytestmark = pytest.mark.timeout(240)


def test_the_engine_imports_no_driver_and_no_web_framework() -> None:
    script = (
        "import sys, edge_node.cli, edge_node.bootstrap, edge_node.settings, edge_node.__main__\n"
        "bad = {'asyncua','pymodbus','paho','fastapi','starlette','uvicorn','river','sqlalchemy',"
        "'numpy','httpx'}\n"
        "sys.exit(repr(bad & set(sys.modules)) if bad & set(sys.modules) else 0)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr


async def test_a_reflex_acts_and_all_of_it_arrives_in_order(above: Brain, engine: Engine) -> None:
    await until(lambda: above.health, 10)
    await engine.tell("s1", samples=[["TT-1", 130]])
    action: LocalAction = (await until(lambda: above.bodies(LocalAction)))[0]
    assert (action.outcome, action.before, action.readback) == ("done", 70.0, 40.0)
    assert action.latency_ms is not None
    assert 0 < action.latency_ms < 1000
    assert [w["value"] for w in engine.writes()] == [40.0]
    await until(lambda: any("TT-1" in batch.names for batch in above.samples()))
    assert above.gapless()
    assert above.conflicts == 0
    assert {lane for _, lane, _ in above.events} == {"live", "history"}


async def test_a_fact_from_above_acknowledges_and_a_second_is_recorded(
    above: Brain, engine: Engine
) -> None:
    await engine.tell("s1", samples=[["TT-1", 110]])
    alarm = await raised(above, HI)
    epoch = new_epoch()

    async def say(seq: int, name: str, seen: int) -> Committed:
        fact = Fact(
            id=name, alarm=HI, occurrence=alarm.occurrence, version_seen=seen,
            action="acknowledge", actor=name, place="factory", hlc=f"{seq:013d}.00000",
        )  # fmt: skip
        event = Event(id=name, type="fact.acknowledge", time=1, body=fact)
        frame = Frame(
            source="f9.brain", epoch=epoch, lane="live", first=seq,
            events=[msgspec.Raw(encode(event))],
        )  # fmt: skip
        return await ask(above, NODE.fact, frame, Committed)

    assert (await say(1, "too-early", 0)).watermarks == {f"{epoch}/live": 1}
    assert (await say(2, "li", 1)).watermarks == {f"{epoch}/live": 2}
    assert (await say(3, "wang", 1)).watermarks == {f"{epoch}/live": 3}
    assert (await say(3, "wang", 1)).watermarks == {f"{epoch}/live": 3}
    assert (await say(9, "beyond-a-hole", 1)).watermarks == {f"{epoch}/live": 3}
    await until(lambda: len(above.bodies(FactResult)) >= 3)
    results = [(r.fact, r.result, r.code) for r in above.bodies(FactResult)]
    assert results == [
        ("too-early", "refused", "not_seen"), ("li", "applied", ""),
        ("wang", "recorded", "already_acknowledged"),
    ]  # fmt: skip
    acked = [b for b in above.bodies(AlarmTransition) if b.kind == "acknowledged"]
    assert [(b.fact, b.actor, b.version) for b in acked] == [("li", "li", 1)]

    engine.kill()  # the watermark and the acknowledgement are on the disk
    engine.start()
    await engine.ready()
    await until(lambda: len(above.epochs) == 2)
    assert (await say(3, "wang", 1)).watermarks == {f"{epoch}/live": 3}
    assert len(above.bodies(FactResult)) == 3


async def test_killed_under_load_nothing_is_lost_and_nothing_is_doubled(
    servers: World, above: Brain, engine: Engine
) -> None:
    for round_ in range(3):
        deadline = time.monotonic() + 1.0
        value = 80
        while time.monotonic() < deadline:
            value = 110 if value == 80 else 80
            await engine.tell("s1", samples=[["TT-1", value]])
        engine.kill()
        engine.start()
        await engine.ready()
        await until(lambda n=round_: len(above.epochs) == n + 2, 15)
    await engine.tell("s1", samples=[["TT-1", 110]])

    def drained() -> bool:
        health = above.health[-1] if above.health else None
        return (
            health is not None
            and health.epoch == above.epochs[-1]
            and bool(health.lanes)
            and (all(c.buffered == 0 for lane, c in health.lanes.items() if lane != "history"))
        )

    await until(drained, 20, "backlog remains")
    assert above.gapless()
    assert above.conflicts == 0
    ids = [event.id for event in above.order]
    assert len(ids) == len(set(ids))
    # Versions of each occurrence are exactly 1..n: no transition is missing, none is doubled.
    versions: dict[str, list[int]] = {}
    for kind, occurrence, version in above.alarms(HI):
        assert kind in ("raised", "returned")
        versions.setdefault(occurrence, []).append(version)
    for seen in versions.values():
        assert sorted(seen) == list(range(1, len(seen) + 1))
    engine.kill()
    with sqlite3.connect(engine.state / "edge.db") as db:
        for produced, delivered, dropped, bad, held in db.execute(
            "SELECT produced, delivered, dropped, quarantined, (SELECT count(*) FROM outbox o "
            "WHERE o.epoch = l.epoch AND o.lane = l.lane) FROM outbox_lane l"
        ):
            assert produced == delivered + dropped + bad + held


async def test_a_standing_alarm_is_not_raised_again_after_a_restart(
    above: Brain, engine: Engine
) -> None:
    await engine.tell("s1", samples=[["TT-1", 130]])
    await until(lambda: above.bodies(LocalAction))
    before = above.alarms(HIHI)
    engine.kill()
    engine.start()
    await until(lambda: len(above.epochs) == 2, 15)
    await engine.tell("s1", samples=[["TT-1", 131], ["SP-1", 40], ["ESD-1", 0]])
    await engine.tell("s1", samples=[["TT-1", 80]])
    await until(lambda: len(above.alarms(HIHI)) > len(before))
    assert [kind for kind, _, _ in above.alarms(HIHI)] == ["raised", "returned"]
    assert len(engine.writes()) == 1


async def test_a_reflex_killed_between_intent_and_result_is_reconciled(
    above: Brain, engine: Engine
) -> None:
    await engine.tell("s1", mode="silent")  # the write arrives, its answer never does
    await engine.tell("s1", samples=[["TT-1", 130]])
    await until(engine.writes)
    engine.kill()
    engine.start()
    await until(lambda: len(above.epochs) == 2, 15)
    await engine.tell("s1", samples=[["TT-1", 130], ["SP-1", 40], ["ESD-1", 0]])
    action = (await until(lambda: above.bodies(LocalAction), 15))[0]
    assert (action.outcome, action.reason) == ("done", "verified_after_restart")
    assert len(engine.writes()) == 1


async def test_a_safe_reflex_killed_before_it_reached_the_device_acts_after_the_restart(
    above: Brain, engine: Engine
) -> None:
    await engine.tell("s1", mode="lose")  # the write goes nowhere, and no answer comes
    await engine.tell("s1", samples=[["TT-1", 130]])
    await until(lambda: above.alarms(HIHI))
    engine.kill()
    engine.start()
    await until(lambda: len(above.epochs) == 2, 15)
    await engine.tell("s1", samples=[["TT-1", 130], ["SP-1", 70], ["ESD-1", 0]])
    action = (await until(lambda: above.bodies(LocalAction), 15))[0]
    assert (action.outcome, action.reason) == ("done", "reissued_after_restart")
    assert [w["value"] for w in engine.writes()] == [40.0]


async def test_a_driver_that_is_away_does_not_cost_the_reflex(above: Brain, engine: Engine) -> None:
    await engine.tell("s1", mode="fail")
    await engine.tell("s1", samples=[["TT-1", 130]])
    first = (await until(lambda: above.bodies(LocalAction)))[0]
    assert (first.outcome, first.reason) == ("failed", "write_failed")
    await engine.tell("s1", mode="ok")
    last = (await until(lambda: above.bodies(LocalAction)[1:], 10))[0]
    assert (last.outcome, last.command) == ("done", first.command)
    assert len(engine.writes()) == 1


async def test_cut_off_the_edge_acts_and_the_backlog_comes_in_order(
    servers: World, above: Brain, engine: Engine
) -> None:
    await until(lambda: above.health, 10)
    await above.stop()
    servers.stop("f9")
    await engine.tell("s1", samples=[["TT-1", 110]])
    for _ in range(20):
        await engine.tell("s1", samples=[["TT-1", 90]])
        await engine.tell("s1", samples=[["TT-1", 110]])
    await engine.tell("s1", samples=[["TT-1", 130]])
    await until(engine.writes, 10, "the reflex did not act")
    await asyncio.sleep(6)  # longer than a publish may take, so that the link is known to be down
    await engine.tell("s2", samples=[["TT-2", 101]])
    await servers.start("f9")
    again = await servers.brain()
    try:
        await until(lambda: again.bodies(LocalAction), 30, "backlog did not come")
        await until(lambda: again.alarms("X-1.TT-2.HI"), 15)
        await engine.tell("s2", samples=[["TT-2", 80]])
        await until(lambda: len(again.alarms("X-1.TT-2.HI")) == 2, 15)
        assert again.gapless()
        late = {k: e for k, e in again.events.items() if k[1] == "replay"}
        assert any(getattr(e.body, "alarm", "") == "X-1.TT-2.HI" for e in late.values())
        fresh = [e.body for k, e in again.events.items() if k[1] == "live"]
        assert any(getattr(b, "kind", "") == "returned" for b in fresh)
        raises = [v for kind, _, v in again.alarms(HI) if kind == "raised"]
        assert len(raises) == 21
    finally:
        await again.stop()


async def test_the_local_page_shows_acknowledges_and_says_so_upward(
    servers: World, above: Brain, tmp_path: Path
) -> None:
    port = Ports().take()
    engine = Engine(tmp_path, servers.url("f9-e9"), page_port=port)
    engine.start()
    try:
        await engine.ready()
        await engine.tell("s1", samples=[["TT-1", 110]])
        alarm = await raised(above, HI)
        await until(lambda: answers(port), 15, "no page")
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=5) as page:

            async def row() -> dict[str, Any]:
                status = (await page.get("/api/status")).json()
                return next((r for r in status["alarms"] if r["alarm"] == HI), {"state": ""})

            async with asyncio.timeout(10):
                while (await row())["state"] != "unacknowledged":
                    await asyncio.sleep(0.05)
            assert (await page.get("/api/status")).json()["horn"]
            item = {"alarm": HI, "occurrence": alarm.occurrence, "version": 1}
            body = {"items": [item], "actor": "li", "comment": "seen"}
            key = {"Idempotency-Key": "test-key-1", "Origin": f"http://127.0.0.1:{port}"}
            answer = await page.post("/api/alarms/ack", json=body, headers=key)
            assert answer.json()["results"][0]["accepted"], answer.text
            async with asyncio.timeout(10):
                while (await row())["state"] != "acknowledged":
                    await asyncio.sleep(0.05)
            assert not (await page.get("/api/status")).json()["horn"]
        fact = (await until(lambda: above.bodies(Fact)))[0]
        assert (fact.place, fact.actor, fact.occurrence) == ("edge", "li", alarm.occurrence)
        assert above.alarms(HI)[-1][0] == "acknowledged"
        pid = engine.process.pid if engine.process else 0
        children = psutil.Process(pid).children(recursive=True)
        assert len(children) == 3
        engine.kill()
        await until(lambda: not any(child.is_running() for child in children), 5)
    finally:
        engine.kill()


async def test_a_wrong_password_does_not_keep_the_reflexes_from_acting(
    servers: World, above: Brain, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("wrong")
    engine = Engine(tmp_path, servers.url("f9-e9"))
    engine.start()
    try:
        await engine.ready()
        await engine.tell("s1", samples=[["TT-1", 130]])
        await until(engine.writes, 5)
        told = await until(lambda: engine.events("uplink_unreachable"), 15)
        assert "nats_password_file" in told[0]["mend"]
        (tmp_path / "password").write_text("app-e9")
        assert (await raised(above, HIHI)).version == 1
    finally:
        engine.kill()


def test_wrong_settings_end_with_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text("site: f9\nedge: e9\nnats_ulr: x\n")
    command = [sys.executable, "-m", "edge_node", "run", "--config", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "edge.yaml:3:1: 未知的键 / unknown key 'nats_ulr'" in done.stderr
    assert "did you mean 'nats_url'" in done.stderr


async def test_a_bad_site_runs_the_last_good_one_and_says_so(above: Brain, engine: Engine) -> None:
    assert engine.stop() == 0
    (engine.site / "alarms/a.yaml").write_text("alarms:\n  - id: X-1.TT-1.HI\n    lmit: 3\n")
    engine.start()
    await engine.ready()
    events = await until(lambda: above.bodies(SystemEvent), 15)
    assert (events[0].code, events[0].active) == ("site_refused", True)
    assert "a.yaml:" in events[0].params["faults"]
    await engine.tell("s1", samples=[["TT-1", 130]])
    await until(engine.writes, 5)
    engine.kill()
    (engine.state / "site-last-good").rename(engine.state / "gone")
    engine.start()
    assert engine.process is not None
    assert await asyncio.to_thread(engine.process.wait, 15) == 2
    assert SITE["alarms/a.yaml"]
