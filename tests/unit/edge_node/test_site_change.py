"""What a change of the site does to alarms that stand, wait, are hidden or are stale."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

import pytest

from edge_node.application.pipeline import Pipeline
from edge_node.application.records import AlarmRecord
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.site_change import compare, condition_mark, move
from edge_node.domain.tags import TagTable
from shared.alarm.definition import AlarmDefinition
from shared.alarm.machine import Policy
from shared.alarm.point import Setting
from shared.site.model import SourceSpec
from tests.support.edge_rules import alarm, sounded, standing
from tests.support.edge_script import Script, _tag, limit


class Plant(Script):
    """A script whose site can change, as the edge's own reload does it."""

    def __init__(self, tags: list[str], alarms: list[AlarmDefinition]) -> None:
        super().__init__(tags, alarms)
        self.written = {one.id: one for one in alarms}

    def change(
        self, *alarms: AlarmDefinition, kept: Collection[str] = (), url: str = "opc.tcp://x",
        more: Collection[str] = (), **tags: dict[str, Any],
    ) -> Plant:  # fmt: skip
        old, before = self.pipeline, self.book
        specs = [
            spec.model_copy(update=tags.get(spec.id, {})) for spec in self.tags.sources["s1"].tags
        ] + [_tag(name) for name in more]
        source = SourceSpec(id="s1", edge="e1", driver="opcua", url=url)
        self.tags = TagTable([source], specs)
        count = len(self.log) + 1
        self.book = AlarmBook(alarms, lambda: f"n{count}-{len(self.log)}")
        self.pipeline = Pipeline(self.tags, self.book, self.clock)
        changes = compare(self.written, {one.id: one for one in alarms})
        self.written = {one.id: one for one in alarms}
        move(before, self.book, changes, kept)
        self.log += self.pipeline.take_over(old, changes)
        return self

    def kinds(self, name: str) -> list[tuple[str, float]]:
        return [(kind, at) for one, kind, at in self.told() if one == name]


@pytest.mark.parametrize("every", [1, 7, 20])
def test_a_delay_under_way_goes_on_over_any_number_of_changes(every: int) -> None:
    slow = limit("T.HI", "T", "HI", 100, on_ms=60_000, off_ms=30_000, deadband=5)
    plant = Plant(["T"], [slow])
    for second in range(1, 200):
        # Within the deadband half of the time; back to normal from 100 s on.
        plant.at(second).sample("T", (110 if second % 2 else 97) if second < 100 else 50)
        if second % every == 0:
            plant.change(slow)
    assert plant.kinds("T.HI") == [("raised", 61), ("returned", 130)]


def test_a_delay_under_way_has_its_new_length_and_ends_without_a_sample() -> None:
    deviates = alarm("D", "T", kind="deviation", setpoint=0, limit=100, on_delay="60s")
    slow = limit("T.HI", "T", "HI", 100, on_ms=60_000)
    plant = Plant(["T"], [slow, deviates])
    plant.at(1).sample("T", 110).at(30)
    plant.change(limit("T.HI", "T", "HI", 100, on_ms=40_000), deviates).at(300)
    assert plant.told() == [("T.HI", "raised", 41), ("D", "raised", 61)]


def test_silence_goes_on_and_an_alarm_of_silence_ends_by_a_sample_alone() -> None:
    silent = alarm("S", "T", kind="stale", stale_after="10s")
    plant = Plant(["T"], [silent])
    plant.at(1).sample("T", 5).at(9).change(silent).at(20).change(silent)
    assert plant.told() == [("S", "raised", 11)]
    plant.at(30).sample("T", 5)
    assert plant.kinds("S")[1:] == [("returned", 30)]


def test_a_tag_that_never_spoke_is_stale_in_time_however_often_the_site_is_saved() -> None:
    silent = alarm("S", "T", kind="stale", stale_after="10s")
    plant = Plant(["T"], [silent])
    for second in range(1, 30):
        plant.at(second).change(silent)
    assert plant.kinds("S") == [("raised", 10)]


def test_a_new_tag_begins_its_own_silence_and_no_other_one_anew() -> None:
    silent = [alarm(tag, tag, kind="stale", stale_after="10s") for tag in ("A", "B", "C")]
    plant = Plant(["A"], silent[:1])
    plant.at(4).change(*silent[:2], more=["B"])
    plant.at(8).change(*silent, more=["C"]).at(9).change(*silent).at(30)
    assert plant.told() == [("A", "raised", 10), ("B", "raised", 14), ("C", "raised", 18)]


def test_an_alarm_is_raised_anew_on_its_time_over_changes() -> None:
    again = limit("T.HI", "T", "HI", 100, re_alarm_ms=60_000)
    plant = Plant(["T"], [again])
    plant.at(1).sample("T", 110)
    for second in range(20, 200, 20):
        plant.at(second).change(again)
    plant.at(184)
    assert [at for _, kind, at in plant.told() if kind == "re_alarmed"] == [61, 121, 181]
    sooner = replace(again, re_alarm_ms=5_000)
    plant.at(185).change(sooner).at(193)
    assert plant.told()[-1] == ("T.HI", "re_alarmed", 190)


def test_other_words_end_nothing_and_other_conditions_are_judged_anew() -> None:
    hot = limit("T.HI", "T", "HI", 100)
    plant = Plant(["T", "P"], [hot])
    plant.at(1).sample("T", 110).sample("P", 5)
    plant.at(2).change(replace(hot, snippet=(1, 2), factors=("machine",)))
    assert plant.kinds("T.HI") == [("raised", 1)]
    plant.at(3).change(limit("T.HI", "P", "HI", 1))  # another tag, beyond as well
    assert [kind for kind, _ in plant.kinds("T.HI")] == ["raised", "reconfigured", "raised"]
    occurrences = [t.body.occurrence for t in plant.log]
    assert occurrences[0] == occurrences[1] != occurrences[2]


def test_what_another_condition_waited_for_does_not_count() -> None:
    plant = Plant(["T", "P"], [alarm("D", "T", kind="deviation", setpoint=0, limit=9,
                                     on_delay="60s")])  # fmt: skip
    plant.at(1).sample("T", 50).sample("P", 50)
    other = alarm("D", "P", kind="deviation", setpoint=0, limit=9, on_delay="60s")
    plant.at(58).sample("P", 50).at(59).change(other).at(118)
    assert plant.told() == []
    plant.at(120)
    assert plant.kinds("D") == [("raised", 119)]


@pytest.mark.parametrize(
    "how", [{"T": {"scale": 10.0}}, {"T": {"address": "other"}}, {"url": "opc.tcp://other"}]
)
def test_a_value_that_was_read_in_another_way_raises_nothing(how: dict[str, Any]) -> None:
    rules = [
        limit("T.LO", "T", "LO", 5),
        alarm("R", "T", kind="rate", limit=10, per="1s", span="10s"),
        alarm("A", "T", kind="expression", when='max("T", "1m") < 400'),
    ]
    plant = Plant(["T"], rules)
    for second in range(20):
        plant.at(second).sample("T", 50)
    plant.change(limit("T.LO", "T", "LO", 450), *rules[1:], **how)
    plant.at(20).sample("T", 500)
    for second in range(21, 40):
        plant.at(second).sample("T", 500)
    assert [one for one in plant.told() if one[0] != "A"] == []
    plant.sample("T", 440)
    assert standing(plant) == ["T.LO"]


def test_a_new_alarm_sees_the_value_that_is_there() -> None:
    plant = Plant(["T", "text:M"], [])
    plant.at(1).sample("T", 3).text("M", "trip")
    plant.at(5).change(
        alarm("L", "T", kind="discrete", any_of=[3, 4]),
        alarm("W", "M", kind="discrete", any_of=["trip", "fault"]),
    )
    assert standing(plant) == ["L", "W"]


def test_what_hides_an_alarm_neither_lets_it_sound_between_nor_outlives_its_condition() -> None:
    def pair(**more: Any) -> list[AlarmDefinition]:
        return [
            limit("T.HIHI", "T", "HIHI", 120, **more),
            limit("T.HI", "T", "HI", 100, suppressed_by=("T.HIHI",)),
        ]

    plant = Plant(["T"], pair())
    plant.at(1).sample("T", 130)
    plant.at(2).change(*pair(policy=Policy(latching=True)))  # HIHI ends and comes again
    assert sounded(plant) == [("T.HIHI", "raised"), ("T.HIHI", "raised")]
    plant.at(3).change(pair()[1])  # HIHI is no more: what it hid comes out
    assert sounded(plant)[2:] == [("T.HI", "unsuppressed")]
    fresh = Plant(["T"], pair()[:1])
    fresh.at(1).sample("T", 130)
    fresh.at(2).change(*pair())  # the new alarm is hidden before it is heard
    assert sounded(fresh) == [("T.HIHI", "raised")]


def test_a_gate_of_another_condition_hides_nothing_until_it_is_known() -> None:
    def gated(when: str) -> AlarmDefinition:
        return limit("T.HI", "T", "HI", 100, suppressed_when=when)

    plant = Plant(["T", "P", "Q"], [gated('tag("P").value < 1')])
    plant.at(1).sample("P", 0).sample("T", 110)
    plant.at(2).change(gated('tag("P").value < 1'))
    assert sounded(plant) == []
    plant.at(3).change(gated('tag("Q").value < 1'))  # Q was never heard
    assert sounded(plant) == [("T.HI", "unsuppressed")]


def test_a_standing_alarm_keeps_the_setting_that_raised_it_though_the_tuned_one_goes() -> None:
    hot = limit("T.HI", "T", "HI", 100)
    plant = Plant(["T"], [hot])
    plant.book.set_setting(plant.book.units["T.HI"], Setting(90), 7)
    plant.at(1).sample("T", 95)
    plant.at(2).change(replace(hot, priority=3))  # 90 is no longer allowed: not among `kept`
    assert plant.kinds("T.HI") == [("raised", 1)]
    plant.at(3).sample("T", 80).at(4).sample("T", 95)
    assert plant.kinds("T.HI")[1:] == [("returned", 3)]
    plant.at(5).sample("T", 101)
    assert plant.kinds("T.HI")[2:] == [("raised", 5)]


def test_a_restart_takes_up_an_alarm_only_under_its_own_condition() -> None:
    hot = limit("T.HI", "T", "HI", 100)
    plant = Plant(["T"], [hot])
    plant.at(1).sample("T", 110)
    record = AlarmRecord.of(plant.book.units["T.HI"])
    same = AlarmBook([replace(hot, priority=1, setting=Setting(90))], str)
    assert record.restore(same.units["T.HI"])
    assert same.units["T.HI"].definition.setting.limit == 100  # until it returns
    other = AlarmBook([limit("T.HI", "T", "LO", 50)], str)
    assert not record.restore(other.units["T.HI"])
    assert other.units["T.HI"].definition.setting.limit == 50
    assert condition_mark(hot) != condition_mark(limit("T.HI", "P", "HI", 100))
    assert condition_mark(hot) != condition_mark(replace(hot, policy=Policy(latching=True)))
    assert condition_mark(hot) == condition_mark(replace(hot, policy=Policy(max_shelve_ms=1)))
