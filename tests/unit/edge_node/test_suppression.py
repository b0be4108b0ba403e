"""Suppression by other alarms, states, conditions and people; first-out; re-alarm."""

from __future__ import annotations

from typing import Any

from edge_node.application.alarm_service import AlarmService
from edge_node.application.ipc import OperatorAction
from edge_node.domain.alarm_unit import AlarmUnit
from shared.alarm.machine import Policy
from shared.messages.bodies import Fact
from tests.support.edge_script import START, Script, limit


class Place:
    """A script with its alarm service, as a person at the page uses it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        steady = script.pipeline.steady
        self.service = AlarmService(script.book, script.clock, steady, {}, {}, "")
        self.count = 0

    def do(self, alarm: str, action: str, **args: Any) -> str:
        unit = self.script.book.units[alarm]
        self.count += 1
        request = OperatorAction(
            id=f"a{self.count}", action=action, alarm=alarm, occurrence=unit.occurrence,
            version=unit.version, actor="li", args=args,
        )  # fmt: skip
        _, result = self.service.act(request)
        self.script.log += self.script.pipeline.settle()
        return result.code

    def unit(self, alarm: str) -> AlarmUnit:
        return self.script.book.units[alarm]

    def state(self, alarm: str) -> str:
        return self.unit(alarm).state.name

    @property
    def sounded(self) -> list[str]:
        return [t.body.alarm for t in self.script.log if t.body.annunciate]


def place(*alarms: Any, tags: str = "T S P") -> Place:
    return Place(Script(tags.split(), list(alarms)))


def test_a_group_suppresses_while_any_of_it_stands() -> None:
    low = limit("T.LO", "T", "LO", 10, suppressed_by=("P.TRIP", "S.TRIP"))
    p = place(low, limit("P.TRIP", "P", "HI", 1), limit("S.TRIP", "S", "HI", 1))
    p.script.at(0).sample("P", 2).sample("S", 2).sample("T", 5)
    assert (p.state("T.LO"), p.unit("T.LO").causes) == ("suppressed", ("P.TRIP", "S.TRIP"))
    p.script.at(1).sample("P", 0)
    assert (p.state("T.LO"), p.unit("T.LO").causes) == ("suppressed", ("S.TRIP",))
    assert "T.LO" not in p.sounded
    p.script.at(2).sample("S", 0)
    assert p.state("T.LO") == "unacknowledged"
    assert p.sounded.count("T.LO") == 1


def test_a_state_of_the_equipment_suppresses_by_design() -> None:
    p = place(limit("T.LO", "T", "LO", 10, suppressed_in=("P1.MODE:stopped", "P1.MODE:cip")))
    book = p.script.book
    p.script.at(0).sample("T", 50)
    book.enter_states(frozenset({"P1.MODE:stopped"}), book.now)
    p.script.log += p.script.pipeline.settle()
    p.script.at(1).sample("T", 5)
    assert (p.state("T.LO"), p.sounded) == ("suppressed", [])
    assert p.do("T.LO", "unsuppress") == "suppressed_by_design"
    book.enter_states(frozenset({"P1.MODE:running"}), book.now)
    p.script.log += p.script.pipeline.settle()
    assert (p.state("T.LO"), p.sounded) == ("unacknowledged", ["T.LO"])


def test_a_condition_over_tags_suppresses_and_unknown_keeps_what_was() -> None:
    p = place(limit("T.LO", "T", "LO", 10, suppressed_when='tag("P").value < 1'))
    p.script.at(0).sample("P", 0)
    assert p.state("T.LO") == "suppressed"
    p.script.at(1).sample("T", 5)
    p.script.sample("P", 0, quality=2)
    assert p.sounded == []
    p.script.at(2).sample("P", 5)
    assert (p.state("T.LO"), p.sounded) == ("unacknowledged", ["T.LO"])
    assert {t.body.alarm for t in p.script.log} == {"T.LO"}  # the condition itself is no alarm


def test_people_suppress_on_top_of_the_design() -> None:
    p = place(limit("T.HI", "T", "HI", 100, suppressed_by=("T.HIHI",)),
              limit("T.HIHI", "T", "HIHI", 120))  # fmt: skip
    p.script.at(0).sample("T", 130)
    assert p.do("T.HI", "suppress", reason="sensor under test", permit="W-12") == "ok"
    note = p.unit("T.HI").notes["suppressed"]
    assert (note.actor, note.reason, note.permit) == ("li", "sensor under test", "W-12")
    p.script.at(1).sample("T", 110)  # the design no longer suppresses; the person still does
    assert (p.state("T.HI"), p.unit("T.HI").causes) == ("suppressed", ("operator",))
    assert p.do("T.HI", "unsuppress") == "ok"
    assert p.state("T.HI") == "unacknowledged"
    assert p.unit("T.HI").notes == {}


def test_a_timed_shelf_is_silent_however_often_it_changes_and_sounds_once_at_its_end() -> None:
    p = place(limit("T.HI", "T", "HI", 100))
    assert p.do("T.HI", "shelve", minutes=10, reason="noisy") == "ok"
    for second in range(1, 500):
        p.script.at(second).sample("T", 110 if second % 2 else 90)
    assert p.sounded == []
    p.script.at(601)
    assert p.sounded == ["T.HI"]
    assert p.script.told()[-1] == ("T.HI", "unshelved", 600)
    assert p.unit("T.HI").notes == {}


def test_a_one_shot_shelf_ends_with_the_first_clear_or_at_the_maximum() -> None:
    p = place(limit("T.HI", "T", "HI", 100, policy=Policy(max_shelve_ms=60_000)))
    p.script.at(0).sample("T", 110)
    p.do("T.HI", "acknowledge")
    p.do("T.HI", "shelve", one_shot=True, reason="known")
    p.script.at(1).sample("T", 90).at(2).sample("T", 110)
    assert p.sounded == ["T.HI", "T.HI"]
    p.do("T.HI", "shelve", one_shot=True, reason="known")
    p.script.at(61)
    assert p.state("T.HI") == "shelved"
    p.script.at(62)
    assert p.sounded == ["T.HI"] * 3


def test_facts_from_above_merge_by_what_was_seen_and_one_place_obeys_the_table() -> None:
    p = place(limit("T.HI", "T", "HI", 100))
    p.script.at(0).sample("T", 110)
    unit = p.unit("T.HI")
    seen = {"alarm": unit.id, "occurrence": unit.occurrence, "version_seen": unit.version,
            "actor": "wang", "place": "factory", "hlc": "0000000000001.00000"}  # fmt: skip
    p.do("T.HI", "shelve", minutes=5, reason="noisy")
    assert p.do("T.HI", "acknowledge") == "REJECT_not_annunciated"
    ack = Fact(id="f1", action="acknowledge", **seen)
    assert p.service.apply(ack) == ("applied", "")
    again = Fact(id="f2", action="acknowledge", **seen)
    assert p.service.apply(again) == ("recorded", "already_acknowledged")
    assert p.do("T.HI", "acknowledge") == "Bad_ConditionBranchAlreadyAcked"
    p.script.at(301)
    assert (p.state("T.HI"), len(p.sounded)) == ("unacknowledged", 2)  # out of hiding: anew


def test_the_first_of_a_group_is_marked_and_ties_of_one_scan_all_are() -> None:
    group = {"first_out": "LINE", "first_out_tie_ms": 50}
    p = place(*(limit(f"{t}.HI", t, "HI", 100, **group) for t in "TSP"))
    p.script.at(1).batch(("T", 0.9, 110), ("S", 0.94, 110))
    p.script.at(2).sample("P", 110)
    marks = {t.body.alarm: t.body.first_out for t in p.script.log}
    assert marks == {"T.HI": True, "S.HI": True, "P.HI": False}
    p.script.at(3).sample("T", 90)
    p.do("T.HI", "acknowledge")
    p.script.at(4).sample("T", 110)  # the group has not come to rest: no new decision
    assert [t.body.first_out for t in p.script.log if t.body.alarm == "P.HI"] == [False]
    for tag in "TSP":
        p.script.at(5).sample(tag, 90)
        p.do(f"{tag}.HI", "acknowledge")
    p.script.at(6).sample("P", 110).at(7).sample("T", 110)
    assert [(t.body.alarm, t.body.first_out) for t in p.script.log[-2:]] == [
        ("P.HI", True), ("T.HI", False),
    ]  # fmt: skip


def test_a_hidden_alarm_takes_no_first_out_mark() -> None:
    p = place(*(limit(f"{t}.HI", t, "HI", 100, first_out="LINE") for t in "TS"))
    p.do("T.HI", "shelve", minutes=10, reason="nuisance")
    p.script.at(1).sample("T", 110).at(2).sample("S", 110)
    assert [t.body.first_out for t in p.script.log if t.body.kind == "raised"] == [False, True]


def test_re_alarm_counts_from_the_last_sound_and_stops_while_hidden() -> None:
    p = place(limit("T.HI", "T", "HI", 100, re_alarm_ms=10_000))
    p.script.at(0).sample("T", 110).at(5)
    p.do("T.HI", "acknowledge")
    p.script.at(21)
    assert [t for _, k, t in p.script.told() if k == "re_alarmed"] == [10, 20]
    p.do("T.HI", "shelve", seconds=34, reason="noisy")  # until 55
    p.script.at(66)
    assert [t for _, k, t in p.script.told() if k == "re_alarmed"] == [10, 20, 65]


def test_re_alarm_may_be_for_the_unacknowledged_only() -> None:
    policy = Policy(re_alarm_on="unacked")
    p = place(limit("T.HI", "T", "HI", 100, re_alarm_ms=10_000, policy=policy))
    p.script.at(0).sample("T", 110).at(15)
    p.do("T.HI", "acknowledge")
    p.script.at(60)
    assert [t for _, k, t in p.script.told() if k == "re_alarmed"] == [10]
    assert p.state("T.HI") == "acknowledged"


def test_out_of_service_and_disable_are_noted_and_keep_quiet() -> None:
    p = place(limit("T.HI", "T", "HI", 100))
    assert p.do("T.HI", "out_of_service", reason="calibration", permit="W-7") == "ok"
    p.script.at(1).sample("T", 110)
    assert (p.state("T.HI"), p.sounded) == ("out_of_service", [])
    assert p.unit("T.HI").notes["out_of_service"].permit == "W-7"
    assert p.do("T.HI", "disable", reason="removed for repair") == "ok"
    assert set(p.unit("T.HI").notes) == {"disabled"}  # disabling ends what it replaces
    assert p.do("T.HI", "acknowledge") == "Bad_ConditionDisabled"
    assert p.do("T.HI", "suppress", reason="x") == "Bad_ConditionDisabled"
    p.script.at(2).sample("T", 90)
    told = len(p.script.told())
    p.script.at(3).sample("T", 110)
    assert len(p.script.told()) == told  # tracked here, told to nobody
    assert p.do("T.HI", "enable") == "ok"
    assert p.sounded == ["T.HI"]
    assert p.unit("T.HI").annunciated_at == START + 3000


def test_a_shelved_alarm_that_chatters_for_hours_fills_no_memory() -> None:
    p = place(limit("T.HI", "T", "HI", 100))
    assert p.do("T.HI", "shelve", minutes=60, reason="noisy") == "ok"
    for second in range(1000):
        p.script.at(second).sample("T", 110 if second % 2 else 90)
    assert len(p.script.book._timers) == 1
    p.script.at(3601)
    assert p.sounded == ["T.HI"]


def test_what_the_edge_did_about_one_occurrence_is_not_shown_with_the_next() -> None:
    p = place(limit("T.HI", "T", "HI", 100))
    p.script.at(0).sample("T", 110)
    p.unit("T.HI").local_action = "X-1/burner set: done"
    p.script.at(1).sample("T", 90)
    assert p.unit("T.HI").local_action is not None  # it is the same occurrence still
    p.script.at(2).sample("T", 110)
    assert p.unit("T.HI").local_action is None
