"""Blocks: arms, branches that stop each other, loops, handlers; times of blocks."""

from __future__ import annotations

from typing import Any

import pytest

from shared.expression import Reading
from tests.support.playbook_memory import NOW, Engine, World, book, finish

SEC = 1_000
Steps = list[dict[str, Any]]


def log(name: str, text: str = "x") -> dict[str, Any]:
    return {"id": name, "log": text}


def tell(name: str) -> dict[str, Any]:
    return {"id": name, "notify": {"to": ["role:x"], "message": name}}


def move(name: str) -> dict[str, Any]:
    return {"id": name, "command": {"device": "d", "op": "set", "expires": "10s"}}


def fail(name: str, kind: str = "odd") -> dict[str, Any]:
    return {"id": name, "fail": {"outcome": "failure", "kind": kind, "reason": "why"}}


def rest(name: str, time: str) -> dict[str, Any]:
    return {"id": name, "wait": time}


def beside(*branches: Steps, wait: Any = "all") -> dict[str, Any]:
    named = [{"id": f"b{index}", "steps": steps} for index, steps in enumerate(branches)]
    return {"id": "both", "parallel": {"branches": named, "wait": wait}}


def text(world: World, path: str) -> Any:
    return world.journal()[path].data["text"]


# switch


def test_an_arm_whose_condition_is_unknown_is_not_taken() -> None:
    arms = [
        {"when": "tag('t').value > 5", "steps": [log("hot")]},
        {"when": "tag('t').value <= 5", "steps": [log("cool")]},
        {"otherwise": True, "steps": [log("unknown")]},
    ]
    world = World(book([{"id": "s", "switch": arms}]), tags={"t": Reading(9.0, good=False)})
    assert finish(world).status == "success"
    assert "/steps/s/2/unknown" in world.phases()
    none = World(book([{"id": "s", "switch": arms[:2]}]))
    finish(none)
    assert none.journal()["/steps/s"].data == {"reason": "no_arm"}


def test_a_failing_arm_fails_its_switch_which_may_go_on() -> None:
    step = {"id": "s", "switch": [{"otherwise": True, "steps": [fail("f")]}]}
    world = World(book([step]))
    assert finish(world).status == "failure"
    assert world.journal()["/error"].data["path"] == "/steps/s/0/f"
    going = World(book([{**step, "on_error": "continue"}, log("after", "${steps.s.kind}")]))
    assert finish(going).status == "success"
    assert text(going, "/steps/after") == "odd"


# parallel


def test_any_goes_on_with_the_first_and_stops_the_others() -> None:
    steps = [beside([rest("a", "10s")], [rest("b", "1m"), tell("never")], wait="any"), log("z")]
    world = World(book(steps))
    assert finish(world).status == "success"
    assert world.now == NOW + 10 * SEC
    record = world.journal()["/steps/both/b1/b"]
    assert (record.phase, record.data["reason"]) == ("skipped", "not_needed")
    assert not world.told


@pytest.mark.parametrize(("wait", "end"), [(1, 1), (2, 2), (3, 3), ("all", 3), ("any", 1), (9, 3)])
def test_n_of_the_branches_are_enough(wait: Any, end: int) -> None:
    block = beside([rest("a", "1s")], [rest("b", "2s")], [rest("c", "3s")], wait=wait)
    world = World(book([block]))
    assert finish(world).status == "success"
    assert world.now == NOW + end * SEC
    phases = [world.phases()[f"/steps/both/b{n}/{'abc'[n]}"] for n in range(3)]
    assert phases == ["done"] * end + ["skipped"] * (3 - end)


def test_a_begun_command_is_settled_before_its_branch_is_stopped() -> None:
    world = World(book([beside([rest("a", "10s")], [move("m"), tell("never")], wait="any")]))
    found = Engine(world).look()
    for effect in found.effects:  # the command's answer is lost
        if effect.kind == "command":
            Engine(world).commit(effect.path, 1, "intent", effect.data)
        else:
            Engine(world).carry_out(effect)
    world.now += 10 * SEC
    kinds = [(effect.kind, effect.path) for effect in Engine(world).look().effects]
    assert ("reconcile", "/steps/both/b1/m") in kinds
    assert finish(world).status == "success"
    assert world.phases()["/steps/both/b1/m"] == "done"
    assert not world.told


def test_a_failing_branch_fails_the_block_only_when_success_is_out_of_reach() -> None:
    one = World(book([beside([fail("f")], [rest("b", "5s")], wait="any")]))
    assert finish(one).status == "success"
    both = World(book([beside([fail("f")], [rest("b", "5s"), fail("g")], wait="any")]))
    assert finish(both).status == "failure"
    assert both.now == NOW + 5 * SEC
    all_ = World(book([beside([rest("a", "2s"), fail("f")], [rest("b", "1h")])]))
    assert finish(all_).status == "failure"
    assert all_.now == NOW + 2 * SEC
    assert all_.journal()["/steps/both/b1/b"].data["reason"] == "block_failed"
    assert all_.journal()["/steps/both"].data["error"]["path"] == "/steps/both/b0/f"


def test_a_blocks_own_time_stops_what_is_inside() -> None:
    block = {**beside([rest("a", "1h")], [rest("b", "2h")]), "timeout": "30s"}
    world = World(book([{**block, "on_timeout": "continue"}, log("z", "${steps.both.kind}")]))
    assert finish(world).status == "success"
    assert world.now == NOW + 30 * SEC
    assert text(world, "/steps/z") == "timeout"
    assert world.journal()["/steps/both/b0/a"].data["reason"] == "timeout"


def test_a_step_that_times_out_inside_is_no_timeout_of_its_block() -> None:
    inner = {"id": "w", "wait_until": {"condition": "false", "within": "5s"}}
    block = {**beside([inner], [log("b")]), "on_timeout": "continue"}
    world = World(book([block]))
    assert finish(world).status == "failure"
    assert world.journal()["/error"].data == {
        "path": "/steps/both/b0/w", "kind": "timeout", "reason": "", "catch": None, "ends": "",
    }  # fmt: skip


def test_stop_ends_the_run_from_inside_a_branch() -> None:
    stop = {"id": "s", "stop": {"outcome": "success", "reason": "enough"}}
    world = World(book([beside([stop], [rest("b", "1h")]), tell("never")],
                       **{"finally": [log("end", "${run.outcome}")]}))  # fmt: skip
    assert finish(world).status == "success"
    assert (world.now, world.told) == (NOW, [])
    assert text(world, "/finally/end") == "success"


# for_each


def each(items: str, steps: Steps, **more: Any) -> dict[str, Any]:
    return {"id": "each", "for_each": {"items": items, "max": 3, "steps": steps, **more}}


def test_items_are_seen_one_after_the_other_and_are_pinned() -> None:
    steps = [each("alarm.list", [log("l", "${index} ${item.name}"), rest("w", "1s")])]
    items = [{"name": "a"}, {"name": "b"}]
    world = World(book(steps), more={"alarm": {"list": items}})
    Engine(world).rest()
    world.more["alarm"] = {"list": []}
    assert finish(world).status == "success"
    assert [text(world, f"/steps/each/{n}/l") for n in range(2)] == ["0 a", "1 b"]
    assert world.now == NOW + 2 * SEC


def test_some_items_at_a_time() -> None:
    world = World(book([each("[1, 2, 3]", [rest("w", "10s")], together=2)]))
    assert finish(world).status == "success"
    assert world.now == NOW + 20 * SEC


@pytest.mark.parametrize(
    ("items", "kind"),
    [
        ("[1, 2, 3, 4]", "too_many_items"),
        ("alarm.none", "argument_unknown"),
        ("7", "argument_unknown"),
    ],
)
def test_items_that_cannot_be_worked_on(items: str, kind: str) -> None:
    world = World(book([each(items, [log("l")])]))
    assert finish(world).status == "failure"
    assert world.journal()["/error"].data["kind"] == kind


def test_no_items_is_done_at_once_and_a_failing_item_stops_the_others() -> None:
    assert finish(World(book([each("[]", [log("l")])]))).status == "success"
    steps = [{**fail("f"), "if": "item == 2"}, rest("w", "1h")]
    world = World(book([each("[1, 2, 3]", steps, together=3)]))
    assert finish(world).status == "failure"
    assert world.now == NOW
    assert world.journal()["/error"].data["path"] == "/steps/each/1/f"


def test_a_round_sees_its_own_steps_and_those_after_the_loop_the_last_rounds() -> None:
    inside = [{"id": "v", "set": {"n": "${item}"}}, log("l", "${steps.v.n}")]
    world = World(book([each("[1, 2, 3]", inside, together=3), log("z", "${steps.v.n}")]))
    finish(world)
    assert [text(world, f"/steps/each/{n}/l") for n in range(3)] == ["1", "2", "3"]
    assert text(world, "/steps/z") == "3"


# repeat


def test_repeat_goes_on_until_its_condition_holds_after_a_round() -> None:
    spec = {"max": 5, "until": "index >= 2", "pause": "10s", "steps": [log("l", "${index}")]}
    world = World(book([{"id": "r", "repeat": spec}, log("z", "${steps.r.rounds} ${steps.r.met}")]))
    assert finish(world).status == "success"
    assert [path for path in world.phases() if path.startswith("/steps/r/")] == [
        "/steps/r/0/l", "/steps/r/1/l", "/steps/r/2/l",
    ]  # fmt: skip
    assert world.now == NOW + 20 * SEC
    assert text(world, "/steps/z") == "3 true"


def test_repeat_ends_after_its_rounds_and_an_unknown_condition_is_not_met() -> None:
    spec = {"max": 3, "until": "tag('t').value > 1", "steps": [log("l")]}
    world = World(book([{"id": "r", "repeat": spec}, log("z", "${steps.r.met}")]))
    assert finish(world).status == "success"
    assert "/steps/r/2/l" in world.phases()
    assert text(world, "/steps/z") == "false"


def test_a_later_round_sees_what_the_one_before_did() -> None:
    count = {"id": "n", "set": {"v": "${has(steps.n.v) ? steps.n.v + 1 : 1}"}}
    loop = {"id": "r", "repeat": {"max": 4, "steps": [count]}}
    world = World(book([loop, log("z", "${steps.n.v}")]))
    finish(world)
    assert text(world, "/steps/z") == "4"


# try


def attempt(body: Steps, *catch: dict[str, Any]) -> dict[str, Any]:
    return {"id": "t", "try": {"steps": body, "catch": list(catch)}}


def test_the_first_handler_that_fits_takes_the_error_and_the_run_goes_on() -> None:
    told = "${error.kind} ${error.path} ${error.reason}"
    handlers = [
        {"when": "error.kind == 'timeout'", "steps": [log("no")]},
        {"when": "error.kind == 'odd'", "steps": [log("yes", told)]},
        {"steps": [log("late")]},
    ]
    world = World(book([attempt([log("a"), fail("f"), tell("never")], *handlers), log("z")]))
    assert finish(world).status == "success"
    assert text(world, "/steps/t/catch/1/yes") == "odd /steps/t/try/f why"
    assert (world.told, world.phases()["/steps/z"]) == ([], "done")
    assert not {"/steps/t/catch/0/no", "/steps/t/catch/2/late"} & world.phases().keys()


def test_what_no_handler_takes_goes_on_outwards() -> None:
    inner = attempt([fail("f")], {"when": "error.kind == 'timeout'", "steps": []})
    handler = {"steps": [log("l", "${error.path}")]}
    world = World(book([{"id": "o", "try": {"steps": [inner], "catch": [handler]}}]))
    assert finish(world).status == "success"
    assert text(world, "/steps/o/catch/0/l") == "/steps/t/try/f".replace("/t", "/o/try/t", 1)


def test_a_failing_handler_fails_its_try() -> None:
    world = World(book([attempt([fail("f")], {"steps": [fail("g", "worse")]})]))
    assert finish(world).status == "failure"
    assert world.journal()["/error"].data["kind"] == "worse"


def test_a_handler_is_chosen_once_whatever_the_plant_does_later() -> None:
    handlers = [
        {"when": "tag('t').value > 5", "steps": [rest("a", "1m"), log("hot")]},
        {"steps": [log("cool")]},
    ]
    world = World(book([attempt([fail("f")], *handlers)]), tags={"t": 9.0})
    Engine(world).rest()
    world.tags["t"] = 1.0
    finish(world)
    assert world.phases()["/steps/t/catch/0/hot"] == "done"


def test_the_deadline_is_the_runs_and_no_try_takes_it() -> None:
    block = attempt([rest("w", "1h")], {"steps": [log("no")]})
    handler = {"when": "error.kind == 'deadline'", "steps": [log("late")]}
    world = World(book([block, tell("n")], catch=[handler]), more={"deadline_at": NOW + 60_000})
    assert finish(world).status == "failure"
    assert world.phases()["/catch/0/late"] == "done"
    assert "/steps/t/catch/0/no" not in world.phases()


def test_a_try_that_forgives_everything_does_not_forgive_the_deadline() -> None:
    block = attempt([rest("w", "1h")], {"steps": []})
    world = World(book([block]), more={"deadline_at": NOW + 60_000})
    assert finish(world).status == "failure"
    assert world.journal()["/error"].data["kind"] == "deadline"
