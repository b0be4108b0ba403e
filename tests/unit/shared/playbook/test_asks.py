"""Questions: quorum, denial, reminders, ladder, early and late answers, the engine's own."""

from __future__ import annotations

from typing import Any

import pytest

from shared.playbook.journal import Effect
from tests.support.playbook_memory import NOW, Result, World, at, book, finish, killed_at

MIN = 60_000


def ask(name: str = "decide", **more: Any) -> dict[str, Any]:
    spec = {"to": ["role:lead"], "question": "?", "options": ["vent", "hold"], "within": "5m"}
    outer = {key: more.pop(key) for key in ("on_timeout", "escalate", "timeout") if key in more}
    return {"id": name, "ask": {**spec, **more}, **outer}


def vote(by: str, answer: str) -> dict[str, str]:
    return {"by": by, "answer": answer}


def test_the_first_answer_decides_also_one_before_the_question_was_written() -> None:
    world = World(book([ask()]), answers={"/steps/decide": vote("li", "hold")})
    assert finish(world).status == "success"
    assert world.journal()["/steps/decide"].data == {"by": "li", "answer": "hold"}


def test_a_quorum_needs_different_people_on_one_option() -> None:
    world = World(book([ask(quorum=2)]))
    votes = [vote("li", "vent"), vote("li", "vent"), vote("zhao", "hold")]
    world.answers["/steps/decide"] = {"votes": votes}
    found = at(world, 1_000)
    assert (found.status, found.asks[0].quorum) == ("waiting", 2)
    votes.append(vote("wang", "hold"))
    assert at(world, 2_000).status == "success"
    data = world.journal()["/steps/decide"].data
    assert (data["answer"], data["voices"]) == ("hold", ["zhao", "wang"])


def test_who_started_the_run_cannot_also_approve_it() -> None:
    step = ask(deny=["user:${run.started_by}"])
    world = World(book([step]), more={"run": {"id": "r", "started_by": "li"}})
    assert at(world, 0).asks[0].deny == ("user:li",)
    world.answers["/steps/decide"] = vote("li", "vent")
    assert at(world, 1_000).status == "waiting"
    world.answers["/steps/decide"] = {"votes": [vote("li", "vent"), vote("wang", "hold")]}
    assert at(world, 2_000).status == "success"
    assert world.journal()["/steps/decide"].data["answer"] == "hold"


def test_an_answer_that_is_no_option_or_comes_after_the_end_does_not_count() -> None:
    world = World(book([ask(), {"id": "after", "wait": "1h"}]))
    world.answers["/steps/decide"] = vote("li", "explode")
    assert at(world, 0).status == "waiting"
    assert at(world, 5 * MIN).status == "failure"
    world.answers["/steps/decide"] = vote("li", "vent")
    assert at(world, 6 * MIN).status == "failure"
    assert world.journal()["/steps/decide"].data["kind"] == "timeout"


def test_check_18_reminders_and_rungs_come_to_the_second_and_once() -> None:
    rungs = [
        {"after": "0s", "to": ["role:area"]},
        {"after": "10m", "to": ["role:plant"], "channel": "urgent"},
        {"after": "20m", "then": "vent"},
    ]
    step = ask(reminders=["2m", "4m"], on_timeout="escalate", escalate=rungs)
    world = World(book([step]))
    assert finish(world).status == "success"
    told = [(e.path.removeprefix("/steps/decide/"), e.data["to"]) for e in world.told]
    assert told == [
        ("remind/0", ["role:lead"]), ("remind/1", ["role:lead"]),
        ("escalate/0", ["role:area"]), ("escalate/1", ["role:plant"]),
    ]  # fmt: skip
    times = {path: when - NOW for path, _, _, _, when in world.rows}
    assert times["/steps/decide/remind/0"] == 2 * MIN
    assert times["/steps/decide/remind/1"] == 4 * MIN
    assert times["/steps/decide/escalate/0"] == 5 * MIN
    assert times["/steps/decide/escalate/1"] == 15 * MIN
    assert times["/steps/decide"] == 25 * MIN
    assert [e.data["channel"] for e in world.told] == ["urgent", "urgent", "call", "urgent"]
    assert world.journal()["/steps/decide"].data == {"answer": "vent", "by": "escalation"}


def test_check_18_an_answer_on_the_ladder_stops_it() -> None:
    rungs = [{"after": "0s", "to": ["role:area"]}, {"after": "20m", "then": "vent"}]
    world = World(book([ask(on_timeout="escalate", escalate=rungs)]))
    at(world, 0)
    assert at(world, 6 * MIN).asks[0].path == "/steps/decide"
    world.answers["/steps/decide"] = vote("li", "hold")
    assert at(world, 7 * MIN).status == "success"
    assert world.journal()["/steps/decide"].data["answer"] == "hold"


def test_several_questions_are_open_at_once() -> None:
    branches = [{"id": "a", "steps": [ask("one")]}, {"id": "b", "steps": [ask("two")]}]
    world = World(book([{"id": "both", "parallel": {"branches": branches}}]))
    found = at(world, 0)
    assert [one.path for one in found.asks] == ["/steps/both/a/one", "/steps/both/b/two"]
    assert found.wake_at == NOW + 5 * MIN
    world.answers["/steps/both/b/two"] = vote("li", "vent")
    assert [one.step for one in at(world, 1_000).asks] == ["one"]


@pytest.mark.parametrize("text", ["${secret}", "${1/0}", "$${x} ${steps.nothing}"])
def test_check_04_a_text_of_the_plant_arrives_verbatim(text: str) -> None:
    steps = [
        {"id": "keep", "set": {"said": "${alarm.text}"}},
        {"id": "tell", "notify": {"to": ["role:x"], "message": "said: ${steps.keep.said}"}},
        {"id": "each", "for_each": {"items": "[alarm.text]", "max": 1, "steps": [
            {"id": "sub", "call": {"playbook": "inner", "inputs": {"said": "${item}"}}}]}},
        ask(question="${alarm.text}", reminders=["1m"]),
        {"id": "end", "emit": {"event": "e", "data": {"said": "${alarm.text}"}}},
    ]  # fmt: skip
    inner = book(
        [{"id": "log", "log": "${inputs.said}"}], "inner", inputs={"said": {"type": "string"}}
    )
    world = World(book(steps), more={"alarm": {"text": text}, "books": {"inner": inner}})
    at(world, 0)
    at(world, 2 * MIN)
    world.answers["/steps/decide"] = vote("li", text) | {"note": text, "answer": "vent"}
    assert at(world, 3 * MIN).status == "success"
    journal = world.journal()
    assert journal["/steps/tell"].data["message"]["zh"] == f"said: {text}"
    assert journal["/steps/each/0/sub/call/log"].data["text"] == text
    assert journal["/steps/decide"].data["note"] == text
    assert journal["/steps/decide/remind/0"].data["message"]["en"] == text
    assert journal["/steps/end"].data["data"] == {"said": text}


def lost(effect: Effect, world: World) -> Result:
    return "failed", {"kind": "command_unknown", "device": "FUR-01/burner"}


def unknown_world() -> World:
    command = {"device": "burner", "op": "set", "expires": "10s", "on_unknown": "ask"}
    steps = [{"id": "hold", "command": command}, {"id": "after", "log": "${steps.hold.phase}"}]
    return World(book(steps), results=lost)


def test_a_person_says_what_became_of_a_lost_command() -> None:
    world = unknown_world()
    (asked,) = at(world, 0).asks
    assert (asked.path, asked.step, asked.to) == (
        "/steps/hold/unknown", "unknown", ("role:shift-lead",)
    )  # fmt: skip
    assert "FUR-01/burner" in asked.question["zh"]
    assert [effect.path for effect in world.told] == ["/steps/hold/unknown/remind/0"]
    world.answers[asked.path] = vote("li", "done")
    assert at(world, MIN).status == "success"
    assert world.journal()["/steps/hold"].phase == "reconciled"
    assert world.journal()["/steps/after"].data == {"text": "reconciled"}
    assert world.acted == {"/steps/hold:1": 1}


@pytest.mark.parametrize("kill", range(1, 6))
def test_the_word_of_a_person_about_a_lost_command_survives_a_kill(kill: int) -> None:
    world = unknown_world()
    world.answers["/steps/hold/unknown"] = vote("li", "done")
    assert killed_at(world, kill).status == "success"
    assert world.journal()["/steps/hold"].phase == "reconciled"
    assert world.acted == {"/steps/hold:1": 1}


def test_a_command_that_was_not_carried_out_has_failed() -> None:
    world = unknown_world()
    world.answers["/steps/hold/unknown"] = vote("li", "not-done")
    assert at(world, 0).status == "needs_human"
    assert world.journal()["/error"].data["kind"] == "command_unknown"


def test_after_an_outage_a_person_is_asked_before_anything_begins() -> None:
    steps = [{"id": "rest", "wait": "1m"}, {"id": "tell", "notify": {"to": ["a"], "message": "x"}}]
    world = World(book(steps))
    at(world, 0)
    world.more["resume_ask"] = {"n": 0, "since": NOW, "ms": 40 * MIN}
    found = at(world, 41 * MIN)
    assert [(one.path, one.options) for one in found.asks] == [("/resume/0", ("resume", "abandon"))]
    assert "40" in found.asks[0].question["en"]
    assert world.phases()["/steps/rest"] == "done"  # timers went on
    assert "/steps/tell" not in world.phases()
    world.answers["/resume/0"] = vote("li", "resume")
    assert at(world, 42 * MIN).status == "success"
    assert world.phases()["/steps/tell"] == "done"


def test_a_run_that_nobody_wants_any_more_is_given_up() -> None:
    steps = [{"id": "rest", "wait": "1m"}, {"id": "tell", "notify": {"to": ["a"], "message": "x"}}]
    world = World(book(steps), more={"resume_ask": {"n": 0, "since": NOW, "ms": 40 * MIN}})
    at(world, 0)
    world.answers["/resume/0"] = vote("li", "abandon")
    assert at(world, MIN).status == "cancelled"
    assert "/steps/tell" not in world.phases()
    assert world.journal()["/cancel"].data == {"by": "li", "reason": "abandoned"}
