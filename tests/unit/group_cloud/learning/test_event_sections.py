"""The back-test's sections on events and on tables, on small made-up data by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from group_cloud.learning.backtest import section_tables
from group_cloud.learning.backtest.plant import PlantError
from group_cloud.learning.backtest.table_limits import index_of
from group_cloud.learning.backtest.table_rows import read_series
from group_cloud.learning.cli import app
from tests.unit.group_cloud.learning.small_plants import write_plants


def _run(data: Path, *asked: str) -> dict[str, Any]:
    answer = CliRunner().invoke(app, ["backtest", str(data), "--json", *asked])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_a_factory_that_joins_is_warned_by_the_others(tmp_path: Path) -> None:
    """Frozen coefficients of one plant see the faults of another; the answer says simulated."""
    write_plants(tmp_path, ("mill_A1", "mill_B3"))
    found = _run(tmp_path, "--score", "B3", "--only", "warning,floods,nuisance,drift")
    assert found["simulated"] is True
    total = found["warning"]["total"]
    assert found["warning"]["factories"].keys() == {"mill_B3"}
    assert total["auc"] > 0.9
    assert total["sensitivity_at_10"] > 0.7
    assert total["brier"] < total["brier_of_base_rate"]
    assert total["at_threshold"]["faults_warned"] >= 8
    # One cause is nothing to tell apart: all is unknown, and said so.
    assert found["floods"]["total"]["unknown_recall"] == 1.0
    assert found["nuisance"]["total"]["alarms"] > 50
    assert found["drift"]["factories"].keys() == {"mill_B3"}


def _table(rows: int = 900) -> dict[str, Any]:
    random = np.random.default_rng(1)
    start = np.datetime64("2026-03-01T00:00:00", "us")
    parts: dict[str, list[Any]] = {"at": [], "flow": [], "heat": [], "file": [], "anomaly": []}
    for file in range(6):
        truth = np.zeros(rows, np.int8)
        truth[600:800] = 1
        parts["at"].append(start + np.timedelta64(file, "D") + np.arange(rows).astype("m8[s]"))
        parts["flow"].append(random.normal(5, 1, rows) + 4 * truth)
        parts["heat"].append(random.normal(60, 2, rows))
        parts["file"].append(np.full(rows, f"run {file}", object))
        parts["anomaly"].append(truth)
    return {name: np.concatenate(columns) for name, columns in parts.items()}


def test_a_table_is_recognised_by_its_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns from late, partly wrong feedback, and says by which protocol."""
    monkeypatch.setattr(section_tables, "FEWEST", 100)
    monkeypatch.setattr(section_tables, "ORDERS", 2)
    file = tmp_path / "runs.parquet"
    pq.write_table(pa.table(_table()), file)
    found = _run(file)
    assert found["simulated"] is False
    table = found["table"]
    assert (table["tags"], table["series"], table["scored_series"]) == (2, 6, 6)
    assert table["always_alarm_f1"] == pytest.approx(0.5714, abs=1e-3)
    assert table["logistic_after_series"]["f1"] > table["always_alarm_f1"] + 0.1
    assert "10 % of it wrong" in table["logistic_after_series"]["protocol"]
    limits = table["limits"]
    assert limits["deadband_delays"]["false_per_hour"] < limits["plain"]["false_per_hour"] / 5
    assert limits["learned"]["missed"] <= limits["plain"]["missed"]
    assert limits["plain"]["anomalies"] == 12


def test_a_table_without_labels_is_refused() -> None:
    """And a row's features are of its own past."""
    columns = _table()
    with pytest.raises(PlantError, match="anomaly"):
        read_series({name: c for name, c in columns.items() if name != "anomaly"})
    series, tags = read_series(columns)
    changed = {name: column.copy() for name, column in columns.items()}
    changed["flow"][700:900] += 50
    again, _ = read_series(changed)
    assert tags == ("flow", "heat")
    assert np.array_equal(series[0].seen[:700], again[0].seen[:700])
    assert not np.array_equal(series[0].seen[700:], again[0].seen[700:])
    assert index_of((3.0, 0.0, 0, 0)) != index_of((3.0, 1.0, 5_000, 30_000))
