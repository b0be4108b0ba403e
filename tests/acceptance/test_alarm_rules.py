"""The alarm-rule scenarios of ThingsBoard's own tests, on the edge's rules and a virtual clock.

Its severities are one definition for each limit here, grouped by `suppressed_by`: a change of
severity is the worse one raised and the milder one hidden. A mere update of a standing alarm is no
transition here, a count is seen in the condition. A person cannot clear a present condition: what
ends it by hand is taking the alarm out (disable) and back (enable).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from math import inf, nextafter
from pathlib import Path

import pytest

from edge_node.domain.conditions.repeats import RepeatsCondition
from shared.alarm.machine import Trigger
from shared.alarm.point import Setting
from tests.support.edge_rules import alarm, sounded, standing
from tests.support.edge_script import START, Script, columns

DAY = 86_400_000


def two(tag: str, major: dict[str, object], critical: dict[str, object]) -> list:
    """MAJOR hidden while CRITICAL stands."""
    return [
        alarm("MAJOR", tag, **{"suppressed_by": ["CRITICAL"], "priority": 3, **major}),
        alarm("CRITICAL", tag, **{"priority": 1, **critical}),
    ]


def limit(value: float, **more: object) -> dict[str, object]:
    return {"side": "HI", "limit": value, "inclusive": True, **more}


def severity_update_clear() -> None:
    s = Script(["T"], two("T", limit(50, deadband=25), limit(100, deadband=75)))
    s.at(1).sample("T", 50)
    assert standing(s) == ["MAJOR"]
    s.at(2).sample("T", 100)
    assert standing(s) == ["CRITICAL"]
    before = len(s.log)
    s.at(3).sample("T", 101)
    assert len(s.log) == before
    s.at(4).sample("T", 26)
    assert standing(s) == ["CRITICAL"]
    s.at(5).sample("T", 20)
    assert standing(s) == []
    assert sounded(s) == [("MAJOR", "raised"), ("CRITICAL", "raised")]
    assert s.book.units["CRITICAL"].state.name == "rtn_unacknowledged"
    assert not s.book.units["CRITICAL"].state.acked


def simple_threshold_inclusive() -> None:
    s = Script(["T"], [alarm("CRITICAL", "T", **limit(100.0))])
    s.at(1).sample("T", nextafter(100.0, -inf)).at(2)
    s.want()
    s.sample("T", 100)
    s.want(("CRITICAL", "raised", 2))


def old_event_30_days() -> None:
    s = Script(["T"], [alarm("CRITICAL", "T", **limit(50))])
    s.log += s.pipeline.take("s1", columns([(0, START - 30 * DAY, 50.0, 0)]))
    (raised,) = s.log
    assert (raised.body.kind, raised.body.annunciate) == ("raised", True)
    assert raised.body.source_time == START - 30 * DAY  # its own time is kept


def repeats_of(s: Script, name: str) -> int:
    condition = s.pipeline._watching._conditions[name]
    assert isinstance(condition, RepeatsCondition)
    answer = condition.look(s.tags, s.clock.now_ms())
    assert answer.params is not None
    return int(answer.params["repeats"])


def repeating() -> None:
    s = Script(["T"], two("T", limit(50, repeats=5), limit(50, repeats=10)))
    for second in range(1, 5):
        s.at(second).sample("T", 50)
    s.want()
    s.at(5).sample("T", 50)
    assert (standing(s), repeats_of(s, "MAJOR")) == (["MAJOR"], 5)
    for second in range(6, 10):
        s.at(second).sample("T", 50)
    assert (standing(s), repeats_of(s, "MAJOR")) == (["MAJOR"], 9)
    s.at(10).sample("T", 50)
    assert (standing(s), repeats_of(s, "CRITICAL")) == (["CRITICAL"], 10)


def duration() -> None:
    s = Script(["P"], [alarm("CRITICAL", "P", **limit(3000, on_delay="5s", off_delay="3s"))])
    s.at(1).sample("P", 3500).at(4)
    s.want()
    s.at(20)
    s.want(("CRITICAL", "raised", 6))
    s.sample("P", 2000).at(21)
    s.want(("CRITICAL", "raised", 6))
    s.at(40)
    s.want(("CRITICAL", "raised", 6), ("CRITICAL", "returned", 23))


def duration_default_value() -> None:
    when = '(tag("P").good ? tag("P").value : 3500) >= 3000'
    s = Script(["P"], [alarm("CRITICAL", "P", kind="expression", when=when, on_delay="2s")])
    s.at(10)
    ((name, kind, at),) = s.told()
    assert (name, kind) == ("CRITICAL", "raised")
    assert 2 <= at <= 4


def schedule_started() -> None:
    # The scripts begin on a Tuesday at 22:13:20.
    window = [{"days": ["tue"], "from": "22:14", "to": "22:20"}]
    s = Script(
        ["T"],
        [
            alarm("CRITICAL", "T", **limit(50, schedule=window)),
            alarm("LONG", "T", **limit(50, schedule=window, on_delay="5s")),
        ],
    )
    s.at(25).sample("T", 50).at(35)
    s.want()
    s.at(60)
    s.want(("CRITICAL", "raised", 40), ("LONG", "raised", 45))  # counted from the opening
    s.at(600)
    assert standing(s) == []
    assert s.told()[2:] == [("LONG", "returned", 400), ("CRITICAL", "returned", 400)]


def no_data() -> None:
    def silent(seconds: int) -> dict[str, object]:
        return {
            "kind": "expression",
            "when": f'tag("T").last > 25 && tag("T").age_s >= {seconds}',
        }

    s = Script(["T"], two("T", silent(3), silent(10)))
    s.at(1).sample("T", 50).at(3.5)
    s.want()
    s.at(5.5)
    assert standing(s) == ["MAJOR"]
    s.at(12.5)
    assert standing(s) == ["CRITICAL"]
    s.sample("T", 50)
    assert standing(s) == []


def rule_changed_live() -> None:
    s = Script(["T"], [alarm("CRITICAL", "T", **limit(100))])
    s.at(1).sample("T", 50).at(2)
    s.want()
    edited = alarm("CRITICAL", "T", **limit(50)).setting
    s.book.set_setting(s.book.units["CRITICAL"], edited, 2)
    s.log += s.pipeline.settle()
    s.want(("CRITICAL", "raised", 2))
    assert s.log[0].body.settings_version == 2
    # The same for a condition of its own.
    far = alarm("FAR", "T", kind="deviation", setpoint=0, limit=100)
    s = Script(["T"], [far])
    s.at(1).sample("T", 60).at(2)
    s.book.set_setting(s.book.units["FAR"], Setting(50.0), 2)
    s.log += s.pipeline.settle()
    s.want(("FAR", "raised", 2))


def repeat_count_changed_live() -> None:
    s = Script(["T"], two("T", limit(50, repeats=5), limit(50, repeats=10)))
    for second in range(1, 7):
        s.at(second).sample("T", 50)
    assert (standing(s), repeats_of(s, "MAJOR")) == (["MAJOR"], 6)
    s.log += s.pipeline.redefine("CRITICAL", alarm("CRITICAL", "T", **limit(50, repeats=6)))
    assert (standing(s), repeats_of(s, "CRITICAL")) == (["CRITICAL"], 6)


def manual_clear() -> None:
    s = Script(["T"], [alarm("CRITICAL", "T", **limit(50))])
    s.at(1).sample("T", 50)
    first = s.book.units["CRITICAL"].occurrence
    assert s.do("CRITICAL", Trigger.DISABLE) == "ok"
    assert standing(s) == []
    assert s.do("CRITICAL", Trigger.ENABLE) == "ok"
    s.at(2).sample("T", 50)
    assert standing(s) == ["CRITICAL"]
    assert s.book.units["CRITICAL"].occurrence != first
    assert sounded(s) == [("CRITICAL", "raised"), ("CRITICAL", "enabled")]


SCENARIOS: dict[str, Callable[[], None]] = {
    "severityUpdate_clear": severity_update_clear,
    "simple_threshold_inclusive": simple_threshold_inclusive,
    "old_event_30_days": old_event_30_days,
    "repeating": repeating,
    "duration": duration,
    "duration_default_value": duration_default_value,
    "schedule_started": schedule_started,
    "no_data": no_data,
    "rule_changed_live": rule_changed_live,
    "repeat_count_changed_live": repeat_count_changed_live,
    "manual_clear": manual_clear,
}


@pytest.mark.parametrize("name", list(SCENARIOS))
def test_scenario(name: str) -> None:
    SCENARIOS[name]()


@pytest.mark.oracle
def test_no_scenario_is_left_out(outside_data: Path) -> None:
    path = outside_data / "oracles" / "thingsboard_alarm_scenarios.json"
    told = json.loads(path.read_text(encoding="utf-8"))["scenarios"]
    assert {scenario["name"] for scenario in told} == SCENARIOS.keys()
