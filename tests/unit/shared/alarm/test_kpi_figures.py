"""The figures at their boundaries, and pieces of a journal put together against the whole."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.alarm.kpi import FloodFlag, KpiLimits, Period, document, figures, floods, report
from shared.alarm.kpi.alarm_run import Tally
from shared.alarm.kpi.document import METRICS, behind, series
from shared.alarm.kpi.floods import peak
from shared.alarm.kpi.records import (
    ACKNOWLEDGED,
    RAISED,
    RAISED_HIDDEN,
    RE_ALARMED,
    RETURNED,
    SHELVED,
    Record,
    in_order,
    kind_of,
)
from shared.alarm.kpi.shards import Shard, figures_of, join, standing

S = 1000
DAY = Period(0, 86_400 * S)


def said(*entries: tuple[float, str], alarm: str = "A|H", priority: str = "1") -> list[Record]:
    return [Record(round(at * S), alarm, kind, priority) for at, kind in entries]


def raises(*times: float, alarm: str = "A|H") -> list[Record]:
    return said(*((at, RAISED) for at in times), alarm=alarm)


def test_ten_in_a_window_are_no_flood_and_eleven_are() -> None:
    ten = [i * 60 * S for i in range(10)]
    assert floods(ten) == []
    (flood,) = floods([*ten, 599 * S])
    # It starts at the eleventh; fewer than 5 are left when the one at 360 s has aged out.
    assert (flood.start, flood.end, flood.ended) == (599 * S, 960 * S, True)


def test_the_window_is_open_at_its_beginning() -> None:
    # The eleventh comes just when the first leaves: (t-600, t] holds ten.
    assert floods([*(i * 60 * S for i in range(10)), 600 * S]) == []
    assert peak([0, 600 * S]) == 1


def test_an_arrival_counts_before_what_leaves_at_the_same_instant() -> None:
    burst = [0] * 7 + [300 * S] * 4
    assert floods(burst)[0].end == 600 * S
    assert floods([*burst, 600 * S])[0].end == 900 * S


def test_a_flood_is_cut_where_the_period_ends() -> None:
    found = figures(raises(*[10] * 11), Period(0, 100 * S))
    assert [(f.start, f.end, f.ended) for f in found.floods] == [(10 * S, 100 * S, False)]
    assert document(found)["pct_time_flood"] == 90.0


def test_fixed_intervals_take_their_beginning_and_not_their_end() -> None:
    got = document(figures(raises(*[599] * 10, *[600] * 11), Period(0, 1500 * S)))
    assert (got["bins"], got["max_bin"], got["bins_over10"]) == (3, 11, 1)
    assert got["peak_sliding"] == 21


@pytest.mark.parametrize(("third", "chattering"), [(59, 1), (60, 0)])
def test_three_within_less_than_a_minute_chatter(third: float, chattering: int) -> None:
    assert document(figures(raises(0, 10, third), DAY))["chattering"] == chattering


def test_two_do_not_chatter_and_re_alarms_neither() -> None:
    assert document(figures(raises(0, 1), DAY))["chattering"] == 0
    again = said((0, RAISED), (10, RE_ALARMED), (20, RE_ALARMED), (30, RE_ALARMED))
    got = figures(again, DAY)
    assert document(got)["chattering"] == document(got)["dup_on"] == 0
    assert (got.annunciations, got.total("re_alarms")) == (4, 3)


@pytest.mark.parametrize(("back", "fleeting"), [(59, 1), (60, 0), (0, 1)])
def test_fleeting_is_shorter_than_a_minute(back: float, fleeting: int) -> None:
    assert document(figures(said((0, RAISED), (back, RETURNED)), DAY))["fleeting"] == fleeting


@pytest.mark.parametrize(("until", "stale"), [(86_400, 0), (86_401, 1)])
def test_stale_is_longer_than_a_day_and_open_ones_are_cut_at_the_end(
    until: int, stale: int
) -> None:
    got = document(figures(raises(0), Period(0, until * S)))
    assert (got["stale"], got["standing_at_end"]) == (stale, 1)


def test_what_is_raised_twice_stands_since_the_first_and_a_lone_return_is_told() -> None:
    records = said((0, RETURNED), (10, RAISED), (20, RAISED), (69, RETURNED), (99, RETURNED))
    got = document(figures(records, DAY))
    assert (got["dup_on"], got["orphan_off"], got["fleeting"]) == (1, 2, 1)
    assert got["standing_at_end"] == 0


def test_what_lies_outside_the_period_counts_only_as_standing() -> None:
    before = [*raises(-90_000), *raises(*[-1] * 20, alarm="B|H"), *said((-1, RETURNED))]
    later = [*said((100, RETURNED), alarm="B|H"), *raises(200, alarm="C|H")]
    got = figures(in_order([*before, *later]), Period(0, 200 * S))
    assert got.annunciations == 0
    assert got.floods == []
    assert got.total("orphan_off") == 0
    assert document(got)["standing_at_end"] == 0
    stood = figures(in_order(raises(-90_000)), Period(0, 200 * S))
    assert (document(stood)["stale"], behind(stood, "standing")) == (1, [("A|H", 90_200)])


def test_a_suppressed_occurrence_is_journaled_and_not_counted() -> None:
    records = said((0, RAISED), (10, SHELVED), (20, RAISED_HIDDEN), (5000, RAISED))
    got = report(figures(records, DAY))
    assert got["performance"]["annunciations"] == 2
    assert (got["audit"]["suppressed_occurrences"], got["audit"]["shelved"]) == (1, 1)
    assert got["diagnostic"]["fleeting"] == got["diagnostic"]["dup_on"] == 0


def test_answers_are_counted_from_the_first_annunciation_by_priority() -> None:
    one = said((0, RAISED), (30, RE_ALARMED), (40, RETURNED), (50, ACKNOWLEDGED), (60, RAISED))
    two = said((0, RAISED), (10, ACKNOWLEDGED), (11, ACKNOWLEDGED), alarm="B|H", priority="2")
    got = report(figures(in_order([*one, *two]), DAY))["performance"]
    assert got["answers"]["1"]["median_s"] == 50.0
    assert got["answers"]["2"] == {
        "count": 1, "mean_s": 10.0, "median_s": 10.0, "p90_s": 10.0, "max_s": 10.0,
    }  # fmt: skip
    assert got["unanswered"] == 1


def test_nothing_is_nothing() -> None:
    got = document(figures([], Period(0, 0)))
    assert got["avg_per_10min"] == got["pct_time_flood"] == got["top10_pct"] == 0.0
    assert (got["bins"], got["prio"], got["top3"]) == (0, {}, [])


def test_thresholds_are_configuration() -> None:
    strict = KpiLimits(flood_over=2, flood_below=2, chatter_count=2, fleeting_ms=5 * S, top=1)
    records = [*raises(0, 20, 30), *said((34, RETURNED))]
    got = document(figures(records, DAY, strict))
    assert (got["floods"], got["chattering"], got["fleeting"]) == (1, 1, 0)


def test_a_tie_of_the_most_frequent_is_broken_by_name_and_figures_can_be_opened() -> None:
    records = in_order([*raises(0, alarm="B|L"), *raises(5, alarm="A|L"), *raises(6, 9)])
    found = figures(records, DAY)
    assert document(found)["top3"] == [["A|H", 2], ["A|L", 1], ["B|L", 1]]
    assert behind(found, "dup_on") == [("A|H", 1)]
    for metric in METRICS:
        behind(found, metric)
    with pytest.raises(KeyError):
        behind(found, "nonsense")


def test_a_transition_means_what_was_annunciated() -> None:
    shelved = {"shelf": "T"}
    assert kind_of("unshelved", True, {}) == RAISED
    assert kind_of("re_alarmed", True, {}) == RE_ALARMED
    assert kind_of("raised", False, shelved) == RAISED_HIDDEN
    assert kind_of("returned", False, shelved) is None
    assert kind_of("returned", False, {}) == RETURNED
    assert kind_of("confirmed", False, {}) is None


def test_the_banner_flag_is_on_at_the_eleventh_and_off_below_five() -> None:
    flag = FloodFlag()
    for i in range(10):
        flag.add(i * 60 * S)
    assert not flag.on
    flag.add(599 * S)
    assert (flag.on, flag.since, flag.look(599 * S)) == (True, 599 * S, 11)
    assert (flag.look(959 * S), flag.on) == (5, True)
    assert (flag.look(960 * S), flag.on) == (4, False)


KINDS = [RAISED] * 6 + [RETURNED] * 5 + [ACKNOWLEDGED] * 2 + [RE_ALARMED, SHELVED, RAISED_HIDDEN]
BIN = 600 * S


@st.composite
def journals(draw: st.DrawFn) -> tuple[list[Record], int, list[int], int]:
    span = draw(st.sampled_from([2400, 6000, 200_000]))
    names = st.sampled_from(["a", "b", "c"][: draw(st.integers(1, 3))])
    entry = st.builds(
        Record, st.integers(-span // 4, span).map(lambda t: t * S), names,
        st.sampled_from(KINDS), st.sampled_from("12"),
    )  # fmt: skip
    records = draw(st.lists(entry, max_size=60))
    end = (span // 600 + 1) * BIN
    cuts = draw(st.sets(st.integers(1, end // BIN - 1), max_size=6))
    return records, end, [0, *(c * BIN for c in sorted(cuts)), end], draw(st.integers(0, 10**6))


@given(journals())
@example(
    ([Record(i * 50 * S, "a", RAISED, "1") for i in range(48)], 2400 * S, [0, BIN, 2400 * S], 0)
)
def test_pieces_put_together_equal_the_whole_whatever_order_the_data_came_in(
    journal: tuple[list[Record], int, list[int], int],
) -> None:
    records, end, cuts, seed = journal
    whole = figures(in_order(records), Period(0, end))
    # Late data: what comes in another order is sorted by time; each alarm's ties keep theirs.
    shuffled = _shuffled(records, seed)
    assert report(figures(in_order(shuffled), Period(0, end))) == report(whole)
    pieces = [
        Shard.of([r for r in in_order(shuffled) if a <= r.time < b], a, b)
        for a, b in itertools.pairwise(cuts)
    ]
    if len(pieces) > 2:  # grouped differently: joining is associative
        pieces = [pieces[0], join(pieces[1:])]
    before = standing(r for r in in_order(shuffled) if r.time < 0)
    live = figures_of(join(pieces), end, before)
    assert report(live) == report(whole)
    nothing = Tally()
    assert {n: t for n, t in live.alarms.items() if t != nothing} == {
        n: t for n, t in whole.alarms.items() if t != nothing
    }


def _shuffled(records: Sequence[Record], seed: int) -> list[Record]:
    """Any order, but what one alarm says at one time stays in its order."""
    order = random.Random(seed)
    keys = sorted({(r.time, r.alarm) for r in records})
    order.shuffle(keys)
    return [r for key in keys for r in records if (r.time, r.alarm) == key]


def test_the_series_of_a_plot_has_mean_and_peak_of_each_slot() -> None:
    period = Period(0, 3_000 * S)  # five intervals, in slots of two; the last slot is cut
    told = figures(raises(1, 2, 700, 1300, 2500, 2600, 2700), period)
    assert series(told, 3) == [
        {"start": 0, "mean": 1.5, "peak": 2},
        {"start": 1_200 * S, "mean": 0.5, "peak": 1},
        {"start": 2_400 * S, "mean": 3.0, "peak": 3},
    ]
    assert sum(slot["mean"] for slot in series(told)) == 7
