"""Facts at the edge: from its own page and from above."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from edge_node.application.alarm_service import AlarmService
from edge_node.application.ipc import OperatorAction
from edge_node.application.records import AlarmRecord, Emit, PutFact
from shared.alarm.occurrence import fold
from shared.messages.bodies import Fact
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from tests.support.edge_script import Script, limit

UNDER = limit("T.HI", "T", "HI", 100, suppressed_by=("T.HIHI",))
OVER = limit("T.HIHI", "T", "HIHI", 120, safety=True)


def world() -> tuple[Script, AlarmService]:
    script = Script(["T"], [UNDER, OVER])
    service = AlarmService(script.book, script.clock, script.pipeline.steady, {}, {}, "")
    script.at(0).sample("T", 110)
    return script, service


def act(script: Script, name: str, action: str = "acknowledge", **more: Any) -> OperatorAction:
    unit = script.book.units["T.HI"]
    given = {"alarm": unit.id, "occurrence": unit.occurrence, "version": unit.version, **more}
    return OperatorAction(id=name, action=action, actor="li", **given)


def test_an_action_on_the_page_is_a_fact_that_travels_up() -> None:
    script, service = world()
    rows, result = service.act(act(script, "a1"))
    assert result.accepted
    assert [type(row) for row in rows] == [PutFact, Emit]
    emitted = rows[1]
    assert isinstance(emitted, Emit)
    body = emitted.event.body
    assert isinstance(body, Fact)
    assert (body.place, body.action, body.version_seen) == ("edge", "acknowledge", 1)
    script.log += script.pipeline.settle()
    assert script.book.units["T.HI"].state.name == "acknowledged"
    view = fold([t.body for t in script.log], [body])
    assert view is not None
    assert view.state == script.book.units["T.HI"].state
    assert service.act(act(script, "a1")) == ([], result)  # asked again: nothing new


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"version": 0}, "not_seen"),
        ({"occurrence": "other"}, "Bad_EventIdUnknown"),
        ({"alarm": "T.NONE"}, "unknown_alarm"),
        ({"action": "dance"}, "unknown_action"),
        ({"action": "unshelve"}, "Bad_ConditionNotShelved"),
        ({"action": "shelve", "args": {}}, "bad_argument"),
        ({"action": "shelve", "args": {"minutes": 600}}, "Bad_ShelvingTimeOutOfRange"),
        ({"action": "shelve", "args": {"minutes": 5}}, "reason_required"),
        ({"action": "shelve", "args": {"one_shot": True, "reason": " "}}, "reason_required"),
        ({"action": "suppress"}, "reason_required"),
        ({"action": "out_of_service"}, "reason_required"),
        ({"action": "disable"}, "reason_required"),
        ({"action": "enable"}, "Bad_ConditionAlreadyEnabled"),
        ({"action": "in_service"}, "Bad_NothingToDo"),
        ({"action": "confirm"}, "Bad_MethodInvalid"),
        ({"action": "reset"}, "Bad_MethodInvalid"),
        ({"action": "comment", "args": {"text": ""}}, "bad_argument"),
    ],
)
def test_refusals_change_nothing(more: dict[str, Any], code: str) -> None:
    script, service = world()
    before = script.book.units["T.HI"].state
    rows, result = service.act(act(script, "a", **more))
    assert (rows, result.accepted, result.code) == ([], False, code)
    assert script.book.units["T.HI"].state == before


def fact(script: Script, name: str, alarm: str = "T.HI", action: str = "acknowledge") -> Fact:
    unit = script.book.units[alarm]
    return Fact(
        id=name, alarm=alarm, occurrence=unit.occurrence, version_seen=unit.version,
        action=action, actor="wang", place="factory", hlc="0000000000001.00000",
        args={"minutes": 5},
    )  # fmt: skip


def test_a_safety_alarm_is_never_shelved_from_above() -> None:
    script, service = world()
    script.at(1).sample("T", 130)
    for action in ("shelve", "suppress", "out_of_service", "disable"):
        said = fact(script, f"f-{action}", "T.HIHI", action)
        assert service.apply(said) == ("refused", "safety_alarm")
    assert service.apply(fact(script, "f", "T.HIHI")) == ("applied", "")


def test_what_was_seen_and_has_been_hidden_since_is_acknowledged_as_the_fold_says() -> None:
    script, service = world()
    said = fact(script, "f")
    script.at(1).sample("T", 130)  # HI is suppressed by design now
    assert service.apply(said) == ("applied", "")
    script.log += script.pipeline.settle()
    mine = [t.body for t in script.log if t.body.alarm == "T.HI"]
    view = fold(mine, [said])
    assert view is not None
    assert view.state == script.book.units["T.HI"].state
    assert script.book.units["T.HI"].definition.policy.hidden_ack == "reject"


def test_a_fact_about_a_closed_occurrence_is_recorded_if_it_was_seen() -> None:
    script, service = world()
    said = fact(script, "late")
    service.act(act(script, "a1"))
    script.at(1).sample("T", 90)
    record = AlarmRecord.of(script.book.units["T.HI"])
    assert record.closed
    service.note_closed(record)
    script.at(2).sample("T", 110)
    assert service.apply(said) == ("recorded", "occurrence_closed")
    assert script.book.units["T.HI"].state.name == "unacknowledged"


def test_a_new_database_does_not_wait_for_facts_that_are_gone() -> None:
    script, service = world()
    said = encode(Event(id="f9", type="fact", time=0, body=fact(script, "f9", "T.HI", "comment")))
    frame = Frame(source="f1.brain", epoch="b", lane="fact-e1", first=9, events=[msgspec.Raw(said)])
    _, answer = service.take_frame(frame)
    assert answer.watermarks == {"b/fact-e1": 0}  # the factory may still hold 1..8
    rows, answer = service.take_frame(msgspec.structs.replace(frame, oldest=9))
    assert answer.watermarks == {"b/fact-e1": 9}
    assert any(isinstance(row, PutFact) for row in rows)
