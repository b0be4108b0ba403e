"""What a setting, a shelf or a suppression would have hidden: by hand, by law, and by the published
journals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from shared.alarm.episodes import episodes
from shared.alarm.point import Setting
from shared.alarm.replay import Delays, Hiding, compare, delayed, tried, uncovered
from shared.cli.alarms import app

JOURNAL = {"A|H": [(0, 10_000), (20_000, 90_000)], "B|L": [(5_000, 95_000), (100_000, None)]}


def run(*words: str) -> dict:
    answer = CliRunner().invoke(app, ["replay", *words, "--json"])
    assert answer.exit_code == 0, answer.output
    return json.loads(answer.stdout)


def test_delays_hide_what_is_short_and_join_what_comes_back():
    assert delayed([(0, 59), (100, 160), (200, None)], 60, 0) == [(160, 160), (260, None)]
    assert delayed([(0, 10), (15, 20), (40, 50)], 0, 10) == [(0, 30), (40, 60)]
    only_a = tried(JOURNAL, (Delays(30_000, 0, "A|*"),))
    assert only_a == {"A|H": [(50_000, 90_000)], "B|L": JOURNAL["B|L"]}


def test_a_shelf_tells_afterwards_what_still_stands():
    assert uncovered([(0, 10), (20, 90), (95, 99)], [(5, 30)]) == [(0, 10), (30, 90), (95, 99)]
    assert uncovered([(20, 25), (50, None)], [(10, None)]) == []
    shelf = Hiding("A|H", 0, 15_000)
    assert tried(JOURNAL, (shelf,))["A|H"] == [(20_000, 90_000)]


def test_a_suppression_holds_while_the_other_alarm_stands():
    told = tried(JOURNAL, (Hiding("*", cause="B|L"),))
    assert told == {"A|H": [(0, 10_000)], "B|L": JOURNAL["B|L"]}


def test_each_alarm_vanishes_comes_later_or_stays():
    found = compare([(0, 10), (20, 90), (100, 200)], [(50, 90), (120, 130), (140, 150)])
    assert (found.before, found.after) == (3, 3)
    assert found.vanish == [(0, 10)]
    assert [(each.raised_at, each.told_at) for each in found.later] == [(20, 50), (100, 120)]
    assert found.new == [(140, 150)]


@given(
    st.lists(st.integers(1, 400), max_size=40), st.integers(0, 300), st.integers(0, 300)
)  # fmt: skip
def test_the_journals_delays_are_those_of_the_kernel(steps: list[int], on_ms: int, off_ms: int):
    # Beyond and back in turn, never at the very instant of a delay: there the sample has the say.
    times = [0]
    for step in steps:
        times.append(times[-1] + 2 * step + 1)
    values = [float(place % 2 == 0) for place in range(len(times))]
    end = times[-1] + 10_000
    raw = episodes(times, values, Setting(0.5), "HI", until=end)
    setting = Setting(0.5, 0.0, 2 * on_ms, 2 * off_ms)
    assert delayed(raw, 2 * on_ms, 2 * off_ms) == episodes(times, values, setting, "HI", until=end)


@given(st.lists(st.integers(1, 99), max_size=30), st.integers(0, 99), st.integers(0, 99))
def test_what_is_compared_adds_up(steps: list[int], on_ms: int, off_ms: int):
    times = [sum(steps[:n]) for n in range(len(steps))]
    raw = list(zip(times[::2], times[1::2], strict=False))
    found = compare(raw, delayed(raw, on_ms, off_ms))
    assert found.before - found.after == len(found.vanish) - len(found.new)
    assert found.new == []


def test_samples_are_replayed_by_the_function_that_runs_live(tmp_path: Path):
    file = tmp_path / "t.csv"
    rows = [f"2024-05-01T00:00:{n:02d},{90 if n in (5, 20, 21, 22, 23) else 10}" for n in range(40)]
    file.write_text("time,TT\n" + "\n".join(rows))
    found = run(str(file), "--tag", "TT", "--now", "limit=80", "--set", "on=2", "--set", "limit=95")
    first, second = found["files"]["t.csv"]["trials"]
    assert (first["before"], first["after"], first["vanish"], first["later"]) == (2, 1, 1, 1)
    assert first["vanished"][0]["lasted_s"] == 1.0
    assert (second["after"], second["removed_pct"]) == (0, 100.0)


def test_a_filter_is_tried_by_name(tmp_path: Path):
    """Spikes of a minute in an hour: the mean of 5 min, once it knows its window, sees none."""
    file = tmp_path / "t.csv"
    rows = [f"2024-05-01T00:{n // 6:02d}:{n % 6}0,{90 if n % 30 == 7 else 10}" for n in range(360)]
    file.write_text("time,TT\n" + "\n".join(rows))
    words = ["--tag", "TT", "--now", "limit=80", "--set", "filter=mean5min"]
    found = run(str(file), *words)["files"]["t.csv"]["trials"]
    # The first spike comes while the window fills: the limit is held against samples until then.
    assert [(each["before"], each["after"]) for each in found] == [(12, 1)]
    bad = CliRunner().invoke(app, ["replay", str(file), *words[:4], "--set", "filter=median"])
    assert bad.exit_code == 2


@pytest.mark.parametrize(
    "words",
    [
        [], ["--set", "on=-1"], ["--set", "delay=5"], ["--set", "on=inf"],
        ["--suppress", "A|H"], ["--shelve", "A@soon/"],
    ],
)  # fmt: skip
def test_what_cannot_be_tried_says_how_to_mend_it(tmp_path: Path, words: list[str]):
    file = tmp_path / "j.csv"
    file.write_text("timestamp,tag,type\n2024-05-01 00:00:01,A,H\n")
    answer = CliRunner().invoke(app, ["replay", str(file), *words, "--json"])
    assert answer.exit_code == 2
    told = json.loads(answer.stdout)
    assert told["holds"] is False
    assert told["faults"][0]["mend"]


@pytest.mark.oracle
def test_on_delays_over_the_published_journals(outside_data: Path):
    folder = outside_data / "data" / "tep_alarms"
    files = [str(path) for path in sorted(folder.glob("original_*.csv.gz"))]
    assert len(files) >= 8
    found = run(*files, "--set", "on=15", "--set", "on=30", "--set", "on=60", "--list", "1")
    assert found["total"]["alarms"] == 37_434
    removed = [each["removed_pct"] for each in found["total"]["trials"]]
    assert removed == pytest.approx([62.02, 78.54, 91.61], abs=0.01)
    expected = json.loads((folder / "expected_kpis.json").read_text())["expected"]
    for name, each in found["files"].items():
        figures = expected[name.removesuffix(".csv.gz")]
        assert each["alarms"] == figures["annunciations"] - figures["dup_on"]
        # What a 60 s delay hides is what the figures call fleeting: shorter than 60 s.
        assert each["trials"][2]["removed"] == figures["fleeting"]
    print(f"on-delays 15/30/60 s remove {removed} % of {found['total']['alarms']} activations")
