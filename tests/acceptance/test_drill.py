"""Check 25: a drill on the running system, with real edges and simulated plants, marked as one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.cli.playbook import app
from tests.support.running import RunningSystem

FILE = Path(__file__).resolve().parents[1] / "support" / "rehearsal" / "furnace-drill.test.yaml"
BURNER = "ns=2;s=FUR01.Burner.OutSP"


@pytest.fixture(autouse=True)
def _calm(running_system: RunningSystem) -> Any:
    running_system.reset_plants()
    yield
    running_system.reset_plants()


def asked(*words: str) -> dict[str, Any]:
    answer = CliRunner().invoke(app, [*words, "--json"])
    found = json.loads(answer.stdout)
    missed = [(one["name"], one["misses"]) for one in found.get("drills", ())]
    assert answer.exit_code == 0, (missed, found.get("coverage"), found.get("error"))
    return found


def test_check_25_drills_end_to_end(running_system: RunningSystem, tmp_path: Path) -> None:
    state = ["--state", str(running_system.state)]
    writes = len([w for w in running_system.writes("furnace") if w["address"] == BURNER])
    report = asked("drill", str(FILE), *state)
    assert report["passed"], [one["misses"] for one in report["drills"]]
    assert report["drill"]
    venting, slow, refused = report["drills"]
    trace = {step["path"]: step for step in venting["trace"]}
    held = trace["/steps/hold-heat"]
    assert held["data"]["args"]["output_pct"] > 0
    assert held["took_ms"] is not None
    found = [w for w in running_system.writes("furnace") if w["address"] == BURNER]
    assert len(found) > writes  # it was the simulator's own device that was written
    # All drills count together: one alone reaches no time-out and no handler.
    assert report["coverage"]["timeouts"]["percent"] == 100
    assert "page-maintenance" in report["coverage"]["steps"]["missing"]
    hold = next(step for step in refused["trace"] if step["path"] == "/steps/hold-heat")
    assert (hold["data"]["kind"], hold["data"]["reason"]) == ("failed", "write_failed")
    # Waits and time-outs of 15 and 8 minutes have passed in seconds, and the run says so.
    assert slow["time_scale"] == 400
    assert slow["took_ms"] < 60_000

    for one in report["drills"]:
        marked(running_system, one["run"])
        journal = asked("trace", one["run"], "--factory", "f1", *state)
        told = [row["data"]["message"] for row in journal["rows"] if "message" in row["data"]]
        questions = [r["data"]["question"] for r in journal["rows"] if "question" in r["data"]]
        assert told
        for words in (*told, *questions):
            assert words["zh"].startswith("【演练】")
            assert words["en"].startswith("DRILL: ")

        saved = tmp_path / "run.json"
        saved.write_text(json.dumps(journal), encoding="utf-8")
        again = asked("replay", str(saved))  # of the faster one too: its pace is kept with it
        assert again["same"], again["difference"]
        assert again["rows"] == again["of"] > 5


def marked(system: RunningSystem, run: str) -> None:
    """The run says that it is a drill, wherever it is asked for."""
    assert system.get("f1", f"/api/runs/{run}")["drill"]


def test_check_25_only_a_drill_of_simulators_runs_faster(running_system: RunningSystem) -> None:
    refused = running_system.post(
        "f1", "/api/playbooks/furnace-overtemp/runs", {"drill": False, "time_scale": 10}
    )
    assert (refused.status_code, refused.json()["code"]) == (409, "drill_time_scale")
