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
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_check_25_a_drill_end_to_end(running_system: RunningSystem, tmp_path: Path) -> None:
    state = ["--state", str(running_system.state)]
    writes = len([w for w in running_system.writes("furnace") if w["address"] == BURNER])
    report = asked("drill", str(FILE), *state)
    assert report["passed"], report["misses"]
    assert report["drill"]
    trace = {step["path"]: step for step in report["trace"]}
    held = trace["/steps/hold-heat"]
    assert held["data"]["args"]["output_pct"] > 0
    assert held["took_ms"] is not None
    assert report["coverage"]["steps"]["percent"] > 60
    assert "page-maintenance" in report["coverage"]["steps"]["missing"]
    found = [w for w in running_system.writes("furnace") if w["address"] == BURNER]
    assert len(found) > writes  # it was the simulator's own device that was written

    run = running_system.get("f1", f"/api/runs/{report['run']}")
    assert run["drill"]
    journal = asked("trace", report["run"], "--factory", "f1", *state)
    rows = [row["data"] for row in journal["rows"]]
    told = [row["message"] for row in rows if "message" in row]
    questions = [row["question"] for row in rows if "question" in row]
    assert told
    assert questions
    for words in (*told, *questions):
        assert words["zh"].startswith("【演练】")
        assert words["en"].startswith("DRILL: ")

    saved = tmp_path / "run.json"
    saved.write_text(json.dumps(journal), encoding="utf-8")
    again = asked("replay", str(saved))
    assert again["same"]
    assert again["rows"] == again["of"] > 10
