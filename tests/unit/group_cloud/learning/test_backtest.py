"""The back-test: its protocol on small plants by the command, its rows on the recorded ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from group_cloud.learning.backtest.engineer import ENGINEERS, told
from group_cloud.learning.backtest.fault_log import LogQuality, keep_log
from group_cloud.learning.backtest.history import points_of
from group_cloud.learning.backtest.measure import auc, measure
from group_cloud.learning.backtest.plant import Plant, read_folder
from group_cloud.learning.cli import app
from tests.unit.group_cloud.learning.small_plants import write_plants

KEYS = {"false_per_day", "missed", "median_delay_min", "standing_h_per_day", "auc"}


@pytest.fixture(scope="module")
def plants(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plants")
    write_plants(folder)
    return folder


def _run(folder: Path, *asked: str) -> dict[str, Any]:
    answer = CliRunner().invoke(app, ["backtest", str(folder), "--json", *asked])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_the_command_runs_the_protocol_and_names_every_figure(plants: Path) -> None:
    """Learned limits are quieter than three sigma and miss no more; the same again by seed."""
    asked = ("--only", "settings", "--score", "B3")
    found = _run(plants, *asked)
    assert found["simulated"] is True
    assert found["scored"] == ["mill_B3"]
    settings = found["settings"]
    assert list(settings)[:4] == ["E0", "E1", "E2", "learned"]
    for rows in settings.values():
        assert rows["total"].keys() >= KEYS
        assert rows["factories"].keys() == {"B3"}
        assert rows["factories"]["B3"] == rows["total"]
    learned, naive = settings["learned"]["total"], settings["E0"]["total"]
    assert naive["false_per_day"] > 10
    assert learned["false_per_day"] < naive["false_per_day"] / 10
    assert learned["missed"] <= naive["missed"]
    assert learned["faults"] == 9
    again = _run(plants, *asked)
    assert again["settings"]["learned"]["total"] == learned


def test_a_factory_that_is_not_there_is_named(plants: Path) -> None:
    answer = CliRunner().invoke(app, ["backtest", str(plants), "--score", "F9"])
    assert answer.exit_code == 2
    assert "F9" in answer.output
    assert "mill_A1" in answer.output


def test_the_record_of_faults_is_kept_as_badly_as_asked(plants: Path) -> None:
    """Some are missing, some never were, all are late, and the same by seed."""
    plant = read_folder(plants)[0]
    good = keep_log(plant, LogQuality(0.0, 0.0, (0.0, 0.0)))
    assert [(e.start, e.end) for e in good] == [(f.start, f.end) for f in plant.faults]
    bad = LogQuality(0.3, 0.3, (7.0, 7.0), seed=5)
    kept = keep_log(plant, bad)
    assert kept == keep_log(plant, bad)
    assert kept != keep_log(plant, LogQuality(0.3, 0.3, (7.0, 7.0), seed=6))
    assert all(entry.written - entry.end == pytest.approx(7 * 1440) for entry in kept)
    true = {(f.start, f.end) for f in plant.faults}
    assert sum((e.start, e.end) not in true for e in kept) == 3


def _plant() -> Plant:
    """Eight days; a fault on day 5 from 12:00 to 14:00, then an hour of running up."""
    minutes = np.arange(8 * 1440)
    state = np.zeros(len(minutes), np.int16)
    start = 5 * 1440 + 720
    state[start : start + 120], state[start + 120 : start + 180] = 4, -1
    plant = Plant("P1", minutes, state, {"T": np.zeros(len(minutes))}, ())
    from group_cloud.learning.backtest.plant import Fault

    return Plant("P1", minutes, state, plant.tags, (Fault(4, start, start + 120.0),))


def _figures(*episodes: tuple[float, float]) -> dict[str, Any]:
    raised, cleared = np.array(episodes, float).reshape(-1, 2).T
    return measure(_plant(), [(raised, cleared)]).figures()


def test_figures_are_what_the_protocol_says() -> None:
    """Recovery is ignored, a fault needs an alarm that begins in it and lasts."""
    start, days = 5 * 1440 + 720, 4 - 180 / 1440
    assert _plant().first_scored == 4 * 1440
    nothing = _figures()
    assert (nothing["false_per_day"], nothing["missed"], nothing["auc"]) == (0, 1, 0.5)
    false = _figures((4 * 1440 + 5, 4 * 1440 + 65))
    assert false["false_per_day"] == pytest.approx(1 / days, abs=1e-3)
    assert false["standing_h_per_day"] == pytest.approx(1 / days, abs=1e-3)
    # Commissioning and running up count for nobody.
    assert _figures((10, 20), (start + 130, start + 140))["false_per_day"] == 0
    caught = _figures((start + 30, start + 40))
    assert (caught["missed"], caught["median_delay_min"], caught["auc"]) == (0, 30, 1.0)
    assert _figures((start + 30, start + 34))["missed"] == 1
    assert _figures((start - 3, start + 90))["missed"] == 1
    assert _figures((start + 121, start + 150))["missed"] == 1


def test_auc_is_a_half_for_chance_and_ties() -> None:
    assert auc([1, 1], [1, 1]) == 0.5
    assert auc([2, 0], [1]) == 0.5
    assert auc([2, 3], [1, 0, 1]) == 1.0
    assert auc([], [1]) is None


@pytest.mark.oracle
def test_engineers_rows_on_a_recorded_factory(outside_data: Path) -> None:
    """Held against the known figures of five such factories: E0 859, E1 317, E2 34.5 a day, 10,
    10 and 13 of 266 missed; this one has the fewest alarms of them."""
    folder = outside_data / "data" / "tepsim"
    plant = next(p for p in read_folder(folder) if p.name.endswith("F1"))
    points = points_of(plant, ("raw",))
    rows = {e.name: measure(plant, [told(e, plant, p) for p in points]) for e in ENGINEERS}
    got = {name: row.figures() for name, row in rows.items()}
    assert [got[n]["false_per_day"] for n in got] == pytest.approx([598.6, 299.7, 23.5], rel=0.01)
    assert [got[n]["missed"] for n in got] == [4, 3, 3]
    assert got["E0"]["faults"] == 51
