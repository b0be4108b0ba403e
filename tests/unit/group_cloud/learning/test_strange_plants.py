"""Folders of plants that others bring: what is wrong is named with its mending, the rest runs."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from group_cloud.learning.backtest.engineer import ENGINEERS, told
from group_cloud.learning.backtest.history import points_of
from group_cloud.learning.backtest.plant import Plant, read_folder, short_names
from group_cloud.learning.cli import app
from tests.unit.group_cloud.learning.small_plants import write_plants

Columns = dict[str, Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_plants(tmp_path, ("mill_A1", "mill_B3"))
    return tmp_path


def _change(file: Path, change: Callable[[Columns], Columns]) -> None:
    table = pq.read_table(file)
    columns = {name: table[name].to_numpy().copy() for name in table.column_names}
    pq.write_table(pa.table(change(columns)), file)


def _rows(folder: Path, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
    file = folder / "events.csv"
    with file.open(newline="") as opened:
        rows = [change(row) for row in csv.DictReader(opened)]
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def _refused(folder: Path, *asked: str) -> str:
    answer = CliRunner().invoke(app, ["backtest", str(folder), "--json", *asked])
    assert answer.exit_code == 2, answer.output
    return answer.output


def _drop(name: str) -> Callable[[Columns], Columns]:
    return lambda columns: {n: c for n, c in columns.items() if n != name}


def _set(name: str, value: Callable[[Any], Any]) -> Callable[[Columns], Columns]:
    return lambda columns: {**columns, name: value(columns[name])}


def _holed(state: Any) -> Any:
    state = state.astype(float)
    state[99] = np.nan
    return state


PLANTS = {
    "no state": (_drop("idv"), ["mill_A1.parquet", "idv", "0 when all is well"]),
    "dates": (
        _set("minute", lambda m: m.astype("datetime64[m]").astype("datetime64[s]")),
        ["minute", "whole minutes"],
    ),
    "ten minutes": (_set("minute", lambda m: m * 10), ["rises by 10", "one row per minute"]),
    "not rising": (_set("minute", lambda m: np.where(m == 50, 49, m)), ["row 50", "not rise"]),
    "a hole": (_set("idv", _holed), ["row 100", "no value in column idv"]),
    "no tags": (lambda c: {n: c[n] for n in ("minute", "idv")}, ["no column of numbers"]),
}
EVENTS = {
    "dates": (lambda r: {**r, "start_min": "2026-05-03 10:00"}, ["events.csv:2", "not dates"]),
    "hours": (
        lambda r: {**r, "start_min": str(float(r["start_min"] or 0) / 60),
                   "end_min": str(float(r["end_min"] or 1) / 60)},
        ["faults of mill_A1", "time zone"],
    ),
    "seconds": (
        lambda r: {**r, "start_min": str(float(r["start_min"] or 0) * 60),
                   "end_min": str(float(r["end_min"] or 1) * 60)},
        ["mill_A1 at minute", "another unit or clock"],
    ),
    "backwards": (lambda r: {**r, "end_min": "5"}, ["events.csv:2", "ends before it began"]),
    "no factory": (lambda r: {**r, "factory": "x"}, ["events.csv:2", "last number in the name"]),
}  # fmt: skip


@pytest.mark.parametrize("case", PLANTS)
def test_a_plant_that_cannot_be_read_says_where_and_how_to_mend_it(folder: Path, case: str) -> None:
    change, wanted = PLANTS[case]
    _change(folder / "mill_A1.parquet", change)
    said = _refused(folder)
    assert all(text in said for text in wanted), said


@pytest.mark.parametrize("case", EVENTS)
def test_a_list_of_faults_of_another_clock_is_not_taken(folder: Path, case: str) -> None:
    change, wanted = EVENTS[case]
    _rows(folder, change)
    said = _refused(folder)
    assert all(text in said for text in wanted), said


def test_two_files_of_one_number_and_unknown_sections_are_named(folder: Path) -> None:
    assert "settings" in _refused(folder, "--only", "nonsense")
    (folder / "mill_A1.parquet").rename(folder / "mill_B03.parquet")
    said = _refused(folder)
    assert "mill_B03.parquet" in said
    assert "mill_B3.parquet" in said


def test_one_factory_alone_with_holes_and_without_faults_still_has_its_rows(folder: Path) -> None:
    """No group, no fault, samples missing, a clock that has run for years."""
    (folder / "mill_B3.parquet").unlink()
    (folder / "events.csv").unlink()

    def change(columns: Columns) -> Columns:
        holed = np.where(columns["minute"] % 7 == 0, np.nan, columns["XMEAS9"])
        quiet = np.where(columns["idv"] != 0, 50.0, holed)
        late = np.where(columns["minute"] < 10 * 1440, np.nan, 1.0)
        clock = columns["minute"].astype(np.int64) + 20_000 * 1440
        return {"minute": clock, "idv": np.zeros(len(clock), np.int8), "XMEAS9": quiet, "L8": late}

    _change(folder / "mill_A1.parquet", change)
    answer = CliRunner().invoke(app, ["backtest", str(folder), "--json", "--only", "settings"])
    assert answer.exit_code == 0, answer.output
    settings = json.loads(answer.stdout)["settings"]
    for rows in settings.values():
        total = rows["total"]
        assert rows["factories"].keys() == {"A1"}
        assert (total["missed"], total["faults"]) == (0, 0)
        assert total["median_delay_min"] is total["auc"] is None
        assert total["false_per_day"] >= 0
    assert read_folder(folder)[0].tags.keys() == {"XMEAS9"}


def test_plants_answer_to_whole_names_last_parts_and_numbers() -> None:
    """And to nothing that two of them share."""
    one = np.zeros(1)
    made = [
        Plant(name, one.astype(int), one.astype(np.int16), {}, ())
        for name in ("east_F1", "west_F1", "north_7b_F12")
    ]
    known = short_names(made)
    assert known.keys() == {"east_f1", "west_f1", "north_7b_f12", "f12", "12"}


def test_a_sample_on_the_limit_is_beyond_it_whatever_the_rounding() -> None:
    """Records are rounded to a twentieth of a sigma, and then to a few digits."""
    minutes = np.arange(6 * 1440)
    random = np.random.default_rng(1)
    values = 100.0 + np.round(random.normal(0.0, 1.0, len(minutes)) * 20) / 20
    plant = Plant("P1", minutes, np.zeros(len(minutes), np.int16), {"T": values}, ())
    point = points_of(plant, ("raw",))[0]
    naive = ENGINEERS[0]
    for error in (-0.01, 0.0, 0.01):
        level = point.mean + (naive.sigmas + error) * point.sigma
        held = np.full(len(minutes), point.mean)
        held[3000:3010] = level
        raised, cleared = told(naive, Plant("P1", minutes, plant.state, {"T": held}, ()), point)
        assert (raised.tolist(), cleared.tolist()) == ([3000.0], [3010.0])
