"""`call`: scopes, handlers, ends and depth of called playbooks."""

from __future__ import annotations

from typing import Any

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


def called(steps: Steps, **more: Any) -> Any:
    inputs = {"k": {"type": "number", "default": 1}, "s": {"type": "string", "default": "d"}}
    return book(steps, "inner", inputs=inputs, **more)


def calling(inner: Any, *after: dict[str, Any], **more: Any) -> World:
    step = {"id": "c", "call": {"playbook": "inner", "inputs": {"k": "${inputs.mine + 1}"}}, **more}
    return World(book([step, *after]), more={"books": {"inner": inner}, "inputs": {"mine": 4}})


def test_a_called_playbook_has_inputs_and_steps_of_its_own() -> None:
    inner = called([log("l", "${inputs.k} ${inputs.s} ${has(inputs.mine)}"), move("m")],
                   **{"finally": [log("end", "${run.outcome}")]})  # fmt: skip
    world = calling(inner, log("z", "${has(steps.l)} ${steps.c.ok}"))
    assert finish(world).status == "success"
    assert text(world, "/steps/c/call/l") == "5 d false"
    assert text(world, "/steps/c/call/finally/end") == "success"
    assert text(world, "/steps/z") == "false true"
    effects = [e for e in Engine(calling(inner)).look().effects if e.kind == "command"]
    assert [e.book for e in effects] == ["inner"]


def test_a_called_playbook_handles_its_failure_and_has_failed_all_the_same() -> None:
    inner = called([fail("f")], catch=[{"steps": [log("l", "${error.kind}")]}],
                   **{"finally": [log("end", "${run.outcome}")]})  # fmt: skip
    world = calling(inner)
    assert finish(world).status == "failure"
    assert text(world, "/steps/c/call/catch/0/l") == "odd"
    assert text(world, "/steps/c/call/finally/end") == "failure"
    assert world.journal()["/error"].data["path"] == "/steps/c/call/f"
    going = calling(inner, log("z", "${steps.c.kind}"), on_error="continue")
    assert finish(going).status == "success"
    assert text(going, "/steps/z") == "odd"


def test_a_stop_ends_the_called_playbook_only() -> None:
    stop = {"id": "s", "stop": {"outcome": "success"}}
    world = calling(called([stop, tell("never")]), log("z"))
    assert finish(world).status == "success"
    assert (world.told, world.phases()["/steps/z"]) == ([], "done")


def test_a_called_playbooks_own_deadline_stops_it_and_its_finally_runs() -> None:
    inner = called([rest("w", "1h")], deadline="2m", **{"finally": [log("end")]})
    world = calling(inner)
    assert finish(world).status == "failure"
    assert world.now == NOW + 120 * SEC
    assert world.phases()["/steps/c/call/finally/end"] == "done"
    assert world.journal()["/error"].data["kind"] == "timeout"


def test_a_called_playbook_that_is_stopped_does_its_last_steps_without_waiting() -> None:
    end = [rest("last", "1h"), move("close"), log("end", "${error.kind} ${run.outcome}")]
    inner = called([rest("w", "1h"), tell("never")], **{"finally": end})
    call = {"id": "c", "call": {"playbook": "inner"}}
    world = World(
        book([beside([call, tell("nor-this")], [rest("b", "5s")], wait="any"), log("z")]),
        more={"books": {"inner": inner}},
    )
    assert finish(world).status == "success"
    assert (world.now, world.told) == (NOW + 5 * SEC, [])
    assert text(world, "/steps/both/b0/c/call/finally/end") == "stopped failure"
    assert world.order == ["/steps/both/b0/c/call/finally/close"]
    assert world.phases()["/steps/both/b0/c"] == "skipped"


def test_calls_go_three_deep() -> None:
    again = {"id": "c", "call": {"playbook": "inner"}}
    world = World(book([again]), more={"books": {"inner": called([again])}})
    assert finish(world).status == "failure"
    assert world.journal()["/error"].data["kind"] == "call_depth"
    assert world.journal()["/error"].data["path"] == "/steps/c/call/c/call/c/call/c"


def test_a_playbook_that_is_not_there_fails_the_call() -> None:
    world = World(book([{"id": "c", "call": {"playbook": "none"}}]))
    assert finish(world).status == "failure"
    assert "none" in world.journal()["/error"].data["reason"]
