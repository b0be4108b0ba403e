"""What is reported: the contract on both forms, and the forms against each other at random."""

from __future__ import annotations

import math
import os
import struct
import sys
from time import perf_counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.kernel.report import CHANGE, OFF, RAW, WINDOW, PureReporter

COMPILED: type[PureReporter] | None = None
try:
    from edge_node.kernel import _report

    COMPILED = _report.Reporter
except ImportError:
    if os.environ.get("ANDON_REQUIRE_KERNEL") == "1":
        raise
FORMS = [PureReporter] + ([COMPILED] if COMPILED else [])
Row = tuple[int, int, float, int]


def columns(rows: list[Row]) -> tuple[bytes, bytes, bytes, bytes]:
    """The rows as the wire carries them."""
    return (
        struct.pack(f"<{len(rows)}i", *(row[0] for row in rows)),
        struct.pack(f"<{len(rows)}q", *(row[1] for row in rows)),
        struct.pack(f"<{len(rows)}d", *(row[2] for row in rows)),
        bytes(row[3] for row in rows),
    )


def rows_of(reporter: PureReporter, most: int = sys.maxsize) -> list[tuple[int, int, str, int]]:
    """What is drained, with the outputs put back into the rows; repr, because of NaN."""
    used, tags, times, values, grades = reporter.drain(most)
    assert len(set(used)) == len(used) == len(set(tags[i : i + 4] for i in range(0, len(tags), 4)))
    count = len(grades)
    return [
        (used[t], at, repr(value), grade)
        for t, at, value, grade in zip(
            struct.unpack(f"<{count}i", tags), struct.unpack(f"<{count}q", times),
            struct.unpack(f"<{count}d", values), grades, strict=True,
        )
    ]  # fmt: skip


@pytest.fixture(params=FORMS, ids=lambda form: form.__module__.rsplit(".", 1)[-1])
def form(request: pytest.FixtureRequest) -> type[PureReporter]:
    return request.param


def test_a_change_is_against_the_value_last_reported(form: type[PureReporter]):
    reporter = form(2, 100, 60_000)
    reporter.set_mode(0, CHANGE, 1.0)
    drift = [(0, at, 10.0 + 0.4 * at, 0) for at in range(10)]  # never 1.0 from one to the next
    reporter.take(*columns(drift))
    assert [row[1] for row in rows_of(reporter)] == [0, 3, 6, 9]
    reporter.take(*columns([(0, 20, 13.6, 2), (0, 21, 99.0, 2), (0, 22, 13.6, 0)]))
    assert [row[1] for row in rows_of(reporter)] == [20, 22]  # quality counts, a bad value not
    reporter.take(*columns([(0, 60_021, 13.6, 0), (0, 60_022, 13.6, 0), (0, 60_023, 13.6, 0)]))
    assert [row[1] for row in rows_of(reporter)] == [60_022]
    assert (reporter.first, reporter.last) == (60_021, 60_023)


def test_infinities_and_nan_are_values_that_can_stay_as_they_are(form: type[PureReporter]):
    reporter = form(1, 100, 60_000)
    reporter.set_mode(0, CHANGE, 0.0)
    values = [math.inf, math.inf, math.nan, math.nan, -math.inf, 1.0]
    reporter.take(*columns([(0, at, value, 0) for at, value in enumerate(values)]))
    assert [row[1] for row in rows_of(reporter)] == [0, 2, 4, 5]


def test_windows_end_by_a_sample_or_by_the_clock_and_count_good_samples(form: type[PureReporter]):
    reporter = form(1, 100, 60_000)
    reporter.set_mode(0, WINDOW, every=10_000, stats=15)
    reporter.take(*columns([(0, 10_000, 1.0, 0), (0, 19_999, 4.0, 0), (0, 15_000, 900.0, 2)]))
    assert rows_of(reporter) == []
    reporter.take(*columns([(0, 20_000, 7.0, 0)]))
    assert rows_of(reporter) == [
        (0, 19_999, "2.5", 1), (1, 19_999, "1.0", 1), (2, 19_999, "4.0", 1), (3, 19_999, "4.0", 1),
    ]  # fmt: skip
    reporter.close(29_999)
    assert rows_of(reporter) == []
    reporter.close(30_000)
    assert [row[1:] for row in rows_of(reporter)] == [(20_000, "7.0", 0)] * 4
    reporter.take(*columns([(0, 31_000, 5.0, 2)]))
    reporter.close(50_000)
    assert [row[1:] for row in rows_of(reporter)] == [(31_000, "nan", 2)] * 4


def test_what_finds_no_room_is_counted_and_reported_by_its_next_sample(form: type[PureReporter]):
    reporter = form(1, 2, 60_000)
    reporter.set_mode(0, RAW)
    reporter.take(*columns([(0, at, 1.0, 0) for at in range(3)]))
    assert ([row[1] for row in rows_of(reporter)], reporter.dropped) == ([0, 1], 1)
    reporter.set_mode(0, CHANGE, 5.0)
    reporter.take(*columns([(0, 9, 1.0, 0)]))
    assert [row[1] for row in rows_of(reporter)] == [9]


@pytest.mark.parametrize(
    "call",
    [
        lambda r: r.set_mode(2, RAW), lambda r: r.set_mode(-1, RAW), lambda r: r.set_mode(0, 9),
        lambda r: r.set_mode(0, WINDOW), lambda r: r.set_mode(0, WINDOW, every=1, stats=16),
        lambda r: r.take(*columns([(2, 1, 1.0, 0)])), lambda r: r.take(*columns([(-1, 1, 1.0, 0)])),
        lambda r: r.take(b"", bytes(8), bytes(8), bytes(1)),
    ],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(form: type[PureReporter], call: Any):
    with pytest.raises(ValueError, match=r"."):
        call(form(2, 10, 1))


VALUES = st.sampled_from([0.0, 1.0, 1.5, 2.0, 2.5, 9.0, math.nan, math.inf, -math.inf])
ROWS = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(-50, 300), VALUES, st.sampled_from([0, 0, 0, 1, 2])
    ),
    max_size=40,
)  # fmt: skip
STEPS = st.lists(
    st.one_of(
        ROWS.map(lambda rows: ("take", rows)),
        st.tuples(
            st.just("mode"),
            st.tuples(st.integers(0, 3), st.sampled_from([OFF, CHANGE, RAW, WINDOW]),
                      st.sampled_from([0.0, 1.0]), st.sampled_from([7, 50]), st.integers(1, 15)),
        ),
        st.integers(-100, 400).map(lambda at: ("close", at)),
        st.sampled_from([0, 1, 3, sys.maxsize]).map(lambda most: ("drain", most)),
    ),
    max_size=12,
)  # fmt: skip


@pytest.mark.skipif(COMPILED is None, reason="NOT RUN: the kernel is not compiled")
@settings(max_examples=300, deadline=None)
@given(steps=STEPS, most=st.sampled_from([0, 7, 1000]))
def test_compiled_and_pure_are_equal(steps: list[tuple[str, Any]], most: int):
    assert COMPILED is not None
    pair = [PureReporter(4, most, 100), COMPILED(4, most, 100)]
    for reporter in pair:
        reporter.set_mode(1, CHANGE, 1.0)
        reporter.set_mode(2, RAW)
        reporter.set_mode(3, WINDOW, every=50, stats=15)
    for name, given_ in [*steps, ("close", 1_000), ("drain", sys.maxsize)]:
        seen = []
        for reporter in pair:
            if name == "take":
                reporter.take(*columns(given_))
            elif name == "mode":
                tag, mode, deadband, every, stats = given_
                reporter.set_mode(tag, mode, deadband, every, stats)
            elif name == "close":
                reporter.close(given_)
            more = rows_of(reporter, given_) if name == "drain" else []
            seen.append((more, len(reporter), reporter.dropped, reporter.first, reporter.last))
        assert seen[0] == seen[1]


@pytest.mark.skipif(COMPILED is None, reason="NOT RUN: the kernel is not compiled")
def test_a_quiet_sample_costs_nanoseconds():
    assert COMPILED is not None
    count, tags = 200_000, 10_000
    reporter = COMPILED(tags, 1_000, 60_000)
    for tag in range(tags):
        reporter.set_mode(tag, CHANGE, 1e9)
    batch = columns([(i % tags, i, float(i), 0) for i in range(count)])
    reporter.take(*batch)
    reporter.drain()
    best = math.inf
    for _ in range(5):
        began = perf_counter()
        reporter.take(*batch)
        best = min(best, perf_counter() - began)
    assert best / count < 100e-9, f"{best / count * 1e9:.1f} ns"


def test_rows_type_is_that_of_the_wire(form: type[PureReporter]):
    reporter = form(1, 10, 1)
    reporter.set_mode(0, RAW)
    rows: list[Row] = [(0, 1, 2.0, 0)]
    reporter.take(*columns(rows))
    assert reporter.drain() == ([3], *columns(rows))


def test_rows_leave_in_parts_in_their_order_while_others_come(form: type[PureReporter]):
    reporter = form(3, 100, 1)
    for tag in range(3):
        reporter.set_mode(tag, RAW)
    reporter.take(*columns([(at % 3, at, float(at), 0) for at in range(10)]))
    first = rows_of(reporter, 4)
    reporter.take(*columns([(0, 10, 10.0, 0)]))
    assert len(reporter) == 7
    rows = [*first, *rows_of(reporter, 4), *rows_of(reporter, 4)]
    tags = [*(at % 3 for at in range(10)), 0]
    assert rows == [(4 * tag + 3, at, repr(float(at)), 0) for at, tag in enumerate(tags)]
    assert len(reporter) == 0
