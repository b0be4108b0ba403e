"""The interpreter: paths skip what is settled, branches rest before a failure, verdicts hold."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.expression import Reading, StaticEnvironment
from shared.playbook.journal import Advance, Context, Record
from shared.playbook.model import Playbook
from shared.playbook.run import advance

NOW = 1_000_000
TRIGGER = {"id": "hot", "alarm": "A.HIHI"}


def book(steps: list[dict[str, Any]], **more: Any) -> Playbook:
    return Playbook.model_validate(
        {
            "schema": "playbook/v1", "playbook": "p", "version": 1, "name": "n",
            "triggers": [TRIGGER], "steps": steps, **more,
        }
    )  # fmt: skip


def context(**more: Any) -> Context:
    tags = more.pop("tags", {})
    given: dict[str, Any] = {
        "alarm": {"asset": "FUR-01", "value": 1290.0}, "inputs": {"limit": 40.0}, "site": {},
        "run": {"id": "r"}, "tags": StaticEnvironment(tags=tags), "deadline_at": NOW + 3_600_000,
    }  # fmt: skip
    return Context(**{**given, **more})


class Runner:
    """Settles effects as an engine does, and remembers what was done outside."""

    def __init__(self, document: Playbook, **more: Any) -> None:
        self.document, self.more = document, more
        self.journal: dict[str, Record] = {}
        self.done: list[str] = []
        self.results: Mapping[str, tuple[str, dict[str, Any]]] = {}
        self.now = NOW

    def look(self) -> Advance:
        return advance(self.document, self.journal, context(**self.more), self.now)

    def carry_out(self, found: Advance, stop_after: int = 1_000_000) -> int:
        """Journal and do effects; stops (a kill) after so many commits; returns how many."""
        for count, effect in enumerate(found.effects):
            if count == stop_after:
                return count
            if effect.kind == "command" and effect.path not in self.journal:
                self.journal[effect.path] = Record("intent", self.now, effect.data)
                continue
            if effect.kind in ("command", "reconcile"):
                if effect.path not in self.done:
                    self.done.append(effect.path)
                phase, data = self.results.get(effect.path, ("done", {}))
                self.journal[effect.path] = Record(phase, self.now, data)  # type: ignore[arg-type]
                continue
            phase = "done" if effect.kind == "notify" else effect.phase
            assert effect.path not in self.journal or self.journal[effect.path].phase == "intent"
            if effect.kind == "notify":
                self.done.append(effect.path)
            self.journal[effect.path] = Record(phase, self.now, effect.data)
        return len(found.effects)

    def run(self, rounds: int = 60) -> Advance:
        for _ in range(rounds):
            found = self.look()
            self.carry_out(found)
            if found.status not in ("running", "waiting"):
                return found
            if not found.effects:
                return found
        raise AssertionError("does not come to rest")


def tell(name: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "notify": {"to": ["role:x"], "message": name}, **more}


def move(name: str, **more: Any) -> dict[str, Any]:
    verify = {"until": 'tag("b").value <= inputs.limit + 2.0', "within": "5s"}
    command = {"device": "burner", "op": "set", "expires": "10s", "verify": verify}
    return {"id": name, "command": {**command, **more}}


def test_a_settled_path_is_never_done_again() -> None:
    runner = Runner(book([tell("one"), tell("two")]))
    runner.journal["/steps/one"] = Record("done", NOW)
    assert runner.run().status == "success"
    assert runner.done == ["/steps/two"]


def test_a_command_carries_grounded_conditions() -> None:
    (effect,) = Runner(book([move("hold")])).look().effects
    assert effect.kind == "command"
    assert effect.data["verify"] == '(tag("b").value <= 42.0)'


def test_a_command_whose_condition_is_unknown_to_the_run_is_not_sent() -> None:
    document = book([move("hold", require=["tag('b').good && inputs.nothing > 1"])])
    assert Runner(document).run().status == "failure"


def test_an_unapproved_command_is_not_sent() -> None:
    steps = [
        {
            "id": "decide",
            "ask": {"to": ["role:x"], "question": "?", "options": ["yes"], "within": "1m"},
            "on_timeout": "continue",
        },
        move("vent", approval="decide"),
    ]
    runner = Runner(book(steps))
    runner.run()
    runner.now += 61_000
    assert runner.run().status == "needs_human"
    assert runner.done == []
    answered = Runner(book(steps), answers={"/steps/decide": {"answer": "yes", "by": "li"}})
    assert answered.run().status == "success"
    assert answered.done == ["/steps/vent"]


def test_what_happened_inside_parallel_is_known_afterwards() -> None:
    wait = {"id": "cooled", "wait_until": {"condition": "tag('z').value < 5", "within": "1m"}}
    steps = [
        {"id": "both", "parallel": {"branches": [
            {"id": "a", "steps": [tell("one")]},
            {"id": "b", "steps": [{**wait, "on_timeout": "continue"}]},
        ]}},
        tell("pause"),
        tell("hot", **{"if": "!steps.cooled.met"}),
    ]  # fmt: skip
    runner = Runner(book(steps))
    runner.run()
    runner.now += 61_000
    assert runner.run().status == "success"
    assert runner.done[-1] == "/steps/hot"
    assert runner.journal["/steps/hot"].phase == "done"


def test_a_failing_branch_waits_until_the_others_rest() -> None:
    steps = [
        {"id": "both", "parallel": {"branches": [
            {"id": "a", "steps": [move("bad")]},
            {"id": "b", "steps": [move("good"), tell("after")]},
        ]}}
    ]  # fmt: skip
    runner = Runner(book(steps))
    runner.journal["/steps/both/a/bad"] = Record("failed", NOW, {"kind": "refused"})
    runner.journal["/steps/both"] = Record("intent", NOW, {})
    runner.journal["/steps/both/b/good"] = Record("intent", NOW, {})
    (first,) = runner.look().effects
    assert (first.kind, first.path) == ("reconcile", "/steps/both/b/good")
    assert runner.run().status == "failure"
    assert runner.done == ["/steps/both/b/good"]  # settled, and nothing after it begun
    assert runner.journal["/error"].data["kind"] == "refused"


def test_the_deadline_settles_what_has_begun_and_begins_nothing() -> None:
    handler = {"when": 'error.kind == "deadline"', "steps": [tell("page")]}
    runner = Runner(book([move("hold"), tell("later")], catch=[handler]))
    runner.journal["/steps/hold"] = Record("intent", NOW, {})
    runner.now += 3_600_001
    assert [e.kind for e in runner.look().effects] == ["reconcile"]
    assert runner.run().status == "failure"
    assert runner.done == ["/steps/hold", "/catch/0/page"]


def test_a_verdict_once_given_does_not_change_with_the_plant() -> None:
    document = book(
        [tell("one")],
        outcome={"success": "tag('z').value < 5"},
        **{"finally": [tell("close"), {"id": "note", "set_incident": {"o": "${run.outcome}"}}]},
    )
    runner = Runner(document, tags={"z": Reading(3.0)})
    while "/outcome" not in runner.journal:
        runner.carry_out(runner.look(), stop_after=1)
    runner.more["tags"] = {"z": Reading(9.0)}
    assert runner.run().status == "success"
    assert runner.journal["/finally/note"].data == {"o": "success"}


def test_the_ladder_climbs_and_decides_at_last() -> None:
    ask = {"to": ["role:x"], "question": "?", "options": ["vent", "hold"], "within": "5m"}
    rungs = [{"after": "0s", "to": ["role:boss"]}, {"after": "10m", "then": "vent"}]
    runner = Runner(
        book([{"id": "decide", "ask": ask, "on_timeout": "escalate", "escalate": rungs}])
    )
    runner.run()
    assert [ask.path for ask in runner.look().asks] == ["/steps/decide"]
    for minute in (4, 5, 14):
        runner.now = NOW + minute * 60_000
        runner.run()
    assert runner.done == ["/steps/decide/escalate/0"]
    runner.now = NOW + 15 * 60_000
    assert runner.run().status == "success"
    assert dict(runner.journal["/steps/decide"].data) == {"answer": "vent", "by": "escalation"}


def test_waits_wake_exactly_when_due() -> None:
    runner = Runner(book([{"id": "rest", "wait": "90s"}]))
    assert runner.run().wake_at == NOW + 90_000
    runner.now += 89_999
    assert runner.run().status == "waiting"
    runner.now += 1
    assert runner.run().status == "success"


@st.composite
def trees(draw: st.DrawFn, depth: int = 2, prefix: str = "s") -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = []
    for index in range(draw(st.integers(1, 3))):
        name = f"{prefix}-{index}"
        kind = draw(st.sampled_from(["tell", "move", "switch", "parallel", "set"]))
        if kind == "parallel" and depth:
            branches = [
                {"id": f"b{i}", "steps": draw(trees(depth - 1, f"{name}-{i}"))}
                for i in range(draw(st.integers(2, 3)))
            ]
            steps.append({"id": name, "parallel": {"branches": branches}})
        elif kind == "switch" and depth:
            arm = {"when": draw(st.sampled_from(["true", "false"])),
                   "steps": draw(trees(depth - 1, name + "-w"))}  # fmt: skip
            other = {"otherwise": True, "steps": draw(trees(depth - 1, name + "-o"))}
            steps.append({"id": name, "switch": [arm, other]})
        elif kind == "set":
            steps.append({"id": name, "set": {"x": 1}})
        else:
            steps.append(tell(name) if kind == "tell" else move(name))
    return steps


@settings(max_examples=300, deadline=None)
@given(trees(), st.integers(0, 2**32))
def test_random_trees_killed_anywhere_do_the_same(steps: list[dict[str, Any]], seed: int) -> None:
    document, chance = book(steps), random.Random(seed)
    whole = Runner(document)
    assert whole.run().status == "success"
    killed = Runner(document)
    for _ in range(500):
        found = killed.look()
        if found.status == "success" and not found.effects:
            break
        killed.carry_out(found, stop_after=chance.randint(1, 3))
    assert sorted(killed.done) == sorted(whole.done)
    assert len(set(killed.done)) == len(killed.done)
    assert {p: r.phase for p, r in killed.journal.items()} == {
        p: r.phase for p, r in whole.journal.items()
    }


def test_advance_is_a_function() -> None:
    runner = Runner(book([tell("one"), move("two")]))
    assert runner.look() == runner.look()


@pytest.mark.parametrize(("within", "until"), [("30s", 30_000), ("${inputs.wait}", 120_000)])
def test_durations_may_come_from_inputs(within: str, until: int) -> None:
    step = {"id": "w", "wait_until": {"condition": "tag('z').value < 5", "within": within}}
    runner = Runner(book([step]), inputs={"wait": "2m"})
    runner.look()
    runner.run()
    assert runner.journal["/steps/w"].data["until"] == NOW + until
