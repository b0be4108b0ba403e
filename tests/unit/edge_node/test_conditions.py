"""Each kind of condition as a time script on the edge's own rules."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from edge_node.application.pipeline import Pipeline
from edge_node.domain.conditions.model import score
from edge_node.domain.conditions.schedule import Calendar
from edge_node.domain.site_change import AlarmChanges
from shared.alarm.condition import ModelParameters, Opening, Schedule
from shared.alarm.machine import Trigger
from shared.alarm.point import Setting
from shared.expression import WindowUse
from tests.support.edge_rules import alarm, sounded, standing
from tests.support.edge_script import Script

BAD = 2


def kinds(script: Script) -> list[tuple[str, float]]:
    return [(kind, at) for _, kind, at in script.told()]


def test_deviation_from_a_set_point_that_moves() -> None:
    far = alarm("FAR", "PV", kind="deviation", setpoint="SP", limit=5, deadband=2)
    s = Script(["PV", "SP"], [far])
    s.at(1).sample("PV", 20)  # no set-point yet: unknown
    assert s.book.units["FAR"].unknown == "tag_missing"
    s.at(2).sample("SP", 20)
    s.at(3).sample("SP", 26)  # the set-point moves away: 6 below it
    s.at(4).sample("PV", 22)  # 4 off: inside the deadband
    s.at(5).sample("PV", 20, BAD).at(6)
    s.sample("PV", 24)
    s.want(("FAR", "raised", 3), ("FAR", "returned", 6))
    assert s.log[0].body.value == -6


@pytest.mark.parametrize(
    ("direction", "low", "high"),
    [("high", False, True), ("low", True, False), ("both", True, True)],
)
def test_deviation_on_a_side_from_a_fixed_set_point(direction: str, low: bool, high: bool) -> None:
    for value, expected in ((9, low), (31, high), (20, False)):
        one = alarm("D", "PV", kind="deviation", setpoint=20, limit=10, direction=direction)
        s = Script(["PV"], [one])
        s.at(1).sample("PV", value)
        assert bool(standing(s)) is expected


def test_rate_of_change_over_a_span_with_deadband() -> None:
    fast = alarm("FAST", "T", kind="rate", limit=60, per="1m", span="10s", deadband=20,
                 direction="high")  # fmt: skip
    s = Script(["T"], [fast])
    for second in range(61):  # 0.5 a second: 30 a minute
        s.at(second).sample("T", 100 + second * 0.5)
    s.want()
    for second in range(61, 80):  # 2 a second
        s.at(second).sample("T", 130 + (second - 60) * 2)
    ((kind, at),) = kinds(s)
    assert kind == "raised"
    assert 62 <= at <= 66  # the average over 10 s passes 60 a minute
    s.at(95)  # nothing changes any more: by the clock, without a sample
    assert kinds(s)[1][0] == "returned"


def test_a_rate_is_unknown_until_it_can_be_told_and_falling_is_no_rise() -> None:
    fall = alarm("FALL", "T", kind="rate", limit=1, per="1s", span="10s", direction="low")
    s = Script(["T"], [fall])
    s.at(1).sample("T", 100).at(2).sample("T", 10)
    assert s.book.units["FALL"].unknown == "window_empty"
    s.want()
    for second in range(3, 9):
        s.at(second).sample("T", 10 - second * 3)
    assert standing(s) == ["FALL"]


def test_lists_of_states() -> None:
    bad = alarm("BAD", "MODE", kind="discrete", any_of=["FAULT", "TRIPPED"])
    odd = alarm("ODD", "MODE", kind="discrete", none_of=["RUN", "STOP"])
    s = Script(["text:MODE"], [bad, odd])
    for second, mode in enumerate(["RUN", "FAULT", "STOP", "TRIPPED", "HELLO", "RUN"]):
        s.at(second).text("MODE", mode)
    told = [(name, kind) for name, kind, _ in s.told()]
    assert told == [
        ("BAD", "raised"), ("ODD", "raised"), ("ODD", "returned"), ("BAD", "returned"),
        ("BAD", "raised"), ("ODD", "raised"), ("BAD", "returned"), ("ODD", "returned"),
    ]  # fmt: skip


def test_a_feedback_that_does_not_follow_its_command() -> None:
    stuck = alarm("STUCK", "RUNNING", kind="discrepancy", command="START", within="5s")
    s = Script(["bool:START", "bool:RUNNING"], [stuck])
    s.at(0).sample("START", 0).sample("RUNNING", 0)
    s.at(10).sample("START", 1)
    s.at(13).sample("RUNNING", 1)  # in time
    s.at(20).sample("START", 0)
    s.at(24).sample("START", 1)  # taken back in time
    s.at(40).sample("RUNNING", 0)  # falls by itself
    s.at(60)
    s.want(("STUCK", "raised", 45))  # by the clock
    s.sample("RUNNING", 1)
    assert standing(s) == []


def test_a_command_given_again_starts_the_time_again_and_pairs_translate() -> None:
    valve = alarm("V", "POS", kind="discrepancy", command="CMD", within="10s",
                  pairs={"OPEN": ["OPENED"], "CLOSE": ["CLOSED", "SEALED"]})  # fmt: skip
    s = Script(["text:CMD", "text:POS"], [valve])
    s.at(0).text("CMD", "OPEN").text("POS", "CLOSED")
    s.at(8).text("CMD", "CLOSE")
    s.at(9).text("CMD", "OPEN").at(18.5)
    s.want()
    s.at(19)
    s.want(("V", "raised", 19))
    s.at(20).text("POS", "OPENED")
    s.at(21).text("CMD", "CLOSE").text("POS", "SEALED").at(60)
    assert kinds(s) == [("raised", 19), ("returned", 20)]


def test_an_analogue_feedback_may_be_a_little_off() -> None:
    one = alarm("D", "FB", kind="discrepancy", command="SP", within="1s", limit=2)
    s = Script(["SP", "FB"], [one])
    s.at(0).sample("SP", 50).sample("FB", 48).at(5)
    s.want()
    s.sample("FB", 47.9).at(10)
    s.want(("D", "raised", 6))


def test_a_z_score_warms_up_raises_once_and_returns() -> None:
    odd = alarm("ODD", "T", kind="zscore", limit=6, deadband=2, half_life="5m")
    twin = alarm("ODD2", "T", kind="zscore", limit=6, deadband=2, half_life="5m", repeats=2)
    s = Script(["T"], [odd, twin])
    for second in range(100):
        s.at(second).sample("T", 20 + (second % 5) * 0.2)
    s.want()
    s.at(100).sample("T", 40)
    s.want(("ODD", "raised", 100))
    assert s.log[0].body.value is not None
    assert s.log[0].body.value > 6
    s.at(101).sample("T", 40)
    s.at(102).sample("T", 20.4)
    told = [(name, kind) for name, kind, _ in s.told()]
    assert sorted(told[1:]) == [("ODD", "returned"), ("ODD2", "raised"), ("ODD2", "returned")]


def test_a_model_sent_down_as_numbers() -> None:
    numbers = {
        "type": "logistic", "version": 4, "inputs": ["A", 'avg("B", "10s")'],
        "mean": [10, 100], "scale": [2, 10], "weights": [2.0, 1.0], "bias": -3.0,
    }  # fmt: skip
    s = Script(["A", "B"], [alarm("M", "A", kind="model", limit=0.9, model=numbers)])
    s.at(1).sample("A", 10).at(2)
    assert s.book.units["M"].unknown  # B is not there yet
    s.sample("B", 100).at(3)
    s.want()
    s.sample("A", 16).at(4)
    s.want(("M", "raised", 3))
    assert s.log[0].body.value == pytest.approx(1 / (1 + 2.718281828459045**-3.0))


def test_scores_of_each_model() -> None:
    linear = ModelParameters("linear", ("a", "b"), weights=(2.0, -1.0), bias=1.0)
    assert score(linear, [3.0, 4.0]) == 3.0
    logistic = ModelParameters("logistic", ("a",), weights=(1.0,))
    assert score(logistic, [0.0]) == 0.5
    assert score(logistic, [-1e9]) == 0.0
    assert score(logistic, [1e9]) == 1.0
    quantile = ModelParameters(
        "quantile", ("a",), probabilities=(0.01, 0.5, 0.99), values=(1.0, 10.0, 12.0)
    )
    found = [score(quantile, [v]) for v in (0.5, 1.0, 5.5, 11.0, 12.0, 13.0)]
    assert found == pytest.approx([0.0, 0.01, 0.255, 0.745, 0.99, 1.0])


def test_three_starts_in_a_minute_chatter() -> None:
    many = alarm("MANY", "PUMP", kind="discrete", equals=True, repeats=3, repeat_within="60s",
                 repeat_counts="episodes")  # fmt: skip
    s = Script(["bool:PUMP"], [many])
    for second, value in ((0, 1), (1, 1), (10, 0), (20, 1), (30, 0), (40, 1), (45, 0)):
        s.at(second).sample("PUMP", value)
    s.at(200)
    s.want(("MANY", "raised", 40), ("MANY", "returned", 60))  # by the clock: the first is too old


def test_a_sample_in_between_ends_a_row() -> None:
    row = alarm("ROW", "T", side="HI", limit=50, repeats=3)
    s = Script(["T"], [row])
    for second, value in enumerate([60, 60, 40, 60, 60, 60, 60, 40]):
        s.at(second).sample("T", value)
    s.want(("ROW", "raised", 5), ("ROW", "returned", 7))


def test_silence_and_bad_quality_inside_a_schedule() -> None:
    window = [{"days": ["tue"], "from": "22:14", "to": "22:20"}]  # 40 s to 400 s in the script
    s = Script(
        ["T"],
        [
            alarm("SILENT", "T", kind="stale", stale_after="20s", schedule=window),
            alarm("BADQ", "T", kind="bad_quality", schedule=window),
        ],
    )
    s.at(5).sample("T", 1).at(39)
    s.want()
    s.at(50).sample("T", 1, BAD)
    s.at(60).sample("T", 1)
    s.want(
        ("SILENT", "raised", 40), ("SILENT", "returned", 50), ("BADQ", "raised", 50),
        ("BADQ", "returned", 60),
    )  # fmt: skip


def test_an_alarm_over_other_alarms_follows_them_at_once() -> None:
    high = alarm("HI", "T", side="HI", limit=50)
    hot = alarm("HOT", "P", side="HI", limit=5)
    both = alarm("BOTH", "T", kind="expression", factors=["machine", "method"],
                 when='alarm("HI").active && alarm("HOT").active')  # fmt: skip
    alone = alarm("ALONE", "T", kind="expression", when='alarm("HI").active && !alarm("HI").acked')
    s = Script(["T", "P"], [high, hot, both, alone])
    s.at(1.2).sample("T", 60)
    s.at(1.4).sample("P", 6)
    assert standing(s) == ["HI", "HOT", "BOTH", "ALONE"]
    assert [at for name, _, at in s.told() if name == "BOTH"] == [1.4]
    assert s.do("HI", Trigger.ACKNOWLEDGE) == "ok"
    assert standing(s) == ["HI", "HOT", "BOTH"]
    s.at(1.6).sample("P", 1)
    assert standing(s) == ["HI"]
    assert both.factors == ("machine", "method")


def test_what_ends_together_announces_nothing_also_outside_the_kernel() -> None:
    worse = alarm("WORSE", "T", kind="deviation", setpoint=0, limit=20)
    bad = alarm("BADD", "T", kind="deviation", setpoint=0, limit=10, suppressed_by=["WORSE"])
    s = Script(["T"], [bad, worse])
    s.at(1).sample("T", 30).at(5).sample("T", 0).at(9)
    assert sounded(s) == [("WORSE", "raised")]


SHANGHAI, BERLIN, UTC_NAME = "Asia/Shanghai", "Europe/Berlin", "UTC"


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("zone", "opening", "moment", "is_open", "until"),
    [
        (SHANGHAI, ((0,), 480, 1020), "2024-01-01T00:00", True, "2024-01-01T09:00"),
        (SHANGHAI, ((0,), 480, 1020), "2023-12-31T23:59", False, "2024-01-01T00:00"),
        # Over midnight: from Friday 22:00 to Saturday 06:00.
        (UTC_NAME, ((4,), 1320, 360), "2024-01-06T05:59", True, "2024-01-06T06:00"),
        (UTC_NAME, ((4,), 1320, 360), "2024-01-06T06:00", False, "2024-01-12T22:00"),
        (UTC_NAME, ((0, 1, 2, 3, 4, 5, 6), 0, 1440), "2024-01-06T06:00", True, "2024-01-13T06:00"),
        # Europe, 2024-03-31: 09:00 is at 08:00 UTC the day before, at 07:00 from then on.
        (BERLIN, ((5, 6), 540, 600), "2024-03-30T07:59", False, "2024-03-30T08:00"),
        (BERLIN, ((5, 6), 540, 600), "2024-03-31T06:59", False, "2024-03-31T07:00"),
        # 2024-10-27: the hour from 02:00 comes twice; a window over it is an hour longer.
        (BERLIN, ((6,), 60, 240), "2024-10-26T23:00", True, "2024-10-27T03:00"),
    ],
)
def test_a_calendar_goes_by_the_clock_on_the_wall(
    zone: str, opening: tuple[tuple[int, ...], int, int], moment: str, is_open: bool, until: str
) -> None:
    calendar = Calendar(Schedule(zone, (Opening(*opening),)))
    assert calendar.at(at(moment)) == (is_open, at(until))


def test_a_wall_clock_that_is_set_moves_the_schedule() -> None:
    window = [{"days": ["tue"], "from": "22:14", "to": "22:20"}]
    s = Script(["T"], [alarm("HI", "T", side="HI", limit=50, schedule=window)])
    s.at(5).sample("T", 60)
    s.clock.jump(3_600_000)  # it was an hour slow: the window is over
    s.at(3900)
    s.want()


def test_an_inclusive_limit_stays_so_when_it_is_tuned_and_is_shown_as_written() -> None:
    s = Script(["T"], [alarm("HI", "T", side="HI", limit=0.3, inclusive=True)])
    s.at(1).sample("T", 0.3)
    assert standing(s) == ["HI"]
    assert s.log[0].body.limit == 0.3
    s.sample("T", 0.1)
    unit = s.book.units["HI"]
    assert s.book.set_setting(unit, Setting(0.7), 2)
    assert s.book.set_setting(unit, unit.definition.setting, 3)  # as after a restart
    s.at(2).sample("T", 0.7)
    assert standing(s) == ["HI"]
    assert s.log[-1].body.limit == 0.7


def test_new_model_parameters_are_checked_and_run_at_once() -> None:
    numbers = {"type": "linear", "inputs": ["A"], "weights": [1.0]}
    first = alarm("M", "A", kind="model", limit=5, model=numbers)
    s = Script(["A"], [first])
    s.at(1).sample("A", 4)
    s.want()
    better = ModelParameters("linear", ("A",), version=2, weights=(2.0,))
    s.log += s.pipeline.redefine("M", first.with_model(better, 2))
    s.want(("M", "raised", 1))
    with pytest.raises(ValueError, match="give one each"):
        first.with_model(ModelParameters("linear", ("A",)), 3)
    with pytest.raises(ValueError, match="not of kind model"):
        alarm("H", "A", side="HI", limit=1).with_model(better, 2)


def test_late_samples_of_a_window_are_counted_at_the_edge() -> None:
    when = 'avg("T", "10s") > 5'
    s = Script(["T"], [alarm("AVG", "T", kind="expression", when=when)])
    s.at(20).batch(("T", 19, 1.0), ("T", 15, 20.0))
    assert standing(s) == ["AVG"]  # late, and yet it counts: the mean is 10.5
    (late,) = s.tags.news_of_late().values()
    assert (late.late, late.too_late) == (1, 0)
    assert s.tags.news_of_late() == {}


def test_a_new_version_of_the_site_goes_on_where_the_old_one_stands() -> None:
    alarms = [
        alarm("ROW", "T", side="HI", limit=50, repeats=4),
        alarm("ODD", "T", kind="zscore", limit=6),
        alarm("AVG", "T", kind="expression", when='avg("T", "1m") > 58'),
        alarm("FAST", "T", kind="rate", limit=10, per="1s", span="10s"),
    ]
    s = Script(["T"], alarms)
    for second in range(40):
        s.at(second).sample("T", 40 + second % 3)
    for second in range(40, 42):
        s.at(second).sample("T", 60)
    assert standing(s) == ["ODD"]
    other = Script(["T"], [alarm("ROW", "T", side="HI", limit=50, repeats=3), *alarms[1:]])
    other.clock = s.clock
    other.pipeline = Pipeline(other.tags, other.book, s.clock)
    for name, unit in other.book.units.items():
        before = s.book.units[name]
        unit.state, unit.point, unit.occurrence = before.state, before.point, before.occurrence
    other.log = other.pipeline.take_over(s.pipeline, AlarmChanges())
    other.at(42).sample("T", 60)
    assert standing(other) == ["ROW", "ODD"]  # the third in a row, and it remembers what is odd
    figure = other.tags.window("count", "T", 60.0)
    assert figure == 43  # all that was seen, also by the old version
    assert other.tags.window("avg", "T", 60.0) == pytest.approx(42.3, abs=0.1)
    assert other.book.units["FAST"].unknown == ""


def test_a_window_takes_in_every_sample_whoever_asked_for_it() -> None:
    s = Script(["T"], [alarm("HI", "T", side="HI", limit=50)])
    s.tags.watch(WindowUse("avg", "T", 10.0))
    for second, value in enumerate((1.0, 2.0, 60.0)):
        s.at(second).sample("T", value)
    assert s.tags.window("avg", "T", 10.0) == 21.0
    assert standing(s) == ["HI"]
