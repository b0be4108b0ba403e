"""Alignment of process steps: by time, belt, unit id and gate; values say how they came about."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.domain.alignment import Along, Belt, ByGate, ByUnit, Row, Step, Stream

GOOD, BAD = 0, 2


def belt_line(**more: object) -> Along:
    streams = [Stream("HEAT", at=0.0, **more), Stream("WIDTH", at=10.0)]  # type: ignore[arg-type]
    return Along(streams, belt=Belt("SPEED"))


def test_a_belt_of_changing_speed_joins_the_same_metre() -> None:
    line = belt_line(tolerance=0.001)
    rows: list[Row] = []
    # 1 m/s for 5 s, then 0.5 m/s: what passed HEAT at 2 s is at WIDTH (10 m on) at 14 s + ...
    line.feed("SPEED", 0, 1.0, GOOD)
    line.feed("HEAT", 2000, 850.0, GOOD)
    line.feed("SPEED", 5000, 0.5, GOOD)
    for second in range(6, 20):
        line.feed("SPEED", second * 1000, 0.5, GOOD)
        rows += line.feed("WIDTH", second * 1000, float(second), GOOD)
    joined = [row for row in rows if row.marks["HEAT"] == ""]
    # Run at t: 5 + 0.5 (t - 5); HEAT stood at 2 m, so WIDTH meets it at 12 m, t = 19 s.
    assert [(row.at, row.values["HEAT"]) for row in joined] == [(19_000, 850.0)]


def test_a_standing_belt_keeps_the_newest_and_a_lost_speed_forgets() -> None:
    line = belt_line()
    line.feed("SPEED", 0, 1.0, GOOD)
    line.feed("SPEED", 1000, 0.0, GOOD)
    line.feed("HEAT", 2000, 1.0, GOOD)
    line.feed("HEAT", 3000, 2.0, GOOD)
    line.feed("SPEED", 4000, 1.0, GOOD)
    line.feed("SPEED", 9000, 1.0, GOOD)
    (row,) = line.feed("WIDTH", 14_000, 5.0, GOOD)
    assert row.values == {"WIDTH": 5.0, "HEAT": 2.0}
    line.feed("SPEED", 60_000, 1.0, GOOD)  # 46 s without a speed: nobody knows where anything is
    (row,) = line.feed("WIDTH", 61_000, 6.0, GOOD)
    assert row.marks["HEAT"] == "missing"
    assert not row.complete
    assert line.counters.unplaced == 1


def test_invalid_samples_are_dropped_and_gaps_filled_only_so_far() -> None:
    streams = [Stream("A", fill="hold", max_gap=1000, low=0, high=100), Stream("B", at=500)]
    line = Along(streams)
    line.feed("A", 0, 5.0, GOOD)
    for value, quality in ((6.0, BAD), (math.nan, GOOD), (101.0, GOOD)):
        assert line.feed("A", 100, value, quality) == []
    (row,) = line.feed("B", 1000, 1.0, GOOD)
    assert (row.values["A"], row.marks["A"]) == (5.0, "filled")
    (row,) = line.feed("B", 1501, 1.0, GOOD)
    assert (row.values["A"], row.marks["A"]) == (None, "missing")
    assert (line.counters.invalid, line.counters.filled, line.counters.missing) == (3, 1, 1)


def test_linear_filling_waits_for_the_next_sample_up_to_the_longest_gap() -> None:
    line = Along([Stream("A", fill="linear", max_gap=2000), Stream("B")])
    line.feed("A", 0, 10.0, GOOD)
    assert line.feed("B", 500, 1.0, GOOD) == []
    (row,) = line.feed("A", 1000, 20.0, GOOD)
    assert (row.at, row.values["A"], row.marks["A"]) == (500, 15.0, "filled")
    assert line.feed("B", 1500, 1.0, GOOD) == []
    (row,) = line.feed("B", 4000, 1.0, GOOD)
    assert (row.at, row.marks["A"]) == (1500, "missing")
    with pytest.raises(ValueError, match="max_gap"):
        Stream("A", fill="linear")


def test_what_is_late_is_marked_and_what_is_too_late_is_counted() -> None:
    line = Along([Stream("A", tolerance=600), Stream("B")], lateness_ms=1000)
    assert line.feed("A", 1000, 1.0, GOOD) == []
    assert line.feed("B", 1500, 9.0, GOOD) == []
    assert line.feed("A", 1400, 3.0, GOOD) == []
    assert line.feed("A", 1200, 2.0, GOOD) == []  # after a newer one of its stream
    assert line.feed("B", 1300, 8.0, GOOD) == []
    rows = line.tick(2600)
    told = [(row.at, row.values["A"], row.marks["A"], row.marks["B"]) for row in rows]
    assert told == [(1300, 2.0, "late", "late"), (1500, 3.0, "", "")]
    assert line.feed("A", 1100, 4.0, GOOD) == []
    assert (line.counters.late, line.counters.too_late) == (2, 1)


def two_steps(**more: object) -> ByUnit:
    first = Step("press", "ID1", (Stream("FORCE", take="max"),))
    second = Step("oven", "ID2", (Stream("TEMP", take="mean"),))
    return ByUnit([first, second], **more)  # type: ignore[arg-type]


def test_units_are_joined_by_their_id_whatever_the_distance() -> None:
    units = two_steps()
    for time, stream, value in (
        (0, "ID1", "A1"), (1, "FORCE", 3.0), (2, "FORCE", 7.0), (3, "FORCE", 5.0),
        (4, "ID1", "A2"), (5, "FORCE", 9.0), (50, "ID2", "A1"), (51, "TEMP", 100.0),
        (52, "TEMP", 200.0), (53, "ID1", ""), (54, "FORCE", 1.0),
    ):  # fmt: skip
        assert units.feed(stream, time, value, GOOD) == []
    (row,) = units.feed("ID2", 60, "A2", GOOD)
    assert (row.key, dict(row.values), row.complete) == ("A1", {"FORCE": 7.0, "TEMP": 150.0}, True)
    units.feed("TEMP", 61, 300.0, GOOD)
    (row,) = units.feed("ID2", 70, "", GOOD)
    assert (row.key, dict(row.values)) == ("A2", {"FORCE": 9.0, "TEMP": 300.0})
    assert units.counters.unplaced == 1  # the force with no unit in the press


def test_a_unit_that_never_arrives_ends_by_the_clock() -> None:
    units = two_steps(timeout_ms=1000)
    units.feed("ID1", 0, 4711.0, GOOD)
    units.feed("FORCE", 1, 3.0, GOOD)
    assert units.tick(999) == []
    (row,) = units.tick(1000)
    assert (row.key, row.timed_out, row.marks["TEMP"]) == ("4711", True, "missing")
    assert units.counters.timed_out == 1


def test_another_units_value_stands_in_only_where_it_was_asked_for() -> None:
    units = ByUnit([Step("s", "ID", (Stream("A"), Stream("B", fill="hold")))])
    units.feed("ID", 0, "1", GOOD)
    units.feed("A", 1, 1.0, GOOD)
    units.feed("B", 2, 2.0, GOOD)
    (row,) = units.feed("ID", 3, "2", GOOD)
    assert row.complete
    (row,) = units.feed("ID", 4, "3", GOOD)
    assert dict(row.values) == {"A": None, "B": 2.0}
    assert dict(row.marks) == {"A": "missing", "B": "filled"}


def test_an_unreadable_id_ends_its_unit() -> None:
    units = ByUnit([Step("s", "ID", (Stream("A"),))])
    units.feed("ID", 0, "1", GOOD)
    units.feed("A", 1, 1.0, GOOD)
    (row,) = units.feed("ID", 2, "1", BAD)
    assert row.key == "1"
    assert units.feed("A", 3, 1.0, GOOD) == []
    assert units.counters.unplaced == 1


def test_each_opening_of_a_gate_is_a_row() -> None:
    gate = ByGate([Stream("LOAD", take="max"), Stream("V", take="first")], gate="CUTTING")
    rows: list[Row] = []
    for time, stream, value in (
        (0, "LOAD", 99.0), (1, "CUTTING", 1.0), (2, "LOAD", 5.0), (3, "LOAD", 8.0), (4, "V", 1.0),
        (5, "V", 2.0), (6, "CUTTING", 0.0), (7, "LOAD", 99.0), (8, "CUTTING", 1.0),
        (9, "CUTTING", 0.0),
    ):  # fmt: skip
        rows += gate.feed(stream, time, value, GOOD)
    assert [(row.key, row.at, dict(row.values)) for row in rows] == [
        ("1", 6, {"LOAD": 8.0, "V": 1.0}),
        ("2", 9, {"LOAD": None, "V": None}),
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 3000)), max_size=60))
def test_any_order_within_the_lateness_gives_the_rows_of_the_right_order(
    samples: list[tuple[str, int]],
) -> None:
    """Delivery order does not matter as long as nothing is later than the lateness."""
    unique = sorted({(time, name) for name, time in samples})

    def rows(order: list[tuple[int, str]], lateness: int) -> list[tuple[int, object]]:
        line = Along([Stream("A"), Stream("B")], lateness_ms=lateness)
        out: list[Row] = []
        for time, name in order:
            out += line.feed(name, time, float(time), GOOD)
        out += line.tick(10_000)
        assert line.counters.too_late == 0
        assert line.counters.rows == sum(name == "B" for _, name in order)
        return [(row.at, row.values["A"]) for row in out]

    shuffled = [pair for _, pair in sorted(enumerate(unique), key=lambda p: (p[0] * 7919) % 61)]
    # Equal times of two streams have no order of their own.
    if len({time for time, _ in unique}) == len(unique):
        assert rows(shuffled, 3000) == rows(unique, 0)
