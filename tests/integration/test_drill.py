"""The drill runner over real HTTP and OPC UA, against a stand-in for the edge and the brain.

The stand-in raises one alarm from the plant's real state, writes the burner over the real wire and
asks one question; so the drill's own logic is seen without the other tiers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from asyncua import Client, ua
from fastapi import FastAPI, HTTPException, Request, Response
from typer.testing import CliRunner

from shared.web.dto import (
    AckRequest,
    ActionResult,
    AlarmRow,
    AlarmSnapshot,
    AnswerRequest,
    Ask,
    Banner,
    ItemResult,
    Login,
    Run,
    RunList,
    Text,
)
from simulators.cli import serve
from simulators.drill_cli import app as drill_app
from simulators.settings import Plants, ServerPlant, SimulatorSettings

ALARM = "FUR-01.TT-101.HIHI"
SCENARIO = """version: 1
name: {zh: 超温, en: overheat}
site: f1
speed: 12
steps:
  - fault: {plant: furnace, fault: burner_runaway}
  - expect: {alarm: FUR-01.TT-101.HIHI, within: 60s}
  - expect:
      write: {plant: furnace, address: Burner.OutSP, op: "<=", value: 40, times: %(times)d}
      within: 60s
  - expect: {run: {playbook: furnace-overtemp, status: waiting}, within: 60s}
  - do: {answer: {playbook: furnace-overtemp, option: vent}, within: 30s}
  - expect: {run: {playbook: furnace-overtemp, status: success}, within: 30s}
  - do: {ack: FUR-01.TT-101.HIHI, within: 30s}
  - expect: {alarm: FUR-01.TT-101.HIHI, state: acknowledged, within: 30s}
  - expect: {alarm: FUR-01.TT-101.HIHI, state: returned, within: 60s}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class StandIn:
    """Just enough edge and brain for one alarm and one playbook."""

    def __init__(self, control: str) -> None:
        self.control = httpx.AsyncClient(base_url=control, trust_env=False)
        self.row: AlarmRow | None = None
        self.run: Run | None = None
        self.acted = False

    async def step(self) -> None:
        state = (await self.control.get("/state")).json()
        temp, now = state["plants"]["furnace"]["state"]["zone1"], state["now"]
        if temp > 1280 and (self.row is None or not self.row.active):
            self.row = alarm_row(now)
            self.run = Run(
                id="r1", playbook="furnace-overtemp", version=1, name=Text(), alarm=ALARM,
                occurrence="o1", status="waiting", started_at=now, ended_at=None,
            )  # fmt: skip
            await self.write(state["endpoints"]["furnace"]["url"])
        if temp < 1270 and self.row is not None and self.row.active:
            self.row = self.row.model_copy(update={"active": False, "returned_at": now})

    async def write(self, url: str) -> None:
        if not self.acted:
            self.acted = True
            async with Client(url) as client:
                burner = client.get_node("ns=2;s=FUR01.Burner.OutSP")
                await burner.write_value(40.0, ua.VariantType.Double)

    def app(self) -> FastAPI:
        app = FastAPI()

        def check(request: Request) -> None:
            if request.cookies.get("session") != "yes":
                raise HTTPException(401)

        @app.post("/api/session")
        async def login(body: Login, response: Response) -> dict[str, str]:
            if body.password != "right":
                raise HTTPException(401)
            response.set_cookie("session", "yes")
            return {}

        @app.get("/api/alarms")
        async def alarms(request: Request) -> AlarmSnapshot:
            check(request)
            banner = Banner(
                by_priority={}, unacked=0, oldest_unacked_at=None, alarms_10min=0, shelved=0,
                suppressed=0, out_of_service=0, edges_online=1, edges_total=1, cloud_online=False,
                horn=False,
            )  # fmt: skip
            rows = [self.row] if self.row else []
            return AlarmSnapshot(epoch="e", seq=1, at=1, rows=rows, banner=banner)

        @app.get("/api/runs")
        async def runs(request: Request) -> RunList:
            check(request)
            return RunList(runs=[self.run] if self.run else [])

        @app.get("/api/runs/{run}")
        async def one(run: str) -> Run:
            assert self.run is not None
            question = Text(zh="排烟？", en="vent?")
            ask = Ask(
                step="approve", path="/steps/approve", question=question, options=["vent"],
                labels={}, roles=[], until=None,
            )  # fmt: skip
            return self.run.model_copy(update={"ask": ask})

        @app.post("/api/runs/{run}/answers")
        async def answer(run: str, body: AnswerRequest) -> dict[str, str]:
            assert self.run is not None
            assert (body.path, body.option) == ("/steps/approve", "vent")
            self.run = self.run.model_copy(update={"status": "success"})
            return {}

        @app.post("/api/alarms/ack")
        async def ack(body: AckRequest, request: Request) -> ActionResult:
            assert request.headers["Idempotency-Key"]
            assert self.row is not None
            self.row = self.row.model_copy(update={"acked": True})
            return ActionResult(results=[ItemResult(occurrence="o1", accepted=True)])

        return app


def alarm_row(now: int) -> AlarmRow:
    fields: dict[str, Any] = {
        "alarm": ALARM, "occurrence": "o1", "version": 1, "annunciated_version": 1, "edge": "e1",
        "asset": "FUR-01", "tag": "TT-101", "name": Text(), "priority": 1,
        "state": "unacknowledged", "isa": "B", "active": True, "acked": False, "value": 1281.0,
        "limit": 1280.0, "unit": "", "raised_at": now, "returned_at": None, "received_at": now,
    }  # fmt: skip
    return AlarmRow(**fields)


@contextlib.asynccontextmanager
async def system(tmp_path: Path, password: str = "right") -> AsyncIterator[Path]:
    """Simulators and stand-in running; yields the up.json that describes them."""
    control_port, stop = free_port(), asyncio.Event()
    plants = Plants(furnace=ServerPlant())
    settings = SimulatorSettings(control_port=control_port, plants=plants)
    control = f"http://127.0.0.1:{control_port}"
    stand_in = StandIn(control)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(stand_in.app(), log_config=None, lifespan="off")
    brain = uvicorn.Server(config)
    tasks = [
        asyncio.create_task(serve(settings, stop)),
        asyncio.create_task(brain._serve([listener])),
    ]
    state = tmp_path / "state"
    (state / "secrets").mkdir(parents=True)
    (state / "secrets" / "admin-password").write_text(password + "\n")
    up = tmp_path / "up.json"
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    up.write_text(json.dumps({"console": {"f1": url}, "simulators": control, "state": str(state)}))
    loop = asyncio.create_task(_live(stand_in))
    try:
        await _serving(stand_in.control, tasks[0])
        yield up
    finally:
        loop.cancel()
        stop.set()
        brain.should_exit = True
        await asyncio.wait_for(asyncio.gather(*tasks), 40)
        await stand_in.control.aclose()


async def _serving(control: httpx.AsyncClient, simulators: asyncio.Task[None]) -> None:
    """Until the plant is there: on a busy machine its OPC UA server takes many seconds."""
    async with asyncio.timeout(120):
        while not simulators.done():
            with contextlib.suppress(httpx.HTTPError):
                await control.get("/healthz")
                return
            await asyncio.sleep(0.1)
    await simulators  # it ended: says why


async def _live(stand_in: StandIn) -> None:
    while True:
        with contextlib.suppress(httpx.HTTPError):
            await stand_in.step()
        await asyncio.sleep(0.1)


async def drill(up: Path, scenario: Path) -> tuple[int, dict[str, Any]]:
    arguments = ["run", str(scenario), "--json", "--up-file", str(up)]
    result = await asyncio.to_thread(CliRunner().invoke, drill_app, arguments)
    return result.exit_code, json.loads(result.stdout.strip().splitlines()[-1])


@pytest.mark.timeout(240)
async def test_a_drill_is_scored_with_times(tmp_path: Path) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(SCENARIO % {"times": 1}, encoding="utf-8")
    async with system(tmp_path) as up:
        code, report = await drill(up, scenario)
    assert report["lines"]
    assert [line["what"] for line in report["lines"] if not line["passed"]] == []
    assert (code, report["points"], report["of"]) == (0, 8, 8)
    assert all(0 <= line["seconds"] <= line["within"] for line in report["lines"])


@pytest.mark.timeout(240)
async def test_a_drill_that_does_not_hold_says_which_line(tmp_path: Path) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(SCENARIO % {"times": 2}, encoding="utf-8")
    async with system(tmp_path) as up:
        code, report = await drill(up, scenario)
    failed = [line for line in report["lines"] if not line["passed"]]
    assert (code, report["passed"], len(failed)) == (1, False, 1)
    assert failed[0]["reason"] == "came 1 times"


@pytest.mark.timeout(240)
async def test_a_drill_that_cannot_run_exits_2(tmp_path: Path) -> None:
    scenario = tmp_path / "s.yaml"
    scenario.write_text(SCENARIO % {"times": 1}, encoding="utf-8")
    async with system(tmp_path, password="wrong") as up:
        code, report = await drill(up, scenario)
        assert code == 2
        assert "401" in report["error"]
        (tmp_path / "state/secrets/admin-password").write_text("right")
        scenario.write_text((SCENARIO % {"times": 1}).replace("site: f1", "site: f9"))
        code, report = await drill(up, scenario)
        assert code == 2
        assert "f1" in report["error"]
