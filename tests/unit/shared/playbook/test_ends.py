"""How a run ends: undone in reverse, left with its alarm, ended by people, late, not its own."""

from __future__ import annotations

from typing import Any

import pytest

from shared.playbook.fits import leads
from shared.playbook.journal import Effect, Record
from shared.playbook.run import advance
from tests.support.playbook_memory import NOW, Engine, Result, World, at, book, finish, killed_at

SEC, MIN = 1_000, 60_000
Steps = list[dict[str, Any]]


def log(name: str, text: str = "x") -> dict[str, Any]:
    return {"id": name, "log": text}


def move(name: str, back: bool = True, **undo: Any) -> dict[str, Any]:
    command = {"device": "d", "op": "set", "expires": "10s"}
    retry = {"retry": undo.pop("retry")} if "retry" in undo else {}
    args = {"to": f"${{steps['{name}'].before.pct}}"}
    step: dict[str, Any] = {"id": name, "command": command}
    if back:
        step["compensate"] = {"command": {**command, "op": "back", "args": args, **undo}, **retry}
    return step


def back(effect: Effect, world: World) -> Result:
    return "done", {"before": {"pct": 80}}


def refusing(path: str, kind: str = "refused", times: int = 99) -> Any:
    def results(effect: Effect, world: World) -> Result:
        if effect.path == path and effect.attempt <= times:
            return "failed", {"kind": kind, "device": "FUR-01/burner", "readback": {"pct": 40}}
        return back(effect, world)

    return results


UNDO = {"id": "undo", "compensate_all": {"reason": "false alarm"}}


# compensation


def test_steps_are_undone_newest_first_with_what_they_were() -> None:
    nested = {"id": "s", "switch": [{"otherwise": True, "steps": [move("b")]}]}
    after = log("z", "${steps.a.phase}")
    steps = [move("a"), nested, move("n", back=False), move("c"), UNDO, after]
    world = World(book(steps), results=back)
    assert finish(world).status == "success"
    undone = [path for path in world.order if path.endswith("/compensate")]
    assert undone == ["/steps/c/compensate", "/steps/s/0/b/compensate", "/steps/a/compensate"]
    journal = world.journal()
    assert journal["/steps/a/compensate"].data["args"] == {"to": 80}
    assert [journal[f"/steps/{name}"].phase for name in "anc"] == [
        "compensated", "done", "compensated",
    ]  # fmt: skip
    assert journal["/steps/z"].data["text"] == "compensated"
    assert journal["/steps/undo"].data["why"] == "false alarm"


def test_branches_are_undone_in_the_order_of_their_completion() -> None:
    branches = [
        {"id": "a", "steps": [{"id": "w", "wait": "10s"}, move("late")]},
        {"id": "b", "steps": [move("early")]},
    ]
    world = World(book([{"id": "p", "parallel": {"branches": branches}}, UNDO]), results=back)
    finish(world)
    assert [path for path in world.order if path.endswith("/compensate")] == [
        "/steps/p/a/late/compensate", "/steps/p/b/early/compensate",
    ]  # fmt: skip


def test_steps_of_rounds_and_of_called_playbooks_are_undone_in_their_own_scope() -> None:
    inner = book([move("m", args={"k": "${inputs.k}"})], "inner", inputs={"k": {"type": "number"}})
    call = {"id": "c", "call": {"playbook": "inner", "inputs": {"k": 7}}}
    each = {"items": "[1, 2]", "max": 2, "steps": [move("e", args={"i": "${item}"})]}
    world = World(
        book([call, {"id": "each", "for_each": each}, UNDO]), results=back,
        more={"books": {"inner": inner}},
    )  # fmt: skip
    assert finish(world).status == "success"
    journal = world.journal()
    assert journal["/steps/each/0/e/compensate"].data["args"] == {"i": 1}
    assert journal["/steps/each/1/e/compensate"].data["args"] == {"i": 2}
    assert journal["/steps/c/call/m/compensate"].data["args"] == {"k": 7}
    assert world.order[-1] == "/steps/c/call/m/compensate"


def test_an_undoing_whose_guard_says_no_is_skipped_and_the_others_go_on() -> None:
    world = World(
        book([move("a"), move("b"), UNDO]), results=refusing("/steps/b/compensate", "interlock")
    )
    assert finish(world).status == "success"
    journal = world.journal()
    record = journal["/steps/b/compensate"]
    assert (record.phase, record.data["reason"]) == ("skipped", "interlock")
    assert (journal["/steps/b"].phase, journal["/steps/a"].phase) == ("done", "compensated")


def test_check_20_an_undoing_that_fails_is_retried_and_then_a_person_must_see_to_it() -> None:
    undo = {"retry": {"max": 2, "delay": "5s"}}
    steps = [move("a"), move("b", **undo), UNDO, log("never")]
    world = World(
        book(steps, **{"finally": [log("end", "${run.outcome}")]}),
        results=refusing("/steps/b/compensate"),
    )
    assert finish(world).status == "needs_human"
    assert [key for key in world.acted if "compensate" in key] == [
        f"/steps/b/compensate:{n}" for n in (1, 2, 3)
    ]
    told = world.journal()["/outcome"].data["undo"]
    assert told == {
        "path": "/steps/b/compensate", "kind": "refused", "reason": "",
        "device": "FUR-01/burner", "readback": {"pct": 40},
    }  # fmt: skip
    assert world.phases()["/finally/end"] == "done"
    assert world.phases()["/steps/a"] == "done"
    assert "/steps/never" not in world.phases()
    mended = World(book(steps), results=refusing("/steps/b/compensate", times=1))
    assert finish(mended).status == "success"


def test_check_20_a_failing_undoing_ends_the_run_from_inside_a_try_and_a_call() -> None:
    inner = book([move("m"), UNDO], "inner")
    call = {"id": "c", "call": {"playbook": "inner"}, "on_error": "continue"}
    block = {"id": "t", "try": {"steps": [call], "catch": [{"steps": [log("no")]}]}}
    world = World(
        book([block, log("never")]), results=refusing("/steps/t/try/c/call/m/compensate"),
        more={"books": {"inner": inner}},
    )  # fmt: skip
    assert finish(world).status == "needs_human"
    assert not {"/steps/never", "/steps/t/catch/0/no"} & world.phases().keys()


def test_each_step_is_undone_at_most_once() -> None:
    again = {**UNDO, "id": "undo-again"}
    world = World(book([move("a"), UNDO, again]), results=back)
    finish(world)
    assert world.acted["/steps/a/compensate:1"] == 1
    assert world.journal()["/steps/undo-again"].data["paths"] == []


# leaving with the alarm


LEAVE = [
    {"alarm": "shelved", "then": "compensate"},
    {"alarm": "cleared", "after_step": "hold", "then": "goto_finally"},
]


def leaving(*steps: dict[str, Any]) -> World:
    more = {"leave_when": LEAVE, "finally": [log("end", "${run.outcome}")]}
    return World(book([*steps], **more), results=back)


def test_check_19_a_shelved_alarm_undoes_in_reverse_and_ends() -> None:
    world = leaving(move("hold"), move("more"), {"id": "w", "wait": "1h"}, log("never"))
    at(world, 0)
    world.more["alarm_states"] = {"shelved": NOW}
    assert at(world, MIN).status == "success"
    assert world.order[-2:] == ["/steps/more/compensate", "/steps/hold/compensate"]
    assert world.journal()["/leave"].data == {"alarm": "shelved", "then": "compensate"}
    assert world.phases()["/steps/w"] == "skipped"
    assert "/steps/never" not in world.phases()


def test_check_19_a_leaving_holds_once_it_is_pinned() -> None:
    world = leaving(move("hold"), {"id": "w", "wait": "1h"}, log("never"))
    at(world, 0)
    world.more["alarm_states"] = {"cleared": NOW}
    (pinned, *_) = Engine(world).look().effects
    Engine(world).carry_out(pinned)
    world.more["alarm_states"] = {}
    assert at(world, MIN).status == "success"
    assert (world.phases()["/steps/hold"], world.phases()["/finally/end"]) == ("done", "done")


def test_check_19_a_cleared_alarm_counts_only_after_its_step() -> None:
    ask = {"to": ["role:x"], "question": "?", "options": ["go"], "within": "1h"}
    world = leaving({"id": "a", "ask": ask}, move("hold"), {"id": "w", "wait": "1h"})
    world.more["alarm_states"] = {"cleared": NOW}
    assert at(world, 0).status == "waiting"
    world.answers["/steps/a"] = {"answer": "go", "by": "li"}
    assert at(world, SEC).status == "success"
    assert world.phases()["/steps/hold"] == "done"
    assert "/steps/w" not in world.phases()


@pytest.mark.parametrize("kill", range(12))
def test_check_19_a_leaving_run_is_killed_anywhere(kill: int) -> None:
    world = leaving(move("hold"), move("more"), {"id": "w", "wait": "1h"})
    world.more["alarm_states"] = {"acknowledged": NOW}
    at(world, 0)
    world.more["alarm_states"] = {"shelved": NOW}
    assert killed_at(world, kill).status == "success"
    assert max(world.acted.values()) == 1
    assert world.order[-2:] == ["/steps/more/compensate", "/steps/hold/compensate"]


# people


WAITS: dict[str, Steps] = {
    "waiting": [{"id": "w", "wait": "1h"}],
    "asking": [{"id": "w", "ask": {
        "to": ["role:x"], "question": "?", "options": ["a"], "within": "1h"}}],
    "watching": [{"id": "w", "wait_until": {"condition": "false", "within": "1h"}}],
    "retrying": [{**move("w", back=False), "retry": {"max": 5, "delay": "1h"}}],
    "between-rounds": [{"id": "w", "repeat": {"max": 3, "pause": "1h", "steps": [log("l")]}}],
    "in-branches": [{"id": "w", "parallel": {"branches": [
        {"id": "a", "steps": [{"id": "wa", "wait": "1h"}]},
        {"id": "b", "steps": [{"id": "wb", "wait": "1h"}]}]}}],
    "in-a-handler": [{"id": "w", "try": {
        "steps": [{"id": "f", "fail": {"outcome": "failure"}}],
        "catch": [{"steps": [{"id": "wc", "wait": "1h"}]}]}}],
    "in-the-runs-handler": [{"id": "f", "fail": {"outcome": "failure", "kind": "mine"}}],
    "in-a-call": [{"id": "w", "call": {"playbook": "inner"}}],
}  # fmt: skip


@pytest.mark.parametrize("suspended", [False, True])
@pytest.mark.parametrize("where", WAITS)
def test_check_21_a_person_ends_a_run_at_once_wherever_it_is(where: str, suspended: bool) -> None:
    inner = book([{"id": "wi", "wait": "1h"}], "inner")
    handler = {"when": "error.kind == 'mine'", "steps": [{"id": "wh", "wait": "1h"}]}
    end = [{"id": "still", "wait": "1h"}, log("end", "${run.outcome}")]
    world = World(
        book([*WAITS[where], log("never")], catch=[handler], **{"finally": end}),
        results=refusing("/steps/w"), more={"books": {"inner": inner}},
    )  # fmt: skip
    at(world, 0)
    if suspended:
        world.control["suspend"] = {"by": "li", "at": NOW, "reason": ""}
        at(world, SEC)
    world.control["cancel"] = {"by": "li", "at": NOW, "reason": "drill over"}
    assert at(world, 2 * SEC).status == "cancelled"
    journal = world.journal()
    assert journal["/finally/end"].data["text"] == "cancelled"
    assert journal["/cancel"].data["reason"] == "drill over"
    assert "/steps/never" not in journal
    assert all(record.phase != "intent" for record in journal.values())


def test_check_21_a_begun_command_is_settled_before_a_cancelled_run_ends() -> None:
    world = World(book([move("m")]), results=back)
    (effect,) = Engine(world).look().effects
    Engine(world).commit(effect.path, 1, "intent", effect.data)
    world.control["cancel"] = {"by": "li", "at": NOW, "reason": "", "compensate": True}
    found = Engine(world).look()
    assert [e.kind for e in found.effects] == ["settle", "reconcile"]
    assert at(world, SEC).status == "cancelled"
    assert world.order == ["/steps/m", "/steps/m/compensate"]


def test_a_cancelled_run_undoes_only_if_that_is_said() -> None:
    world = World(book([move("m"), {"id": "w", "wait": "1h"}]), results=back)
    at(world, 0)
    world.control["cancel"] = {"by": "li", "at": NOW, "reason": ""}
    assert at(world, SEC).status == "cancelled"
    assert world.order == ["/steps/m"]


def test_a_word_that_comes_in_the_last_steps_cuts_their_waits_only() -> None:
    end = [{"id": "w", "wait": "1h"}, log("end", "${run.outcome}")]
    world = World(book([log("a")], **{"finally": end}))
    at(world, 0)
    world.control["cancel"] = {"by": "li", "at": NOW, "reason": ""}
    assert at(world, SEC).status == "success"  # the verdict had been given
    assert world.phases()["/finally/w"] == "skipped"


def test_a_suspended_run_begins_nothing_and_its_timers_go_on() -> None:
    steps = [{"id": "w", "wait": "1m"}, move("m"), {"id": "w2", "wait": "1m"}]
    world = World(book(steps), results=back)
    at(world, 0)
    world.control["suspend"] = {"by": "li", "at": NOW, "reason": ""}
    assert at(world, 10 * MIN).status == "waiting"
    assert world.phases() == {"/steps/w": "done"}
    del world.control["suspend"]
    at(world, 11 * MIN)
    assert world.order == ["/steps/m"]
    assert at(world, 12 * MIN).status == "success"


# verdicts


def test_fail_ends_as_it_says_and_stop_too() -> None:
    for outcome in ("failure", "needs_human"):
        assert finish(World(book([{"id": "f", "fail": {"outcome": outcome}}]))).status == outcome
    for outcome in ("success", "failure", "needs_human"):
        stop = {"id": "s", "stop": {"outcome": outcome}}
        assert finish(World(book([stop, log("z")]))).status == outcome


def test_a_handler_of_the_run_is_chosen_once() -> None:
    handlers = [
        {"when": "tag('t').value > 5", "steps": [{"id": "w", "wait": "1m"}, log("hot")]},
        {"steps": [log("cool")]},
    ]
    steps = [{"id": "f", "fail": {"outcome": "failure"}}]
    world = World(book(steps, catch=handlers), tags={"t": 9.0})
    at(world, 0)
    world.tags["t"] = 1.0
    assert at(world, MIN).status == "failure"
    assert world.phases()["/catch/0/hot"] == "done"
    assert "/catch/1/cool" not in world.phases()


def test_figures_are_measured_once() -> None:
    outcome = {"metrics": {"t": "${tag('t').value}", "none": "${steps.nothing}"}}
    world = World(
        book([log("a")], outcome=outcome, **{"finally": [{"id": "w", "wait": "1m"}]}),
        tags={"t": 9.0},
    )
    at(world, 0)
    world.tags["t"] = 1.0
    assert at(world, MIN).metrics == {"t": 9.0}


# a journal that is not the document's


@pytest.mark.parametrize(
    "path",
    ["/steps/nobody", "/steps/a/0/b", "/steps/s/2/x", "/steps/s/0/b/deeper", "/else", "/catch/0/a",
     "/steps/r/9/l", "/steps/c/call/nobody", "/steps/q/escalate", "/steps/a/compensate"],
)  # fmt: skip
def test_an_unknown_path_is_a_hard_visible_stop(path: str) -> None:
    document = _everything()
    world = World(document, more={"books": {"inner": book([log("in")], "inner")}})
    journal = {path: Record("done", NOW)}
    found = advance(document, journal, world.context(), NOW)
    assert found.status == "needs_human"
    told = {effect.path: effect.data for effect in found.effects}
    assert told["/error"] == {"path": path, "kind": "journal_mismatch", "reason": ""}
    assert all(effect.kind == "settle" for effect in found.effects)


@pytest.mark.parametrize(
    "path",
    ["/steps/a", "/steps/s/0/b", "/steps/s/1/m/compensate", "/steps/s/1/m/compensate/unknown",
     "/steps/s/1/m/unknown", "/steps/r/1/l", "/steps/c/call/in", "/steps/q/escalate/0",
     "/steps/q/remind/3", "/resume/4", "/resume/4/remind/0", "/offline/x", "/outcome", "/leave",
     "/cancel", "/error", "/steps/t/try/x", "/steps/t/catch/0/y"],
)  # fmt: skip
def test_every_path_of_the_language_is_known(path: str) -> None:
    books = {"inner": book([log("in")], "inner")}
    assert leads(_everything(), books, path)


def _everything() -> Any:
    ask = {"to": ["role:x"], "question": "?", "options": ["a"], "within": "1h"}
    arms = [{"when": "true", "steps": [log("b")]}, {"otherwise": True, "steps": [move("m")]}]
    return book([
        log("a"), {"id": "s", "switch": arms}, {"id": "q", "ask": ask},
        {"id": "r", "repeat": {"max": 2, "steps": [log("l")]}},
        {"id": "c", "call": {"playbook": "inner"}},
        {"id": "t", "try": {"steps": [log("x")], "catch": [{"steps": [log("y")]}]}},
    ])  # fmt: skip


def test_a_record_that_lacks_what_it_pinned_is_a_hard_stop() -> None:
    world = World(book([{"id": "w", "wait": "1m"}]))
    found = advance(world.document, {"/steps/w": Record("intent", NOW)}, world.context(), NOW)
    assert (found.status, found.effects[0].data["kind"]) == ("needs_human", "journal_mismatch")
    arms = [{"when": "true", "steps": []}]
    document = book([{"id": "s", "switch": arms}])
    journal = {"/steps/s": Record("done", NOW, {"arm": 3})}
    assert advance(document, journal, world.context(), NOW).status == "needs_human"
