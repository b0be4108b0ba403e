"""Both kernels against the contract."""

from __future__ import annotations

import math
import os
import struct
import subprocess
import sys
import time
from array import array

import pytest

from edge_node.kernel import PureKernel, Rules, kernel_name
from edge_node.kernel.rules import BAD, EQUAL, HIGH, LOW, STALE
from tests.unit.edge_node.kernel.kernels import COMPILED, KERNELS, columns, feed, rules_of, state


@pytest.fixture(params=KERNELS, ids=lambda k: k.__module__.rsplit(".", 1)[-1])
def kernel(request: pytest.FixtureRequest) -> type[PureKernel]:
    return request.param


def changes(seen: list[object]) -> list[tuple[int, bool, int]]:
    return [row[:3] for row in seen if isinstance(row, tuple)]


def test_a_new_tag_is_bad_and_its_first_sample_is_judged(kernel: type[PureKernel]):
    k = kernel(2, rules_of((1, HIGH, 100)))
    assert math.isnan(k.value(1))
    assert (k.time(1), k.quality(1), k.heard(1)) == (0, 2, None)
    assert feed(k, [(1, 7, 101.0, 0)], 9) == [1, (0, True, 7, 101.0, "good")]
    assert (k.value(1), k.time(1), k.quality(1), k.heard(1)) == (101.0, 7, 0, 9)


def test_bands_of_each_kind(kernel: type[PureKernel]):
    k = kernel(1, rules_of((0, HIGH, 100, 5), (0, LOW, 10, 5)))
    feed(k, [(0, 1, 50.0, 0)], 1)
    assert k.band(0) == (10.0, math.nextafter(100.0, math.inf))
    feed(k, [(0, 2, 100.5, 0)], 2)
    assert k.band(0) == (math.nextafter(95.0, math.inf), math.inf)
    feed(k, [(0, 3, 1.0, 0)], 3)
    assert k.band(0) == (-math.inf, 15.0)
    equal = kernel(1, rules_of((0, EQUAL, 1)))
    for value, band in (
        (0.0, (-math.inf, 1.0)), (1.0, (1.0, math.nextafter(1.0, math.inf))),
        (2.0, (math.nextafter(1.0, math.inf), math.inf)),
    ):  # fmt: skip
        feed(equal, [(0, 1, value, 0)], 1)
        assert equal.band(0) == band


def test_what_ends_comes_first_in_reverse_then_what_begins(kernel: type[PureKernel]):
    k = kernel(1, rules_of((0, HIGH, 120, 0, 0, 0, 0),
                           (0, HIGH, 100, 0, 0, 0, 1), (0, LOW, 10, 0, 0, 0, 2)))  # fmt: skip
    assert changes(feed(k, [(0, 1, 130.0, 0)], 1)) == [(0, True, 1), (1, True, 1)]
    assert changes(feed(k, [(0, 2, 5.0, 0)], 2)) == [(1, False, 2), (0, False, 2), (2, True, 2)]


def test_delays_end_by_the_clock_in_order_and_before_a_later_sample(kernel: type[PureKernel]):
    k = kernel(2, rules_of((0, HIGH, 100, 0, 2000, 3000, 0), (1, HIGH, 100, 0, 1000, 0, 1)))
    feed(k, [(0, 1000, 101.0, 0), (1, 1500, 101.0, 0)], 1500)
    assert k.next_due == 2500
    k.tick(2499)
    assert k.take() == []
    k.tick(3000)
    assert changes(list(k.take())) == [(1, True, 2500), (0, True, 3000)]
    feed(k, [(0, 4000, 50.0, 0)], 4000)
    # Nobody ticked: the end at 7000 comes before the next crossing.
    late = feed(k, [(0, 8000, 102.0, 0)], 9000)
    assert late == [1, (0, False, 7000, 50.0, "good")]
    k.tick(10_000)
    assert k.take() == [(0, True, 10_000, 102.0, "good")]
    assert k.next_due is None


def test_bad_samples_hold_limits_and_raise_the_quality_rule(kernel: type[PureKernel]):
    k = kernel(1, rules_of((0, HIGH, 100), (0, BAD)))
    seen = feed(k, [(0, 1, 101.0, 0), (0, 2, 5.0, 2), (0, 3, math.nan, 0), (0, 4, 9.0, 0)], 4)
    assert seen == [
        4, (0, True, 1, 101.0, "good"), (1, True, 2, 5.0, "bad"), (1, False, 4, 9.0, "good"),
        (0, False, 4, 9.0, "good"),
    ]  # fmt: skip


def test_silence_comes_by_the_clock_and_ends_with_any_sample(kernel: type[PureKernel]):
    k = kernel(2, rules_of((0, STALE, 8000, 0, 0, 0, 0), (1, STALE, 8000, 0, 1000, 2000, 1)))
    k.start(0)
    feed(k, [(0, 3000, 1.0, 0)], 3000)
    k.tick(20_000)
    assert k.take() == [(1, True, 9000, None, "stale"), (0, True, 11_000, None, "stale")]
    assert feed(k, [(0, 21_000, 1.0, 2)], 21_000) == [1, (0, False, 21_000, 1.0, "bad")]
    feed(k, [(1, 21_000, 1.0, 0)], 21_000)
    k.tick(23_000)
    assert k.take() == [(1, False, 23_000, 1.0, "good")]
    assert k.next_due == 29_000


def test_a_new_setting_judges_the_value_and_moves_a_running_delay(kernel: type[PureKernel]):
    k = kernel(1, rules_of((0, HIGH, 100, 0, 5000)))
    feed(k, [(0, 1000, 95.0, 0)], 1000)
    k.set_rule(0, 90, 0, 5000, 0, 2000)
    assert (k.take(), k.next_due) == ([], 7000)
    k.set_rule(0, 90, 0, 9000, 0, 3000)
    assert k.next_due == 11_000
    k.set_rule(0, 90, 0, 500, 0, 3000)
    assert changes(list(k.take())) == [(0, True, 2500)]
    with pytest.raises(ValueError, match="NaN"):
        k.set_rule(0, math.nan, 0, 0, 0, 0)


def test_a_scan_stops_for_who_watches_and_for_waiting_settings(kernel: type[PureKernel]):
    k = kernel(2, rules_of((0, HIGH, 100)))
    k.watch(1)
    rows = [(0, 1, 1.0, 0), (1, 2, 1.0, 0), (0, 3, 101.0, 0), (0, 4, 1.0, 0), (0, 5, 101.0, 0)]
    assert [s for s in feed(k, rows, 5) if isinstance(s, int)] == [2, 5]
    k.pause(0, True)
    assert [s for s in feed(k, rows, 5) if isinstance(s, int)] == [1, 2, 3, 4, 5]


def test_texts_are_numbers_that_limits_do_not_look_at(kernel: type[PureKernel]):
    k = kernel(1, rules_of((0, HIGH, 100), (0, EQUAL, 500), (0, BAD)))
    k.sample(0, 5, 500.0, 0, 0, 9)
    assert k.take() == [(1, True, 5, None, "good")]
    k.sample(0, 6, 400.0, 2, 0, 9)
    assert k.take() == [(2, True, 6, None, "bad")]
    assert feed(k, [(0, 7, 101.0, 0)], 9)[1:] == [
        (2, False, 7, 101.0, "good"), (1, False, 7, 101.0, "good"), (0, True, 7, 101.0, "good"),
    ]  # fmt: skip


def test_a_restart_takes_over_what_stood(kernel: type[PureKernel]):
    k = kernel(1, rules_of((0, HIGH, 100, 5), (0, STALE, 1000)))
    k.load(0, True, True)
    k.load(1, True, True)
    k.start(0)
    assert k.next_due is None
    assert changes(feed(k, [(0, 1, 97.0, 0)], 1)) == [(1, False, 1)]
    assert changes(feed(k, [(0, 2, 94.0, 0)], 2)) == [(0, False, 2)]


def test_source_time_becomes_steady_time_and_is_never_in_the_future(kernel: type[PureKernel]):
    k = kernel(1, rules_of((0, HIGH, 100)))
    assert changes(feed(k, [(0, 1000, 101.0, 0)], 9000, 7200)) == [(0, True, 8200)]
    assert changes(feed(k, [(0, 5000, 1.0, 0)], 9000, 7200)) == [(0, False, 9000)]
    for extreme in (2**63 - 1, -(2**63)):
        feed(k, [(0, extreme, 101.0, 0), (0, extreme, 1.0, 0)], 9000, 2**61)


@pytest.mark.parametrize("bad", [2, -1, -(2**31), 2**31 - 1])
def test_an_unknown_tag_is_refused(kernel: type[PureKernel], bad: int):
    k = kernel(3, Rules())
    batch = columns([(0, 1, 5.0, 0), (bad, 2, 5.0, 0)])
    before = state(k)
    with pytest.raises(ValueError, match="tag index"):
        k.newest(*batch, 0, 2)
    assert state(k) == before
    with pytest.raises(ValueError, match="tag index"):
        k.scan(*batch, 0, 0, 2, 0, 9)
    with pytest.raises(ValueError, match="tag index"):
        k.newest(*batch, 2, 2)


def test_unequal_columns_and_a_start_outside_are_refused(kernel: type[PureKernel]):
    k = kernel(1, Rules())
    batch = columns([(0, 1, 5.0, 0), (0, 2, 6.0, 0)])
    assert k.newest(*batch, 0, 1) == 2
    for broken in range(4):
        torn = [c[:-1] if i == broken else c for i, c in enumerate(batch)]
        with pytest.raises(ValueError, match="length"):
            k.scan(torn[0], torn[1], torn[2], torn[3], 0, 0, 1, 0, 9)
        with pytest.raises(ValueError, match="length"):
            k.newest(torn[0], torn[1], torn[2], torn[3], 0, 1)
    for start in (-1, 3):
        with pytest.raises(ValueError, match="start"):
            k.scan(*batch, start, 0, 1, 0, 9)
    assert k.scan(b"", b"", b"", b"", 0, 0, 1, 0, 9) == 0
    with pytest.raises(ValueError, match="without"):
        k.newest(b"", b"", b"", b"", 0, 1)


def test_tags_and_rules_that_do_not_exist_are_refused(kernel: type[PureKernel]):
    k = kernel(1, rules_of((0, HIGH, 1)))
    for index in (-1, 1):
        for call in (k.value, k.time, k.quality, k.heard, k.band, k.watch):
            with pytest.raises(ValueError, match="tag index"):
                call(index)
        with pytest.raises(ValueError, match="rule"):
            k.load(index, True, True)
    with pytest.raises(ValueError, match="negative"):
        kernel(-1, Rules())
    with pytest.raises(ValueError, match="below"):
        kernel(1, rules_of((1, HIGH, 1)))
    with pytest.raises(ValueError, match="order"):
        rules_of((1, HIGH, 1), (0, HIGH, 1))


def test_any_contiguous_buffer_will_do_also_unaligned(kernel: type[PureKernel]):
    k = kernel(3, rules_of((2, LOW, 0)))
    shifted = memoryview(b"x" + struct.pack("<d", 5.0))[1:]
    tags, times = array("i", [2]), bytearray(struct.pack("<q", 9))
    assert k.scan(tags, times, shifted, b"\0", 0, 0, 3, 0, 9) == 1
    assert (k.value(2), k.time(2)) == (5.0, 9)


@pytest.mark.skipif(COMPILED is None, reason="the compiled kernel is not built")
def test_no_order_of_samples_makes_the_compiled_kernel_slow():
    assert COMPILED is not None
    k = COMPILED(1, rules_of((0, HIGH, 100, 1, 1000, 1000), (0, HIGH, 120), (0, BAD)))
    flapping = [(0, i, (99.0, 130.0)[i % 2], (0, 0, 2)[i % 3]) for i in range(10_000)]
    one_tag = columns(flapping)
    began = time.process_time()
    for _ in range(10):
        done = 0
        while done < 10_000:
            done = k.scan(*one_tag, done, 0, 1, 0, 10_000)
            k.take()
    assert time.process_time() - began < 1.0  # 10 us a sample would be three times too slow


@pytest.mark.skipif(COMPILED is None, reason="the compiled kernel is not built")
def test_a_tag_with_four_limits_takes_at_most_200_bytes():
    assert COMPILED is not None
    rules, n = Rules(), 1000
    for tag in range(n):
        for order, (kind, limit) in enumerate(((HIGH, 9), (HIGH, 8), (LOW, 2), (LOW, 1))):
            rules.add(tag, kind, limit, 0.5, 1000, 1000, 4 * tag + order)
    assert COMPILED(n, rules).nbytes <= 200 * n  # type: ignore[attr-defined]


def test_the_environment_forces_the_fallback():
    code = "import edge_node.kernel as k; print(k.kernel_name(), k.Kernel.__module__)"
    env = os.environ | {"ANDON_KERNEL": "python"}
    out = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
    ).stdout
    assert out.split() == ["python", "edge_node.kernel.pure"]
    if COMPILED is not None and "ANDON_KERNEL" not in os.environ:
        assert kernel_name() == "cython"
