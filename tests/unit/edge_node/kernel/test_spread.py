"""The compiled spread equals the plain one, crossing for crossing; what it learns and what not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.kernel import PureSpread, Spread

NOW = 1_700_000_100_000
ROW = st.tuples(
    st.integers(0, 4),
    st.one_of(st.integers(0, 100_000), st.sampled_from([-(2**63), 2**63 - 1])),
    st.one_of(st.floats(-100, 100), st.floats(allow_nan=True, allow_infinity=False)),
    st.sampled_from([0, 0, 0, 0, 1, 2]),
)


def columns(rows: list[tuple[int, int, float, int]]) -> tuple[bytes, bytes, bytes, bytes]:
    n = len(rows)
    return (
        struct.pack(f"<{n}i", *(r[0] for r in rows)),
        struct.pack(f"<{n}q", *(r[1] for r in rows)),
        struct.pack(f"<{n}d", *(r[2] for r in rows)),
        bytes(r[3] for r in rows),
    )


def made(form: type[PureSpread], side: int = 0) -> PureSpread:
    spread = form(3, 6)
    for row, tag in enumerate((1, 2, 4)):
        spread.configure(row, tag, 60_000.0, 3.0, 0.5, 0.01, 5, side)
    return spread


@settings(max_examples=200, deadline=None)
@given(st.lists(ROW, max_size=120), st.sampled_from([-1, 0, 1]), st.integers(-(10**12), 10**12))
def test_both_forms_see_the_same(
    rows: list[tuple[int, int, float, int]], side: int, offset: int
) -> None:
    pure, fast = made(PureSpread, side), made(Spread, side)
    half = len(rows) // 2
    for part in (rows[:half], rows[half:]):
        told = pure.scan(*columns(part), 1, offset, NOW)
        assert repr(fast.scan(*columns(part), 1, offset, NOW)) == repr(told)
    for row in range(3):
        assert repr(fast.mean(row)) == repr(pure.mean(row))
        assert repr(fast.spread(row)) == repr(pure.spread(row))
        assert (fast.count(row), fast.beyond(row)) == (pure.count(row), pure.beyond(row))


@pytest.mark.parametrize("form", [PureSpread, Spread])
def test_a_fault_is_told_once_and_does_not_become_the_normal_at_once(
    form: type[PureSpread],
) -> None:
    spread = form(1, 1)
    spread.configure(0, 0, 600_000.0, 6.0, 1.0, 0.0, 30, 0)
    quiet = [(0, i * 1000, 10.0 + (i % 5) * 0.1, 0) for i in range(600)]
    assert spread.scan(*columns(quiet), 0, 0, NOW) == []
    fault = [(0, 600_000 + i * 1000, 20.0, 0) for i in range(5)]
    ((row, present, at, score),) = spread.scan(*columns(fault), 0, 0, NOW)
    assert (row, present, at) == (0, True, 600_000)
    assert score > 6
    assert spread.mean(0) < 10.5
    ((_, present, _, _),) = spread.scan(*columns([(0, 606_000, 10.2, 0)]), 0, 0, NOW)
    assert present is False


@pytest.mark.parametrize("form", [PureSpread, Spread])
def test_a_signal_that_hardly_moves_is_no_anomaly(form: type[PureSpread]) -> None:
    spread = form(1, 1)
    spread.configure(0, 0, 600_000.0, 6.0, 0.0, 0.0, 30, 0)
    rows = [(0, i * 1000, 1000.0 + (i == 99) * 0.1, 0) for i in range(100)]
    assert spread.scan(*columns(rows), 0, 0, NOW) == []


@pytest.mark.parametrize("form", [PureSpread, Spread])
def test_what_cannot_be_configured_is_refused(form: type[PureSpread]) -> None:
    spread = form(1, 1)
    with pytest.raises(ValueError, match="positive"):
        spread.configure(0, 0, 0.0, 6.0, 0.0, 0.0, 30, 0)
    with pytest.raises(IndexError):
        spread.configure(0, 7, 1.0, 6.0, 0.0, 0.0, 30, 0)
