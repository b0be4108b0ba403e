"""Reading journals from files: noise of the clock, disorder, other columns, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from shared.alarm.kpi.csv_journal import time_ns
from shared.cli.alarms import app

HEAD = ",timestamp,tag,type,description\n"


def run(path: Path, *more: str) -> dict[str, Any]:
    answer = CliRunner().invoke(app, ["kpi", str(path), "--json", *more])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def refused(path: Path, *more: str) -> str:
    answer = CliRunner().invoke(app, ["kpi", str(path), *more])
    assert answer.exit_code == 2, answer.output
    return answer.output


def journal(tmp_path: Path, *rows: str, head: str = HEAD, name: str = "j.csv") -> Path:
    path = tmp_path / name
    path.write_text(head + "".join(f"{i},{row}\n" for i, row in enumerate(rows)))
    return path


def test_a_few_nanoseconds_are_rounded_away_and_never_truncated(tmp_path: Path) -> None:
    # 60 s exactly, but for the noise: neither fleeting nor, three times in it, chattering.
    path = journal(
        tmp_path,
        "2024-05-01 00:09:00.000000001,T,H,x", "2024-05-01 00:09:59.999999998,T,H NR,x",
        "2024-05-01 00:09:59.999999999,U,H,x", "2024-05-01 00:10:00.000000002,U,H NR,x",
    )  # fmt: skip
    got = run(path, "--start", "2024-05-01")
    assert (got["fleeting"], got["max_bin"], got["sorted_in_file"]) == (1, 1, True)


def test_rows_out_of_order_count_as_if_in_order(tmp_path: Path) -> None:
    rows = [f"2024-05-01 00:{m:02d}:00,T,{t},x" for m, t in ((1, "H"), (3, "H NR"), (4, "H"))]
    straight = run(journal(tmp_path, *rows))
    mixed = run(journal(tmp_path, rows[1], rows[2], rows[0]))
    assert mixed.pop("sorted_in_file") is False
    assert straight.pop("sorted_in_file") is True
    assert mixed == straight
    assert mixed["orphan_off"] == 0


def test_columns_in_any_order_and_zones_and_priorities_and_gzip(tmp_path: Path) -> None:
    text = (
        "Type,priority,TIMESTAMP,extra,Tag\n"
        "HIHI,1,2024-05-01T08:00:00.5+08:00,,T\n\nHIHI NR,1,2024-05-01T00:02:00Z,,T\n"
        "HIHI,2,2024-05-01 00:03:00,,T\nODD,,2024-05-01 00:04:00.25Z,,T\n"
    )
    path = tmp_path / "j.csv.gz"
    path.write_bytes(gzip.compress(("\ufeff" + text).encode()))
    got = run(path)
    assert got["prio"] == {"1": 1, "2": 1, "other": 1}
    assert (got["annunciations"], got["orphan_off"], got["bins"]) == (3, 0, 1)


def test_an_empty_journal_has_figures_too(tmp_path: Path) -> None:
    got = run(journal(tmp_path), "--start", "2024-05-01T00:00:00", "--horizon", "547200")
    assert (got["annunciations"], got["bins"], got["top10_pct"]) == (0, 912, 0.0)
    assert run(journal(tmp_path))["bins"] == 0


def test_start_and_horizon_cut_and_what_stood_before_stands(tmp_path: Path) -> None:
    path = journal(
        tmp_path, "2024-05-01 00:00:00,T,H,x", "2024-05-01 01:00:00,U,H,x",
        "2024-05-01 01:10:00,U,H NR,x",
    )  # fmt: skip
    got = run(path, "--start", "2024-05-01T00:30:00", "--horizon", "2400")
    # The return comes exactly where the period ends, which does not belong to it.
    assert (got["annunciations"], got["standing_at_end"], got["orphan_off"]) == (1, 2, 0)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("yesterday,T,H,x", "'yesterday' is no time"),
        ("2024-05-01 00:00:60,T,H,x", "is no time"),
        ("2024-05-01 00:00:20,,H,x", "no tag"),
        ("2024-05-01 00:00:20,T", "no type"),
        ("2024-05-01 00:00:20,T,H XX,x", "'XX'"),
    ],
)
def test_a_bad_row_is_named_by_its_line_with_a_mend(tmp_path: Path, row: str, told: str) -> None:
    output = refused(journal(tmp_path, "2024-05-01 00:00:20,T,H,x", row))
    assert "j.csv:3" in output
    assert told in output
    assert "mend" in output


def test_what_is_no_journal_is_refused(tmp_path: Path) -> None:
    assert "no column type" in refused(journal(tmp_path, head=",timestamp,tag\n"))
    (tmp_path / "empty").write_bytes(b"")
    assert "no column timestamp" in refused(tmp_path / "empty")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(HEAD.encode() * 50)[:-10])
    assert "mend" in refused(tmp_path / "cut.gz")
    assert "correct the path" in refused(tmp_path / "not-there.csv")
    assert "--horizon" in refused(journal(tmp_path), "--horizon", "-1")
    assert "--start" in refused(journal(tmp_path), "--start", "noon")


def test_thresholds_come_from_a_file_and_its_faults_have_a_place(tmp_path: Path) -> None:
    rows = [f"2024-05-01 00:00:{s:02d},T,H,x" for s in (0, 10, 20)]
    path, limits = journal(tmp_path, *rows), tmp_path / "kpi.yaml"
    assert run(path)["chattering"] == 1
    limits.write_text("chattering:\n  count: 4\nflood: {over: 2, below: 1}\n")
    got = run(path, "--limits", str(limits))
    assert (got["chattering"], got["floods"]) == (0, 1)
    limits.write_text("chattering:\n  count: none\n")
    assert "kpi.yaml:2:" in refused(path, "--limits", str(limits))


@pytest.mark.parametrize(
    "text", ["2024-05-01T00:00:20.000000001", "2024-05-01 00:00:20.000000001Z"]
)
def test_times_are_exact_to_the_nanosecond(text: str) -> None:
    assert time_ns(text) == 1_714_521_620_000_000_001
    assert time_ns("2024-05-01T08:00:20.000000001+08:00") == time_ns(text)
