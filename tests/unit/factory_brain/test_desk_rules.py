"""The desk looks ahead with the state table's own codes, and folds what was said in any order."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from factory_brain.application.attachments import safe_name
from factory_brain.domain.desk_rules import Asked, Known, refuse
from factory_brain.domain.holds import NOTHING_SAID, SaidOfAlarm, Stated, said_of
from factory_brain.domain.rows import Occurrence
from shared.alarm.conformance import (
    CONFIGURATION,
    EVENTS,
    FURTHER,
    event_named,
    policy_of,
    region_cells,
)
from shared.alarm.definition import AlarmDefinition, Words
from shared.alarm.machine import Policy, step
from shared.alarm.states import AlarmState
from shared.messages.bodies import AlarmTransition, Fact

NOW = 1_700_000_000_000
PERMIT = {"permit": "P1", "approved_by": "zhao", "until": NOW + 1}
WHY = {"reason": "r"}
PLAIN = Policy()
ACTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "ACK": ("acknowledge", {}), "CONFIRM": ("confirm", {}), "RESET": ("reset", {}),
    "ACK_WRONG_EVENTID": ("acknowledge", {}),
    "SHELVE_TIMED": ("shelve", {**WHY, "ms": 60_000}),
    "SHELVE_TIMED_BAD_DURATION": ("shelve", {**WHY, "ms": -1}),
    "SHELVE_ONESHOT": ("shelve", {**WHY, "one_shot": True}), "UNSHELVE": ("unshelve", {}),
    "SUPPRESS_ON": ("suppress", WHY), "SUPPRESS_OFF": ("unsuppress", {}),
    "OOS_ON": ("out_of_service", {**WHY, **PERMIT}), "OOS_OFF": ("in_service", {}),
    "DISABLE": ("disable", WHY), "ENABLE": ("enable", {}),
}  # fmt: skip
"""The table's events that people bring about, as the desk is asked for them."""


def definition(policy: Policy, **more: Any) -> AlarmDefinition:
    return AlarmDefinition(
        id="A", edge="e1", asset="X", tag="T", kind="limit", name=Words("a", "a"), priority=2,
        policy=policy, **more,
    )  # fmt: skip


def occurrence(state: AlarmState, name: str = "o1", **more: Any) -> Occurrence:
    body = AlarmTransition(
        alarm="A", occurrence=name, version=3, annunciated_version=2, kind="raised",
        annunciate=False, state=state.to_dict(), settings_version=1, priority=2, asset="X",
        tag="T", **more,
    )  # fmt: skip
    return Occurrence(name, "A", "e1", body, "", 1, None, 1, False)


def code(
    action: str, args: dict[str, Any], newest: Occurrence | None, *, policy: Policy = PLAIN,
    name: str = "o1", version: int = 3, said: SaidOfAlarm = NOTHING_SAID, safety: bool = False,
) -> str:  # fmt: skip
    named = newest if newest and newest.occurrence == name else None
    known = Known(definition(policy, safety=safety), named, newest, said)
    refused = refuse(Asked("A", name, version, action, args), known, NOW)
    return refused.code if refused else "ok"


def reachable(policy: Policy) -> list[AlarmState]:
    start = AlarmState()
    seen, todo = {region_cells(start): start}, [start]
    while todo:
        state = todo.pop()
        for event in EVENTS:
            after = step(policy, state, event_named(event), 0).state
            if region_cells(after) not in seen:
                seen[region_cells(after)] = after
                todo.append(after)
    return list(seen.values())


def test_every_state_and_action_gets_the_state_tables_own_answer() -> None:
    choices = {**CONFIGURATION, **FURTHER}
    every = list(itertools.product(*(list(options) for _, options in choices.values())))
    asked = 0
    for values in random.Random(4).sample(every, 24):
        policy = policy_of(dict(zip(choices, values, strict=True)))
        for state, (event, (action, args)) in itertools.product(reachable(policy), ACTIONS.items()):
            wanted = step(policy, state, event_named(event), 0)
            other = event == "ACK_WRONG_EVENTID"
            got = code(action, args, occurrence(state), policy=policy, name="o0" if other else "o1")
            table = "Bad_EventIdUnknown" if other else "ok" if wanted.accepted else wanted.result
            assert got == table, (event, state)
            asked += 1
    assert asked > 5_000


STANDING = AlarmState(raw=True, active=True, acked=False)
REST = AlarmState()


@pytest.mark.parametrize(
    ("wanted", "action", "args", "more"),
    [
        ("not_seen", "acknowledge", {}, {"version": 1}),
        ("not_seen", "shelve", {**WHY, "ms": 1000}, {"version": 1}),
        ("not_seen", "suppress", WHY, {"version": 1}),
        ("ok", "comment", {"text": "x"}, {"version": 0}),
        ("Bad_EventIdUnknown", "comment", {"text": "x"}, {"name": "o9"}),
        ("not_seen", "shelve", {**WHY, "ms": 1000}, {"name": "", "version": 0}),
        ("reason_required", "shelve", {"ms": 1000}, {}),
        ("reason_required", "disable", {"reason": "  "}, {}),
        ("bad_argument", "shelve", WHY, {}),
        ("bad_argument", "assign", {"to": 5}, {}),
        ("bad_argument", "comment", {"text": ""}, {}),
        ("ok", "assign", {"to": ""}, {}),
        ("safety_alarm", "shelve", {**WHY, "ms": 1000}, {"safety": True}),
        ("safety_alarm", "out_of_service", {**WHY, **PERMIT}, {"safety": True}),
        ("ok", "acknowledge", {}, {"safety": True}),
        ("permit_required", "out_of_service", WHY, {}),
        ("permit_required", "out_of_service", {**WHY, **PERMIT, "approved_by": " "}, {}),
        ("permit_over", "out_of_service", {**WHY, **PERMIT, "until": NOW}, {}),
        ("unknown_action", "dance", {}, {}),
        ("unknown_action", "outcome", {}, {}),
    ],
)
def test_what_the_desk_asks_for_beside_the_state(
    wanted: str, action: str, args: dict[str, Any], more: dict[str, Any]
) -> None:
    assert code(action, args, occurrence(STANDING), **more) == wanted


def test_an_alarm_that_never_had_an_occurrence_may_be_hidden_but_not_acknowledged() -> None:
    assert code("shelve", {**WHY, "ms": 1000}, None, name="", version=0) == "ok"
    assert code("suppress", WHY, None, name="", version=0) == "ok"
    assert code("shelve", {**WHY, "ms": 1000}, occurrence(REST), name="", version=0) == "ok"
    assert code("acknowledge", {}, None, name="", version=0) != "ok"
    nobody = Known(None, None, None, NOTHING_SAID)
    refused = refuse(Asked("A", "", 0, "shelve", {**WHY, "ms": 1000}), nobody, NOW)
    assert refused is not None
    assert refused.code == "unknown_alarm"


def test_a_suppression_by_design_is_not_a_persons_to_end() -> None:
    hidden = AlarmState(raw=True, active=True, acked=False, suppressed=True)
    by_design = occurrence(hidden, suppressed_by=["A.HIHI"])
    assert code("unsuppress", {}, by_design) == "suppressed_by_design"
    both = occurrence(hidden, suppressed_by=["A.HIHI", "operator"])
    assert code("unsuppress", {}, both) == "ok"
    said = said_of([stated("f1", "suppress", 1, "applied", **WHY)])
    assert code("unsuppress", {}, by_design, said=said) == "ok"


def stated(
    name: str, action: str, at: int, result: str | None, code: str | None = None, **args: Any
) -> Stated:
    fact = Fact(
        id=name, alarm="A", occurrence="o1", version_seen=1, action=action, actor="li",
        place="factory", hlc=f"{at:013d}.00000", args=args,
    )  # fmt: skip
    return Stated(fact, "e1", at, result, code)


def test_what_was_said_folds_the_same_in_any_order() -> None:
    story = [
        stated("f1", "shelve", 10, "applied", reason="one", ms=1000),
        stated("f2", "unshelve", 20, "applied"),
        stated("f3", "shelve", 30, "applied", reason="three", one_shot=True),
        stated("f4", "unshelve", 40, None),
        stated("f5", "out_of_service", 50, "refused", "safety_alarm", reason="r", **PERMIT),
        stated("f6", "comment", 60, None, text="x"),
    ]
    expected = said_of(story)
    for order in itertools.permutations(story):
        assert said_of(order) == expected
    shelf = expected.holds["shelf"]
    assert (shelf.reason, shelf.mode, shelf.until, shelf.pending) == (
        "three", "one_shot", None, False,
    )  # fmt: skip
    assert "out_of_service" not in expected.holds  # refused: never in force
    assert expected.refused is not None
    assert (expected.refused.action, expected.refused.code) == ("out_of_service", "safety_alarm")
    assert expected.pending == ("unshelve", "comment")
    newer = said_of([*story, stated("f7", "acknowledge", 70, "applied")])
    assert newer.refused is None  # something was done since


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd", "etc_passwd"),
        ("C:\\x\\..\\y.png", "C_x_y.png"),
        ("照片 1.jpg", "照片 1.jpg"),
        ("a\u202egnp.exe", "a_gnp.exe"),
        ('"\r\n', "file"),
        ("..", "file"),
        ("x" * 300 + ".png", "x" * 116 + ".png"),
    ],
)
def test_names_of_files_are_no_paths(given: str, kept: str) -> None:
    assert safe_name(given) == kept
