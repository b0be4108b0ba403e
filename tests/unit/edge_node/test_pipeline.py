"""The edge's rules as time scripts."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_node.application.ipc import Samples
from shared.alarm.machine import Trigger
from shared.alarm.point import Setting
from shared.errors import ContractError
from tests.support.edge_script import START, Script, alarm_of, columns, limit

HI = limit("T.HI", "T", "HI", 100, deadband=5, on_ms=2000, off_ms=3000)
HIHI = limit("T.HIHI", "T", "HIHI", 120, deadband=5, on_ms=1000, off_ms=1000)
HI_UNDER = limit("T.HI", "T", "HI", 100, on_ms=1000, off_ms=1000, suppressed_by=("T.HIHI",))


def test_on_delay_deadband_and_off_delay() -> None:
    s = Script(["T"], [HI])
    s.at(0).sample("T", 99)
    s.at(1).sample("T", 101)
    s.at(5).sample("T", 96)  # within the deadband: still high
    s.at(6).sample("T", 95)
    s.at(20)
    s.want(("T.HI", "raised", 3), ("T.HI", "returned", 9))


def test_an_excursion_shorter_than_the_delay_is_silent() -> None:
    s = Script(["T"], [HI])
    s.at(0).sample("T", 101)
    s.at(1.9).sample("T", 94)
    s.at(10)
    s.want()


def test_a_delay_ends_by_the_clock_not_by_the_next_message() -> None:
    s = Script(["T"], [HI])
    s.at(0).sample("T", 101).at(2)
    s.want(("T.HI", "raised", 2))


def test_both_limits_crossed_at_once_sound_once() -> None:
    s = Script(["T"], [HI_UNDER, HIHI])
    s.at(0).sample("T", 90)
    s.at(1).sample("T", 130)
    s.at(5).sample("T", 110)
    s.at(10)
    s.want(
        ("T.HIHI", "raised", 2), ("T.HI", "raised", 2),
        ("T.HIHI", "returned", 6), ("T.HI", "unsuppressed", 6),
    )  # fmt: skip
    annunciated = [t.body.alarm for t in s.log if t.body.annunciate]
    assert annunciated == ["T.HIHI", "T.HI"]  # HI comes back with the end of HIHI


def test_both_ending_at_once_announces_nothing() -> None:
    for off_ms in (0, 1000):
        more = {"on_ms": 0, "off_ms": off_ms}
        under = limit("T.HI", "T", "HI", 100, suppressed_by=("T.HIHI",), **more)
        s = Script(["T"], [under, limit("T.HIHI", "T", "HIHI", 120, **more)])
        s.at(1).sample("T", 130)
        s.at(5).sample("T", 90)
        s.at(10)
        assert [t.body.alarm for t in s.log if t.body.annunciate] == ["T.HIHI"]
        assert s.book.units["T.HI"].state.name == "normal"


def test_a_condition_acts_though_people_do_not_see_the_alarm() -> None:
    s = Script(["T"], [limit("T.HI", "T", "HI", 100)])
    assert s.do("T.HI", Trigger.SHELVE_TIMED, shelve_ms=60_000) == "ok"
    s.at(1).sample("T", 101)
    raised = s.log[-1]
    assert (raised.raised, raised.body.kind, raised.body.annunciate) == (True, "raised", False)


def test_a_shelf_ends_by_the_clock_and_announces_what_stands() -> None:
    s = Script(["T"], [limit("T.HI", "T", "HI", 100)])
    s.at(0).sample("T", 101)
    s.do("T.HI", Trigger.SHELVE_TIMED, shelve_ms=5000)
    s.at(6)
    assert s.told()[-1] == ("T.HI", "unshelved", 5)
    assert s.log[-1].body.annunciate


def test_bad_quality_and_nan_hold_the_state() -> None:
    bad = alarm_of("T.BAD", "T", kind="bad_quality", setting=Setting(0, 0, 1000, 0))
    s = Script(["T"], [limit("T.HI", "T", "HI", 100), bad])
    s.at(0).sample("T", 101)
    s.at(1).sample("T", 50, quality=2)
    s.at(1.5).sample("T", math.nan)
    s.at(3).sample("T", 99)
    s.want(
        ("T.HI", "raised", 0), ("T.BAD", "raised", 2), ("T.BAD", "returned", 3),
        ("T.HI", "returned", 3),
    )  # fmt: skip


def test_stale_comes_by_the_clock_and_goes_with_the_next_sample() -> None:
    s = Script(["T"], [alarm_of("T.STALE", "T", kind="stale", stale_after_ms=8000)])
    for second in range(5):
        s.at(second).sample("T", 1)
    s.at(13).sample("T", 1)
    s.at(30)
    s.want(
        ("T.STALE", "raised", 12), ("T.STALE", "returned", 13), ("T.STALE", "raised", 21),
    )  # fmt: skip


def test_a_tag_that_never_speaks_is_stale() -> None:
    s = Script(["T"], [alarm_of("T.STALE", "T", kind="stale", stale_after_ms=8000)])
    s.at(9)
    s.want(("T.STALE", "raised", 8))


def test_discrete_numbers_booleans_and_texts() -> None:
    s = Script(
        ["bool:D", "text:M"],
        [
            alarm_of("D.OPEN", "D", kind="discrete", equals=True, setting=Setting(0, 0, 2000, 0)),
            alarm_of("M.MAN", "M", kind="discrete", equals="MANUAL"),
        ],
    )
    s.at(0).sample("D", 0).text("M", "AUTO")
    s.at(1).sample("D", 1)
    s.at(4).text("M", "MANUAL")
    s.at(5).sample("D", 0).text("M", "AUTO")
    s.want(
        ("D.OPEN", "raised", 3), ("M.MAN", "raised", 4), ("D.OPEN", "returned", 5),
        ("M.MAN", "returned", 5),
    )  # fmt: skip


def test_an_expression_with_a_window_and_unknown_keeps_the_state() -> None:
    rule = 'avg("T", "4s") > 100 && tag("B").value > 60'
    s = Script(["T", "B"], [alarm_of("X", "T", kind="expression", when=rule)])
    s.at(0).sample("T", 90).sample("B", 70)
    s.at(1).sample("T", 120)
    s.want(("X", "raised", 1))
    s.at(2).sample("B", 10, quality=2)
    s.want(("X", "raised", 1))
    assert s.book.units["X"].unknown == "tag_bad"
    s.at(3).sample("T", 20)
    s.want(("X", "raised", 1), ("X", "returned", 3))
    assert s.book.units["X"].unknown == ""  # a definite "no" from the window decides


def test_unknown_keeps_a_standing_alarm() -> None:
    s = Script(["T"], [alarm_of("X", "T", kind="expression", when='tag("T").value > 100')])
    s.at(0).sample("T", 120)
    s.at(1).sample("T", 0, quality=2)
    s.at(3)
    s.want(("X", "raised", 0))
    assert s.book.units["X"].unknown == "tag_bad"


def test_re_alarm() -> None:
    s = Script(["T"], [limit("T.HI", "T", "HI", 100, re_alarm_ms=5000)])
    s.at(0).sample("T", 101)
    s.at(2)
    assert s.do("T.HI", Trigger.ACKNOWLEDGE) == "ok"
    s.at(6)
    assert [k for _, k, _ in s.told()] == ["raised", "acknowledged", "re_alarmed"]
    assert [t.body.version for t in s.log] == [1, 1, 2]
    assert s.log[-1].body.annunciated_version == 2


def test_raised_again_while_it_waits_for_people_is_another_occurrence() -> None:
    s = Script(["T"], [limit("T.HI", "T", "HI", 100)])
    s.at(0).sample("T", 101)
    s.at(1).sample("T", 90)
    s.at(2).sample("T", 101)
    s.do("T.HI", Trigger.ACKNOWLEDGE)
    s.at(3).sample("T", 90)
    s.at(4).sample("T", 101)
    assert [(t.body.occurrence, t.body.version) for t in s.log] == [
        ("o1", 1), ("o1", 2), ("o2", 1), ("o2", 1), ("o2", 2), ("o3", 1),
    ]  # fmt: skip


def test_a_setting_waits_for_the_return_to_normal() -> None:
    s = Script(["T"], [limit("T.HI", "T", "HI", 100)])
    s.at(0).sample("T", 101)
    assert not s.book.set_setting(s.book.units["T.HI"], Setting(110), 7)
    s.at(1).sample("T", 105)
    s.want(("T.HI", "raised", 0))
    s.at(2).sample("T", 99)
    assert s.log[-1].body.settings_version == 1
    s.at(3).sample("T", 105)
    s.at(4).sample("T", 111)
    assert s.told()[-1] == ("T.HI", "raised", 4)
    assert s.log[-1].body.settings_version == 7


def test_a_new_setting_judges_the_value_that_stands() -> None:
    s = Script(["T"], [limit("T.HI", "T", "HI", 100)])
    s.at(0).sample("T", 95)
    assert s.book.set_setting(s.book.units["T.HI"], Setting(90), 2)
    s.at(1)
    s.log += s.pipeline.settle()
    s.want(("T.HI", "raised", 1))


def test_a_wrong_device_clock_does_not_shorten_or_lengthen_a_delay() -> None:
    for skew in (-3600.0, 7200.0):
        s = Script(["T"], [HI])
        s.at(0).batch(("T", skew, 99))
        s.at(1).batch(("T", 1 + skew, 101))
        s.at(2.9)
        assert s.told() == []
        s.at(3.1)
        assert s.told() == [("T.HI", "raised", 3 + skew)]  # in the device's own time


def test_a_step_of_the_wall_clock_ends_no_delay() -> None:
    s = Script(["T"], [HI])
    s.at(0).sample("T", 101)
    s.clock.jump(3_600_000)
    s.log += s.pipeline.tick()
    s.want()


@pytest.mark.parametrize(
    "batch",
    [
        columns([(7, START, 1.0, 0)]),
        columns([(-1, START, 1.0, 0)]),
        Samples(tags=b"\0\0\0\0", times=b"", values=b"", qualities=b"\0"),
    ],
)
def test_a_malformed_batch_is_refused_whole(batch: Samples) -> None:
    s = Script(["T"], [HI])
    with pytest.raises(ContractError):
        s.pipeline.take("s1", batch)
    assert s.tags.tag("T") is None


ROWS = st.lists(
    st.tuples(st.sampled_from("TU"), st.integers(0, 900), st.sampled_from([80, 101, 98, 130, 112])),
    min_size=1,
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ROWS, st.lists(st.integers(1, 8), min_size=1, max_size=40))
def test_batch_boundaries_do_not_matter(rows: list[tuple[str, int, int]], cuts: list[int]) -> None:
    time = 0.0
    timed = []
    for tag, gap, value in rows:
        time += gap / 1000
        timed.append((tag, time, float(value)))
    alarms = [
        limit("T.HI", "T", "HI", 100, deadband=3, on_ms=700, off_ms=400, suppressed_by=("T.HIHI",)),
        limit("T.HIHI", "T", "HIHI", 120, deadband=5, on_ms=300, off_ms=200),
        limit("U.HI", "U", "HI", 100, deadband=3, on_ms=0, off_ms=500),
        alarm_of("U.BAD", "U", kind="bad_quality"),
    ]
    together, apart = Script(["T", "U"], alarms), Script(["T", "U"], alarms)
    left, sizes = list(timed), iter(cuts * 40)
    for script in (together, apart):  # all arrives late, at the same instant
        script.sample("T", 80).sample("U", 80)
        script.clock.advance(round(time * 1000) + 100)
    together.batch(*left)
    while left:
        size = next(sizes)
        apart.batch(*left[:size])
        left = left[size:]
    for script in (together, apart):
        script.at(time + 30)
    assert sorted(together.told()) == sorted(apart.told())
    assert {u.id: u.state for u in together.book.units.values()} == {
        u.id: u.state for u in apart.book.units.values()
    }
