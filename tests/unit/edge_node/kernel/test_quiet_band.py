"""Both kernels against the contract, and against each other on random batches."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.kernel import PureQuietBand, kernel_name

COMPILED: type[PureQuietBand] | None = None
try:
    from edge_node.kernel import _quiet

    COMPILED = _quiet.QuietBand
except ImportError:
    if os.environ.get("ANDON_REQUIRE_KERNEL") == "1":
        raise

KERNELS = [PureQuietBand] + ([COMPILED] if COMPILED else [])
N = 5
Rows = list[tuple[int, int, float, int]]


def columns(rows: Rows) -> tuple[bytes, bytes, bytes, bytes]:
    """The rows as the wire carries them."""
    return (
        struct.pack(f"<{len(rows)}i", *(r[0] for r in rows)),
        struct.pack(f"<{len(rows)}q", *(r[1] for r in rows)),
        struct.pack(f"<{len(rows)}d", *(r[2] for r in rows)),
        bytes(r[3] for r in rows),
    )


def state(band: PureQuietBand) -> list[tuple[str, int, int]]:
    """All that can be read back; repr, because NaN differs from itself."""
    return [(repr(band.value(t)), band.time(t), band.quality(t)) for t in range(len(band))]


@pytest.fixture(params=KERNELS, ids=lambda k: k.__module__.rsplit(".", 1)[-1])
def kernel(request: pytest.FixtureRequest) -> type[PureQuietBand]:
    return request.param


def test_a_new_tag_is_bad_and_every_sample_of_it_is_an_excursion(kernel: type[PureQuietBand]):
    band = kernel(2)
    assert math.isnan(band.value(1))
    assert (band.time(1), band.quality(1)) == (0, 2)
    assert band.scan(*columns([(1, 7, 3.0, 0), (1, 8, 4.0, 0)]), 0) == 0
    assert (band.value(1), band.time(1), band.quality(1)) == (3.0, 7, 0)


@pytest.mark.parametrize(
    ("value", "quality", "quiet"),
    [
        (10.0, 0, True), (19.999, 0, True), (20.0, 0, False), (9.999, 0, False),
        (math.nan, 0, False), (math.inf, 0, False), (-math.inf, 0, False),
        (15.0, 1, False), (15.0, 2, False),
    ],
)  # fmt: skip
def test_the_band_is_closed_below_and_open_above(
    kernel: type[PureQuietBand], value: float, quality: int, quiet: bool
):
    band = kernel(1)
    band.set_band(0, 10, 20)
    assert band.scan(*columns([(0, 1, value, quality)]), 0) == (1 if quiet else 0)
    assert state(band) == [(repr(value), 1, quality)]


def test_order_inside_a_batch_is_respected_for_one_tag(kernel: type[PureQuietBand]):
    band = kernel(1)
    band.set_band(0, 0, 10)
    batch = columns([(0, i, v, 0) for i, v in enumerate([1.0, 11.0, 2.0, 12.0, 3.0])])
    assert band.scan(*batch, 0) == 1
    assert band.value(0) == 11.0  # the sample behind the excursion is not yet seen
    assert band.scan(*batch, 2) == 3
    assert band.scan(*batch, 4) == 5
    assert (band.value(0), band.time(0)) == (3.0, 4)
    assert band.scan(*batch, 5) == 5


@pytest.mark.parametrize("bad", [2, -1, -(2**31), 2**31 - 1])
def test_an_unknown_tag_anywhere_stores_nothing(kernel: type[PureQuietBand], bad: int):
    band = kernel(2)
    band.set_band(0, 0, 10)
    before = state(band)
    rows = [(0, 1, 5.0, 0), (bad, 2, 5.0, 0)]
    with pytest.raises(ValueError, match="tag index"):
        band.scan(*columns(rows), 0)
    assert state(band) == before
    with pytest.raises(ValueError, match="tag index"):
        band.scan(*columns(rows), 1)
    assert state(band) == before


def test_unequal_columns_and_a_start_outside_are_refused(kernel: type[PureQuietBand]):
    band = kernel(1)
    batch = columns([(0, 1, 5.0, 0), (0, 2, 6.0, 0)])
    for broken in range(4):
        torn = [c[:-1] if i == broken else c for i, c in enumerate(batch)]
        with pytest.raises(ValueError, match="length"):
            band.scan(torn[0], torn[1], torn[2], torn[3], 0)
    for start in (-1, 3):
        with pytest.raises(ValueError, match="start"):
            band.scan(*batch, start)
    assert band.quality(0) == 2
    assert band.scan(b"", b"", b"", b"", 0) == 0


def test_accessors_and_bands_refuse_what_does_not_exist(kernel: type[PureQuietBand]):
    band = kernel(1)
    for tag in (-1, 1):
        for call in (band.value, band.time, band.quality):
            with pytest.raises(ValueError, match="tag index"):
                call(tag)
        with pytest.raises(ValueError, match="tag index"):
            band.set_band(tag, 0, 1)
    with pytest.raises(ValueError, match="NaN"):
        band.set_band(0, math.nan, 1)
    with pytest.raises(ValueError, match="negative"):
        kernel(-1)


def test_any_contiguous_buffer_will_do_also_unaligned(kernel: type[PureQuietBand]):
    band = kernel(3)
    band.set_band(2, 0, 10)
    shifted = memoryview(b"x" + struct.pack("<d", 5.0))[1:]
    assert band.scan(array("i", [2]), bytearray(struct.pack("<q", 9)), shifted, b"\0", 0) == 1
    assert (band.value(2), band.time(2)) == (5.0, 9)


number = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 9.999, 10.0, math.nan, math.inf, -math.inf]),
    st.floats(-20, 20),
)
# Few tags, so that most batches hold many samples of one tag.
row = st.tuples(
    st.integers(0, N - 1),
    st.integers(-(2**63), 2**63 - 1),
    number,
    st.sampled_from([0, 0, 0, 0, 1, 2, 255]),
)
edge = st.floats(-25, 25) | st.sampled_from([math.inf, -math.inf])
script = st.lists(
    st.tuples(st.integers(0, N - 1), edge, edge, st.lists(row, max_size=30)), max_size=6
)


@pytest.mark.skipif(COMPILED is None, reason="the compiled kernel is not built")
@given(script, st.data())
@settings(max_examples=300, deadline=None)
def test_both_kernels_agree_event_for_event(
    steps: list[tuple[int, float, float, Rows]], data: st.DataObject
):
    assert COMPILED is not None
    pure, compiled = PureQuietBand(N), COMPILED(N)
    for tag, lo, hi, rows in steps:
        for band in (pure, compiled):
            band.set_band(tag, lo, hi)
        batch, at = columns(rows), 0
        while at < len(rows):
            found = pure.scan(*batch, at), compiled.scan(*batch, at)
            assert found[0] == found[1]
            assert state(pure) == state(compiled)
            at = found[0] + 1
            # As the engine does: an excursion moves the band before the scan goes on.
            if at <= len(rows) and data.draw(st.booleans()):
                moved = sorted((data.draw(edge), data.draw(edge)))
                for band in (pure, compiled):
                    band.set_band(rows[at - 1][0], *moved)


def test_the_environment_forces_the_fallback():
    code = "import edge_node.kernel as k; print(k.kernel_name(), k.QuietBand.__module__)"
    env = os.environ | {"ANDON_KERNEL": "python"}
    out = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert out.split() == ["python", "edge_node.kernel.pure"]
    if COMPILED is not None and "ANDON_KERNEL" not in os.environ:
        assert kernel_name() == "cython"
