"""The conformance scenarios of the Open Workflow Specification, as playbooks of Andon.

Source: github.com/serverlessworkflow/specification (now open-workflow-specification), folder
`ctk/features`, commit d758f0b4a920484ec37dd0466e39fb75995e982f, DSL 1.0.3: 21 scenarios. Each is
written in Andon's language here; outputs, order and error paths are those of the scenario. Where
the specification keeps one document that every task replaces, Andon has `steps.<id>`; where it
names jq, Andon has CEL.

Left out: "Explicit Sequence Flow" (a jump: the language has none, on purpose) and the five of
`call.feature` (HTTP and OpenAPI; the HTTP ones are served on loopback elsewhere, OpenAPI is not
part of the language). "Output Filtering", "Use Non-object Output" and both of `try.feature` name
a pet shop in the network; its answers are given by the engine in memory here.
"""

from __future__ import annotations

from typing import Any

import pytest

from shared.playbook.journal import Effect
from tests.support.playbook_memory import Result, World, book, finish

Steps = list[dict[str, Any]]
COLORS = "${(has(steps['%s'].colors) ? steps['%s'].colors : []) + ['%s']}"


def colour(name: str, before: str = "none") -> dict[str, Any]:
    """`set: colors: ${ .colors + ["red"] }`."""
    return {"id": f"set-{name}", "set": {"colors": COLORS % (before, before, name)}}


def ran(world: World) -> list[str]:
    """The steps in the order in which they ended."""
    found = sorted(world.journal().items(), key=lambda item: item[1].n)
    return [path.rpartition("/")[2] for path, _ in found if path.startswith("/steps")]


def data(world: World, path: str) -> Any:
    return world.journal()[path].data


def pets(effect: Effect, world: World) -> Result:
    """What the pet shop of the scenarios answers."""
    pet = effect.data["path"].rpartition("/")[2]
    if pet.isdigit():
        return "done", {"status": 200, "json": {"id": int(pet)}}
    return "failed", {"kind": "http_404", "status": 404}


def shop(steps: Steps, **alarm: Any) -> World:
    return World(book(steps), results=pets, more={"inputs": alarm})


def get(name: str, path: str) -> dict[str, Any]:
    return {"id": name, "http": {"endpoint": "pets", "path": path}}


def test_branch_fork_with_competing_sub_tasks() -> None:
    branches = [{"id": name, "steps": [colour(name)]} for name in ("red", "green", "blue")]
    block = {"id": "compete", "parallel": {"wait": "any", "branches": branches}}
    world = World(book([block]))
    assert finish(world).status == "success"
    done = [path for path, phase in world.phases().items() if "/set-" in path and phase == "done"]
    assert len(done) == 1  # the output's `colors` has one item
    assert len(data(world, done[0])["colors"]) == 1


def test_data_flow_input_filtering() -> None:
    user = {"claims": {"subject": "6AsnRgGEB0q2O7ux9JXFAw"}}
    steps: Steps = [{"id": "set-player-id", "set": {"playerId": "${inputs.user.claims.subject}"}}]
    world = World(book(steps), more={"inputs": {"user": user}})
    assert finish(world).status == "success"
    assert data(world, "/steps/set-player-id") == {"playerId": "6AsnRgGEB0q2O7ux9JXFAw"}


def test_data_flow_output_filtering() -> None:
    steps = [get("get-pet", "/pet/${inputs.petId}"),
             {"id": "out", "set": {"v": "${steps['get-pet'].json.id}"}}]  # fmt: skip
    world = shop(steps, petId=1)
    assert finish(world).status == "success"
    assert data(world, "/steps/out") == {"v": 1}


def test_data_flow_non_object_output() -> None:
    ids = ["${steps['first'].json.id}", "${steps['second'].json.id}"]
    steps = [get("first", "/pet/${inputs.petId}"), get("second", "/pet/2"),
             {"id": "out", "set": {"ids": ids}}]  # fmt: skip
    world = shop(steps, petId=1)
    assert finish(world).status == "success"
    assert data(world, "/steps/out") == {"ids": [1, 2]}


IN_ORDER = [colour("red"), colour("green", "set-red"), colour("blue", "set-green")]


def test_do_task_with_sequential_sub_tasks() -> None:
    inner = {"id": "composite", "switch": [{"otherwise": True, "steps": IN_ORDER}]}
    world = World(book([inner]))
    assert finish(world).status == "success"
    assert data(world, "/steps/composite/0/set-blue")["colors"] == ["red", "green", "blue"]


def test_emit_task() -> None:
    greeting = {"greetings": "Hello ${inputs.user.firstName} ${inputs.user.lastName}!"}
    emit = {"event": "com.fake-source.user.greeted.v1", "data": greeting}
    user = {"firstName": "John", "lastName": "Doe"}
    world = World(book([{"id": "emit", "emit": emit}]), more={"inputs": {"user": user}})
    assert finish(world).status == "success"
    # id, specversion, time and source are the sender's: it makes a CloudEvent of every event.
    assert world.told[0].data == {
        "event": "com.fake-source.user.greeted.v1", "data": {"greetings": "Hello John Doe!"}
    }  # fmt: skip


def test_flow_implicit_sequence() -> None:
    world = World(book(IN_ORDER))
    assert finish(world).status == "success"
    assert data(world, "/steps/set-blue")["colors"] == ["red", "green", "blue"]
    assert ran(world) == ["set-red", "set-green", "set-blue"]


def test_for_task() -> None:
    mark = {"id": "mark", "set": {
        "colors": "${(has(steps.mark.colors) ? steps.mark.colors : []) + [inputs.colors[index]]}",
        "indexes": "${(has(steps.mark.indexes) ? steps.mark.indexes : []) + [index]}"}}  # fmt: skip
    loop = {"id": "loop", "repeat": {"max": 3, "steps": [mark]}}
    more = {"inputs": {"colors": ["red", "green", "blue"]}}
    world = World(book([loop]), more=more)
    assert finish(world).status == "success"
    assert data(world, "/steps/loop/2/mark") == {
        "colors": ["red", "green", "blue"], "indexes": [0, 1, 2]
    }  # fmt: skip
    each = {"items": "inputs.colors", "max": 3, "steps": [
        {"id": "mark", "set": {"color": "${item}", "index": "${index}"}}]}  # fmt: skip
    items = World(book([{"id": "loop", "for_each": each}]), more=more)
    assert finish(items).status == "success"
    assert [data(items, f"/steps/loop/{n}/mark") for n in range(3)] == [
        {"color": name, "index": n} for n, name in enumerate(["red", "green", "blue"])
    ]


def test_raise_task_with_inline_error() -> None:
    error = {"outcome": "failure", "kind": "compliance", "reason": "Compliance Error"}
    world = World(book([{"id": "raise-error", "fail": error}]))
    assert finish(world).status == "failure"
    told = data(world, "/error")
    assert (told["kind"], told["reason"]) == ("compliance", "Compliance Error")
    assert told["path"] == "/steps/raise-error"  # `instance: /do/0/raiseError`


def test_set_task() -> None:
    configuration = {
        "size": {"width": 6, "height": 6}, "fill": {"red": 69, "green": 69, "blue": 69}
    }  # fmt: skip
    values = {"shape": "circle", "size": "${inputs.configuration.size}",
              "fill": "${inputs.configuration.fill}"}  # fmt: skip
    world = World(
        book([{"id": "set-shape", "set": values}]),
        more={"inputs": {"configuration": configuration}},
    )
    assert finish(world).status == "success"
    assert data(world, "/steps/set-shape") == {"shape": "circle", **configuration}


def cases(*more: dict[str, Any]) -> dict[str, Any]:
    """`switch … then: setRed`: the jump's target is the arm's body."""
    arms = [
        {"when": f"inputs.color == '{name}'", "steps": [colour(name)]}
        for name in ("red", "green", "blue")
    ]
    return {"id": "switch-color", "switch": [*arms, *more]}


@pytest.mark.parametrize(
    ("color", "default", "output", "order"),
    [
        ("red", False, ["red"], ["switch-color", "set-red"]),  # matching case
        ("yellow", False, None, ["switch-color"]),  # implicit default case: the input goes through
        ("yellow", True, ["yellow"], ["switch-color", "set-custom"]),  # explicit default case
    ],
)
def test_switch_task(color: str, default: bool, output: Any, order: list[str]) -> None:
    custom = {"id": "set-custom", "set": {"colors": ["${inputs.color}"]}}
    arms = [{"otherwise": True, "steps": [custom]}] if default else []
    world = World(book([cases(*arms)]), more={"inputs": {"color": color}})
    assert finish(world).status == "success"
    assert ran(world) == order
    if output is not None:
        index = next(path for path in world.journal() if path.endswith(order[-1]))
        assert data(world, index)["colors"] == output


@pytest.mark.parametrize(("status", "ends"), [(404, "success"), (503, "failure")])
def test_try_catches_the_error_that_it_names_and_no_other(status: int, ends: str) -> None:
    values = {"kind": "${error.kind}", "instance": "${error.path}"}
    note = {"id": "set-error", "set": values}
    handler = {"when": f"error.kind == 'http_{status}'", "steps": [note]}
    body = [get("get-pet", "/pet/getPetByName/${inputs.petName}")]
    world = shop([{"id": "try", "try": {"steps": body, "catch": [handler]}}], petName="Milou")
    assert finish(world).status == ends
    if status == 404:  # `instance: /do/0/tryGetPet/try/0/getPet`
        told = data(world, "/steps/try/catch/0/set-error")
        assert told == {"kind": "http_404", "instance": "/steps/try/try/get-pet"}
    else:
        assert data(world, "/error")["path"] == "/steps/try/try/get-pet"
