"""The figures of the published alarm journals, every file, through the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.cli.alarms import app


@pytest.mark.oracle
def test_every_published_journal_gives_the_expected_figures(outside_data: Path) -> None:
    folder = outside_data / "data" / "tep_alarms"
    expected = json.loads((folder / "expected_kpis.json").read_text())
    files = expected["expected"]
    assert len(files) >= 24
    wrong: dict[str, dict[str, tuple[object, object]]] = {}
    for name, figures in files.items():
        path = folder / f"{name}.csv.gz"
        asked = ["--start", expected["t0"], "--horizon", str(expected["horizon_s"]), "--json"]
        answer = CliRunner().invoke(app, ["kpi", str(path), *asked])
        assert answer.exit_code == 0, answer.output
        got = json.loads(answer.stdout)
        assert got.keys() == figures.keys()
        if bad := {k: (got[k], figures[k]) for k in figures if got[k] != figures[k]}:
            wrong[name] = bad
    assert wrong == {}
    print(f"alarm figures: {len(files)}/{len(files)} journals equal the expected ones")
