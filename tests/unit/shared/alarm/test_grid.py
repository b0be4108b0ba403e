"""Grids of candidates: their order, their digest, and that they stay inside the bounds."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.alarm.definition import Bounds
from shared.alarm.grid import FILTERS, MOST, Grid, grid_around
from shared.alarm.point import Setting
from shared.alarm.shadow import outside

GRID = Grid("HI", (1.0, 2.0, 3.0), (0.0, 0.5), (0, 60_000), (0, 300_000), FILTERS, 1.5)


def test_every_candidate_has_its_index_in_c_order() -> None:
    """Filter first, off-delay last; the index of a candidate's numbers is the candidate."""
    for index in range(len(GRID)):
        assert GRID.index(GRID.setting(index)) == index
    assert GRID.setting(0) == Setting(1.0)
    assert GRID.setting(1) == Setting(1.0, 0.0, 0, 300_000)
    assert GRID.filter_of(len(GRID) - 1) == "day"
    assert GRID.index(Setting(9.0)) is None
    with pytest.raises(IndexError):
        GRID.setting(len(GRID))


def test_a_grid_travels_as_plain_data_and_keeps_its_digest() -> None:
    """What adds up counters is the digest: it survives the journey and names the numbers."""
    again = Grid.from_dict(json.loads(json.dumps(GRID.to_dict())))
    assert again == GRID
    assert again.digest == GRID.digest
    assert Grid("HI", (1.0, 2.0)).digest != Grid("LO", (1.0, 2.0)).digest


@pytest.mark.parametrize(
    "change",
    [
        {"limits": []},
        {"limits": [1.0, 1.0]},
        {"limits": [float("nan")]},
        {"on_ms": [-1]},
        {"filters": ["median"]},
        {"side": "UP"},
        {"limits": None},
        {"limits": [float(v) for v in range(MOST + 1)]},
    ],
)
def test_what_is_no_grid_is_refused(change: dict[str, object]) -> None:
    """Data from elsewhere either is a grid or raises ValueError."""
    with pytest.raises(ValueError):  # noqa: PT011 - each says another thing
        Grid.from_dict({**GRID.to_dict(), **change})


@given(
    limit=st.floats(-1e6, 1e6),
    low=st.none() | st.floats(0, 5),
    high=st.none() | st.floats(0, 5),
    band=st.floats(0, 2),
    on=st.integers(0, 700_000),
    off=st.integers(0, 1_000_000),
    sigma=st.floats(0, 10),
    side=st.sampled_from(["HI", "LO"]),
    locked=st.booleans(),
)
def test_around_a_setting_all_candidates_are_inside_the_bounds(
    limit: float, low: float | None, high: float | None, band: float, on: int, off: int,
    sigma: float, side: str, locked: bool,
) -> None:  # fmt: skip
    """The setting in use is always among them; a locked point has no other."""
    setting = Setting(limit, band, on, off)
    bounds = Bounds(
        None if low is None else limit - low,
        None if high is None else limit + high,
        deadband_max=1.0,
        locked=locked,
    )
    grid = grid_around(setting, side, bounds, sigma, FILTERS)  # type: ignore[arg-type]
    assert grid.index(setting) is not None
    assert len(grid) <= MOST
    assert not locked or len(grid) == len(FILTERS)
    for value in grid.limits:
        assert outside(bounds, setting, Setting(value, band, on, off)) is None
    for value in grid.on_ms:
        assert outside(bounds, setting, Setting(limit, band, value, off)) is None
