"""The simulators as a process: HTTP control, clean stop, a clear line when it cannot start."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest

from simulators.cli import serve
from simulators.settings import Plants, ServerPlant, SimulatorSettings

pytestmark = pytest.mark.timeout(240)
FURNACE = SimulatorSettings(plants=Plants(furnace=ServerPlant()))
IDLE_CORE_SHARE = 0.04
IDLE_BYTES = 160 * 2**20  # 121 MiB at rest, some more after a start on a busy machine


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextlib.asynccontextmanager
async def controlled() -> AsyncIterator[httpx.AsyncClient]:
    port, stop = free_port(), asyncio.Event()
    settings = FURNACE.model_copy(update={"control_port": port})
    task = asyncio.create_task(serve(settings, stop))
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(base_url=url, trust_env=False) as http:
            async with asyncio.timeout(100):
                while not task.done():
                    with contextlib.suppress(httpx.HTTPError):
                        await http.get("/healthz")
                        break
                    await asyncio.sleep(0.1)
            yield http
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def test_control_api_switches_resets_and_refuses_clearly() -> None:
    async with controlled() as http:
        body = {"plant": "furnace", "fault": "burner_runaway"}
        assert (await http.post("/faults", json=body)).json() == {"ok": True}
        assert (await http.post("/speed", json={"factor": 20})).status_code == 200

        async def temperature() -> float:
            state = (await http.get("/state")).json()
            return float(state["plants"]["furnace"]["state"]["zone1"])

        async with asyncio.timeout(60):
            while await temperature() <= 1250:
                await asyncio.sleep(0.1)
        assert (await http.post("/reset")).status_code == 200
        state = (await http.get("/state")).json()
        assert state["plants"]["furnace"]["faults"] == {}
        assert state["speed"] == 1.0
        assert state["endpoints"]["furnace"]["port"] > 0
        refusals = [
            ("/faults", {"plant": "furnce", "fault": "spike"}, 404, "sim_plant_unknown", "furnace"),
            ("/faults", {"plant": "furnace", "fault": "spiek"}, 404, "sim_fault_unknown", "spike"),
            ("/faults", {"plnt": "furnace"}, 422, "sim_request_invalid", "plant"),
            ("/speed", {"factor": 0}, 422, "sim_request_invalid", "factor"),
            ("/reset", {"plant": "x"}, 404, "sim_plant_unknown", "furnace"),
        ]
        for path, wrong, status, code, hint in refusals:
            answer = await http.post(path, json=wrong)
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (status, code)
            assert hint in problem["message_zh"]
            assert hint in problem["message_en"]


async def assert_idle(process: psutil.Process) -> None:
    """All three plants together cost next to nothing."""
    before = sum(process.cpu_times()[:2])
    await asyncio.sleep(5)
    used = sum(process.cpu_times()[:2]) - before
    assert used / 5 < IDLE_CORE_SHARE
    assert process.memory_info().rss < IDLE_BYTES


async def test_the_command_serves_where_it_says_and_stops_on_sigterm(tmp_path: Path) -> None:
    config = tmp_path / "sim.yaml"
    config.write_text(
        "plants:\n  furnace: {port: 0}\n  compressor: {port: 0}\n"
        f"  bottling: {{mqtt_port: {free_port()}}}\n",
        encoding="utf-8",
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.cli", "run", "--config", str(config),
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = json.loads(await asyncio.wait_for(process.stdout.readline(), 100))
        assert line["event"] == "simulators_started"
        async with httpx.AsyncClient(base_url=line["control"], trust_env=False) as http:
            assert (await http.get("/healthz")).json() == {"status": "ok"}
            assert (await http.get("/state")).json()["endpoints"] == line["endpoints"]
        await assert_idle(psutil.Process(process.pid))
        process.terminate()
        assert await asyncio.wait_for(process.wait(), 20) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "sim.yaml"
        config.write_text(f"plants:\n  compressor: {{port: {port}}}\n", encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simulators.cli", "run", "--config", str(config),
            stderr=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        _, err = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 2
    assert str(port) in err.decode()
    assert "Traceback" not in err.decode()
