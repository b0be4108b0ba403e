"""One tag's rows and a thinner curve of them: both forms, and each against the other."""

from __future__ import annotations

import math
import os
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.kernel.history import pure_pick, pure_thin
from tests.unit.edge_node.kernel.test_report_kernel import Row, columns

FORMS: list[tuple[Any, Any]] = [(pure_pick, pure_thin)]
try:
    from edge_node.kernel import _history

    FORMS.append((_history.pick, _history.thin))
except ImportError:
    if os.environ.get("ANDON_REQUIRE_KERNEL") == "1":
        raise


@pytest.fixture(params=FORMS, ids=["pure", "compiled"][: len(FORMS)])
def form(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    return request.param


def test_one_tag_is_picked_in_its_order_with_both_ends(form: tuple[Any, Any]):
    rows: list[Row] = [
        (1, 5, 1.0, 0),
        (0, 6, 2.0, 0),
        (1, 4, 3.0, 2),
        (1, 9, 4.0, 0),
        (1, 3, 5.0, 0),
    ]
    assert (
        form[0](*columns(rows), 1, 4, 9)
        == columns([(1, 5, 1.0, 0), (1, 4, 3.0, 2), (1, 9, 4.0, 0)])[1:]
    )
    assert form[0](*columns([]), 1, 4, 9) == (b"", b"", b"")


def test_a_spike_of_one_sample_and_a_bad_one_survive_the_thinning(form: tuple[Any, Any]):
    values = [math.sin(i / 500) for i in range(10_000)]
    values[6_543], values[2_222] = 50.0, -50.0
    grades = [2 if i == 7_777 else 0 for i in range(10_000)]
    rows = [(0, i, v, g) for i, (v, g) in enumerate(zip(values, grades, strict=True))]
    kept = form[1](*columns(rows)[1:], 0, 9_999, 300)
    assert len(kept) <= 300
    assert kept == sorted(kept)
    assert {6_543, 2_222, 7_777} <= set(kept)
    assert form[1](*columns(rows[:300])[1:], 0, 9_999, 300) == list(range(300))


@pytest.mark.skipif(len(FORMS) == 1, reason="NOT RUN: the kernel is not compiled")
@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            st.integers(0, 2), st.integers(-20, 120),
            st.sampled_from([0.0, 1.0, -1.0, math.nan, math.inf]), st.sampled_from([0, 0, 2]),
        ),
        max_size=60,
    ),
    since=st.integers(-10, 60), until=st.integers(-10, 120), most=st.integers(1, 40),
)  # fmt: skip
def test_compiled_and_pure_are_equal(rows: list[Row], since: int, until: int, most: int):
    (pick, thin), (fast_pick, fast_thin) = FORMS
    batch = columns(rows)
    assert pick(*batch, 1, since, until) == fast_pick(*batch, 1, since, until)
    curve = batch[1:]
    assert thin(*curve, since, until, most) == fast_thin(*curve, since, until, most)
