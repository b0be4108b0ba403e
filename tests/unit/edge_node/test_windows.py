"""Windows against plain definitions, in any order of arrival; late data; bounded memory."""

from __future__ import annotations

import math
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.domain.windows import (
    Assigned,
    Figures,
    Late,
    Session,
    TagWindows,
    percentile,
)
from edge_node.domain.windows.sliding import BUCKETS, MAX_SORTED, PureSliding, SlidingOrder
from edge_node.kernel import Ring
from shared.expression import WindowUse

FORMS = [PureSliding] if Ring is None else [PureSliding, Ring]
SPAN = 3200
VALUES = st.floats(-1e6, 1e6).map(lambda v: round(v, 3))
POINTS = st.lists(st.tuples(st.integers(0, 20_000), VALUES), min_size=1, max_size=80)


def plain(points: list[tuple[int, float]], function: str) -> object:
    """A figure by its definition."""
    values = [value for _, value in points]
    match function:
        case "avg":
            return statistics.fmean(values)
        case "stddev":
            return statistics.pstdev(values)
        case "sum":
            return math.fsum(values)
        case "range":
            return max(values) - min(values)
        case "count":
            return len(values)
        case "min" | "max":
            return min(values) if function == "min" else max(values)
        case "first":
            return values[0]
        case _:
            return values[-1]


FUNCTIONS = ("avg", "stddev", "sum", "range", "count", "min", "max", "first", "last")


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=100, deadline=None)
@given(points=POINTS, wait=st.integers(0, 4000))
def test_a_sliding_window_is_exact_up_to_its_bucket(
    form: type[PureSliding], points: list[tuple[int, float]], wait: int
) -> None:
    points = sorted({at: value for at, value in points}.items())
    window = form(SPAN, Late())
    for at, value in points:
        window.add(at, value)
    now = points[-1][0] + wait
    exact = [p for p in points if p[0] > now - SPAN]
    wide = [p for p in points if p[0] > now - SPAN - window.width]
    told = {f: window.figure(f, now) for f in FUNCTIONS}
    if not exact:
        assert told["count"] == 0
        assert told["avg"] == points[-1][1]  # an unchanged value still holds
        return
    # What it holds is one of the stretches between exact and one bucket longer.
    count = told["count"]
    assert isinstance(count, float)
    held = points[len(points) - int(count) :]
    assert len(exact) <= count <= len(wide)
    for function in FUNCTIONS:
        assert told[function] == pytest.approx(plain(held, function), rel=1e-9, abs=1e-6), function


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=60, deadline=None)
@given(order=st.permutations(range(30)))
def test_the_order_of_arrival_does_not_change_a_sliding_figure(
    form: type[PureSliding], order: list[int]
) -> None:
    window = form(100_000, Late())
    for at in order:
        window.add(at * 100, float(at % 7))
    points = [(at * 100, float(at % 7)) for at in range(30)]
    for function in ("avg", "stddev", "count", "min", "max", "first", "last"):
        expected = plain(points, function)
        assert window.figure(function, 3000) == pytest.approx(expected, abs=1e-9), function


@pytest.mark.skipif(Ring is None, reason="no compiled kernel here")
@settings(max_examples=200, deadline=None)
@given(
    st.integers(1, 5000),
    st.lists(st.tuples(st.integers(-3000, 3000), VALUES, st.integers(0, 500)), max_size=150),
)
def test_both_forms_tell_the_same(span: int, steps: list[tuple[int, float, int]]) -> None:
    assert Ring is not None
    pure, fast = PureSliding(span, Late(), 100), Ring(span, Late(), 100)
    now = 100_000
    for step, value, wait in steps:
        now += max(step, 0)
        for window in (pure, fast):
            window.add(now + min(step, 0), value)
        for function in (*FUNCTIONS, "rate", "changed", "lag"):
            assert fast.figure(function, now + wait) == pure.figure(function, now + wait), function
        assert fast.ends() == pure.ends() or len(pure) == 0
        assert (fast.late, len(fast)) == (pure.late, len(pure))


@pytest.mark.parametrize("form", FORMS)
def test_memory_and_work_do_not_grow_with_the_samples(
    form: type[PureSliding],
) -> None:
    window = form(60_000, Late())
    for at in range(100_000):
        window.add(at * 10, float(at))
    assert len(window) <= BUCKETS + 1
    assert window.figure("count", 999_990) == pytest.approx(6000, rel=1.5 / BUCKETS)
    order = SlidingOrder(10**9)
    for at in range(MAX_SORTED + 100):
        order.add(at, float(at))
    assert (len(order._points), order.dropped) == (MAX_SORTED, 100)


@pytest.mark.parametrize("form", FORMS)
def test_rate_lag_and_changed_are_against_what_held_when_the_window_began(
    form: type[PureSliding],
) -> None:
    window = form(1000, Late())
    window.add(0, 5.0)
    assert (window.figure("lag", 500), window.figure("changed", 500)) == (None, False)
    assert window.figure("rate", 500) is None
    window.add(2000, 7.0)
    assert window.figure("lag", 2000) == 5.0
    assert window.figure("changed", 2000) is True
    assert window.figure("rate", 2000) == 1.0  # from 5 to 7 in two seconds
    assert window.figure("changed", 3500) is False
    assert window.figure("avg", 3500) == 7.0


@pytest.mark.parametrize("form", FORMS)
def test_late_samples_are_counted_and_correct_what_is_kept(
    form: type[PureSliding],
) -> None:
    late = Late()
    window = form(10_000, late)
    window.add(5000, 1.0)
    window.add(4500, 3.0)  # out of order, within the tolerance
    assert (late.late, window.figure("avg", 5000)) == (0, 2.0)
    window.add(20_000, 1.0)
    window.add(12_000, 5.0)
    assert (late.late, window.figure("avg", 20_000)) == (1, 3.0)
    window.add(9000, 9.0)
    assert (late.too_late, window.figure("count", 20_000)) == (1, 2.0)
    assert window.figure("lag", 20_000) == 9.0  # it is what held when the window began


def test_a_closed_window_is_corrected_while_it_is_kept() -> None:
    late = Late()
    window: Assigned[Figures] = Assigned(1000, 1000, Figures, lateness_ms=500, late=late, kept=2)
    assert window.add(100, 1.0) == []
    assert window.add(1400, 5.0) == []  # the watermark is at 900
    (first,) = window.add(1600, 6.0)
    assert (first.start, first.end, first.content.figure("avg")) == (0, 1000, 1.0)
    assert window.add(900, 3.0) == []
    assert (first.content.figure("avg"), first.late) == (2.0, 1)
    assert (late.late, late.corrected, late.too_late) == (1, 1, 0)
    for at in (2600, 3600, 4600):
        window.add(at, 0.0)
    window.add(50, 1.0)  # its window is no longer kept
    assert (late.late, late.corrected, late.too_late) == (1, 1, 1)


def test_windows_end_by_the_clock_too() -> None:
    window: Assigned[Figures] = Assigned(1000, 1000, Figures, lateness_ms=0)
    window.add(100, 1.0)
    assert window.newest(999) is None
    content = window.newest(1000)
    assert content is not None
    assert content.figure("count") == 1
    assert window.newest(2000) is None  # nothing in the last one


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 20_000), min_size=1, max_size=40), st.sampled_from([500, 1000, 700]))
def test_every_sample_is_in_as_many_hopping_windows_as_it_should(
    times: list[int], hop: int
) -> None:
    window: Assigned[Figures] = Assigned(2000, hop, Figures, lateness_ms=50_000)
    for at in times:
        window.add(at, 1.0)
    out = window.pass_to(200_000)
    for one in out:
        inside = [at for at in times if one.start <= at < one.end]
        assert one.content.figure("count") == len(inside)
        assert one.end % hop == 0
    wanted = {end for at in times for end in range(0, 30_000, hop) if end - 2000 <= at < end}
    assert {one.end for one in out} == wanted


def test_sessions_split_at_gaps_and_at_their_longest() -> None:
    session: Session[Figures] = Session(1000, 0, Figures, lateness_ms=0)
    ended = []
    for at in (0, 900, 1800, 3000, 3500, 9000):
        ended += session.add(at, 1.0)
    assert [(w.start, w.end, w.content.n) for w in ended] == [(0, 2800, 3), (3000, 4500, 2)]
    cut: Session[Figures] = Session(1000, 2000, Figures, lateness_ms=0)
    ended = []
    for at in range(500, 10_000, 500):
        ended += cut.add(at, 1.0)
    assert [(w.start, w.end) for w in ended[:2]] == [(500, 4000), (4000, 6000)]


def test_a_late_sample_within_tolerance_joins_its_session() -> None:
    session: Session[Figures] = Session(1000, 0, Figures, lateness_ms=2000)
    for at in (0, 1500, 800):  # 800 bridges 0 and 1500
        assert session.add(at, 1.0) == []
    (ended,) = session.add(10_000, 1.0)
    assert (ended.start, ended.end, ended.content.n) == (0, 2500, 3)


def use(function: str, seconds: float, **more: object) -> WindowUse:
    return WindowUse(function, "T", seconds, **more)  # type: ignore[arg-type]


def test_a_tag_shares_windows_and_answers_every_shape() -> None:
    windows = TagWindows()
    uses = [
        use("avg", 10), use("max", 10), use("percentile", 10, argument=50.0),
        use("avg", 5, shape="tumbling"), use("count", 10, shape="hopping", step=5.0),
        use("percentile", 5, shape="tumbling", argument=100.0), use("lag", 3, shape="count"),
        use("count", 2, shape="session"),
    ]  # fmt: skip
    for one in uses:
        windows.watch(one)
    assert len(windows._windows) == 7
    for second in range(21):
        windows.add(second * 1000, float(second))

    def told(one: WindowUse) -> object:
        return windows.figure(one.function, one.seconds, 21_000, one.shape, one.step, one.argument)

    assert [told(one) for one in uses] == [16.0, 20.0, 16.0, 17.0, 10.0, 19.0, 17.0, 0.0]
    assert windows.figure("avg", 99, 21_000) is None


@given(st.lists(VALUES, min_size=1, max_size=50), st.floats(0, 100))
def test_percentiles_lie_between_their_neighbours(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found is not None
    below = math.floor((len(ordered) - 1) * share / 100)
    high = ordered[min(below + 1, len(ordered) - 1)]
    assert ordered[below] - 1e-6 <= found <= high + 1e-6
    assert (percentile(ordered, 0), percentile(ordered, 100)) == (ordered[0], ordered[-1])
