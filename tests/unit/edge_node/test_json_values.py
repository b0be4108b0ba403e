"""Paths, times and values of bodies, rows and files."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from edge_node.adapters.sources.json_values import (
    MISSING,
    as_raw,
    look_up,
    parse_path,
    parse_time,
)

BODY = {"a": [{"b.c": 1, "d/e": 2, "~": 3}], "x": {"0": "zero"}, "n": None}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a/0/b.c", 1), ("/a/0/d~1e", 2), ("/a/0/~0", 3), ("x.0", "zero"), ("/x/0", "zero"),
        ("n", None), ("a[0]", BODY["a"][0]), ("", BODY), ("/a/1", MISSING), ("/a/-", MISSING),
        ("x.y.z", MISSING), ("n.m", MISSING), ("/a/x", MISSING),
    ],
)  # fmt: skip
def test_pointers_and_dotted_paths(path: str, found: Any) -> None:
    assert look_up(BODY, parse_path(path)) is found or look_up(BODY, parse_path(path)) == found


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", "a[x]", "a[0]b", "[", "a]"])
def test_wrong_paths_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="no path"):
        parse_path(path)


MS = 1_700_000_000_123


@pytest.mark.parametrize(
    ("given", "unit", "wanted"),
    [
        (MS, "auto", MS), (MS / 1000, "auto", MS), (str(MS), "ms", MS), ("1.5", "s", 1500),
        ("2023-11-14T22:13:20.123Z", "auto", MS), ("2023-11-14T22:13:20.123+00:00", "iso", MS),
        (datetime.fromtimestamp(MS / 1000, UTC), "auto", MS), (0, "auto", 0),
        (True, "auto", None), (None, "auto", None), ("soon", "auto", None), (MS, "iso", None),
        (float("nan"), "auto", None), (-5, "ms", None), (1e300, "ms", None), ("x", "iso", None),
    ],
)  # fmt: skip
def test_times(given: Any, unit: Any, wanted: int | None) -> None:
    assert parse_time(given, unit) == wanted


def test_a_time_without_a_zone_is_of_the_given_zone() -> None:
    shanghai = parse_time("2023-11-15 06:13:20.123", "auto", ZoneInfo("Asia/Shanghai"))
    assert shanghai == MS


@pytest.mark.parametrize(
    ("value", "kind", "wanted"),
    [
        ("4.5", "number", 4.5), ("x", "number", None), (Decimal("2.5"), "number", 2.5),
        ("On", "boolean", True), ("false", "boolean", False), ("1", "boolean", 1.0),
        (7, "string", "7"), ("A", "string", "A"), (None, "string", None), (None, "number", None),
        (True, "boolean", True), ([1], "number", None),
    ],
)  # fmt: skip
def test_values_in_the_tag_s_kind(value: Any, kind: str, wanted: Any) -> None:
    assert as_raw(value, kind) == wanted
