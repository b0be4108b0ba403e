"""eKuiper's cases of the functions that windows have here: avg, stddev, percentile, lag, changed.

Not run: what are no windowed functions here (arrays, objects, text, time zones, conversions), and
its percentile_cont, whose median of three values is not the middle one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edge_node.domain.windows import Figures, percentile
from edge_node.domain.windows.sliding import Newest

Row = dict[str, Any]


@pytest.fixture(scope="module")
def functions(outside_data: Path) -> list[Row]:
    path = outside_data / "oracles" / "ekuiper_functions.json"
    return json.loads(path.read_text(encoding="utf-8"))["tables"]


def rows_of(tables: list[Row], func: str) -> list[Row]:
    return next(table["rows"] for table in tables if table["func"] == func)


def numbers(values: list[Any]) -> list[float]:
    """Numbers alone: what is null never reaches a window."""
    return [float(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool)]


@pytest.mark.oracle
def test_avg_min_max_stddev(functions: list[Row]) -> None:
    checked = 0
    for row in rows_of(functions, "TestAggExec"):
        if any(isinstance(value, str) for value in row["args"][0]):
            continue  # a text is no sample of a number
        figures = Figures()
        for at, value in enumerate(numbers(row["args"][0])):
            figures.add(at, value)
        for name in ("avg", "min", "max", "stddev"):
            expected = None if row[name] is None else pytest.approx(row[name], rel=1e-12)
            assert figures.figure(name) == expected, (name, row)
            checked += 1
    assert checked == 20


@pytest.mark.oracle
def test_running_aggregates(functions: list[Row]) -> None:
    checked = 0
    for row in rows_of(functions, "TestAccumulateAgg"):
        name = row["name"].removeprefix("acc_")
        figures = Figures()
        for at, (value, expected) in enumerate(zip(row["testargs"], row["results"], strict=True)):
            if isinstance(value, str):
                if name == "count":
                    figures.add(at, 1.0)
                continue
            figures.add(at, float(value))
            assert figures.figure(name) == pytest.approx(expected)
            checked += 1
    assert checked == 25


@pytest.mark.oracle
def test_the_median_is_the_50th_percentile(functions: list[Row]) -> None:
    """Its percentile_cont(0.5) of 100, 150, 200 is 125, so that is no oracle; its median is."""
    for row in rows_of(functions, "TestMedian"):
        if row["input"]:
            found = percentile(sorted(map(float, row["input"])), 50)
            assert found == pytest.approx(row["expected"])
    for row in rows_of(functions, "TestPercentileExec"):
        if isinstance(row.get("pDisc"), int):
            assert percentile(sorted(numbers(row["args"][0])), 50) == row["pDisc"]


@pytest.mark.oracle
@pytest.mark.parametrize(
    ("func", "size"),
    [("TestLagExec", 1), ("TestLagPartition", 1), ("TestLagExecIndex", 2),
     ("TestLagExecIndexWithDefaultValue", 2), ("TestLagExecWithWhen", 1),
     ("TestLagPartitionWithWhen", 1)],
)  # fmt: skip
def test_lag(functions: list[Row], func: str, size: int) -> None:
    windows: dict[str, Newest] = {}
    for row in rows_of(functions, func):
        value, *middle, when, key = row["args"]
        if any(isinstance(x, int) and not isinstance(x, bool) and x > 2 for x in middle):
            continue  # an argument of a wrong type: refused at load here
        default = next((x for x in middle if isinstance(x, str)), None)
        window = windows.setdefault(key, Newest(size))
        # Here lag is asked after a sample, there before: `size` before the newest to come.
        points = list(window._points)
        found = points[-size][1] if len(points) >= size else default
        assert found == row["result"], row
        if when and value is not None:
            window.add(0, value)
            before = [p[1] for p in list(window._points)]
            assert window.figure("lag") == (before[0] if len(before) > size else None)


@pytest.mark.oracle
@pytest.mark.parametrize("func", ["TestHadChangedExec", "TestHadChangedPartition"])
def test_changed(functions: list[Row], func: str) -> None:
    """`changed("TAG", "1 samples")` for each column; the first value counts as a change there."""
    windows: dict[tuple[str, int], Newest] = {}
    codes: dict[str, int] = {}
    checked = 0
    for row in rows_of(functions, func):
        ignore_null, *columns, _, key = row["args"]
        if not isinstance(ignore_null, bool):
            continue
        answers = []
        for place, value in enumerate(columns):
            window = windows.setdefault((key, place), Newest(1))
            if value is None:
                continue
            first = not window._points
            window.add(checked, float(codes.setdefault(str(value), len(codes))))
            answers.append(True if first else window.figure("changed"))
        assert any(answers) is row["result"], row
        checked += 1
    assert checked == 7


@pytest.mark.oracle
def test_last(functions: list[Row]) -> None:
    window = Newest(1)
    for row in rows_of(functions, "TestLatestExec"):
        if row["args"][0] is not None:
            window.add(0, row["args"][0])
        points = list(window._points)
        assert (points[-1][1] if points else None) == row["result"]
