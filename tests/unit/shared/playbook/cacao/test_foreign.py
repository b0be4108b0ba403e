"""Playbooks that Andon did not write: what maps, what is refused and where, what is never taken."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.playbook.cacao.conditions import from_stix, to_stix
from shared.playbook.cacao.export import to_cacao
from shared.playbook.cacao.names import EXTENSION, identifier
from shared.playbook.cacao.reading import Imported, from_cacao
from shared.playbook.faults import PlaybookFaults
from shared.playbook.lint import forbidding, lint
from shared.playbook.model import Step
from tests.support.cacao_schemas import DECLARED, MENDED, errors, fault
from tests.support.playbook_memory import World, book, finish

Node = dict[str, Any]
ME = identifier("group", "test")


def step(name: str) -> str:
    """The identifier of a step called `kind:name`."""
    return identifier(name.partition(":")[0], name)


def linked(value: Any) -> Any:
    """Names such as `action:a` as identifiers."""
    if isinstance(value, str) and ":" in value and value.partition(":")[0] in KINDS:
        return step(value)
    if isinstance(value, list):
        return [linked(each) for each in value]
    return {key: linked(each) for key, each in value.items()} if isinstance(value, dict) else value


KINDS = ("start", "end", "action", "parallel", "if-condition", "while-condition",
         "switch-condition", "playbook-action")  # fmt: skip


def cacao(nodes: dict[str, Node], **more: Any) -> Node:
    """A document of steps; actions are manual ones, and every named end is there."""
    ends = {name for text in [json.dumps(nodes)] for name in text.split('"') if name[:4] == "end:"}
    nodes = {**{name: {} for name in ends}, **nodes}
    workflow = {}
    for name, node in nodes.items():
        kind = name.partition(":")[0]
        if kind == "action":
            task = {"type": "manual", "command": name.partition(":")[2]}
            node = {"name": name.partition(":")[2], "commands": [task], "agent": ME, **node}
        workflow[step(name)] = linked({"type": kind, **node})
    return {
        "type": "playbook", "spec_version": "cacao-2.0", "id": identifier("playbook", "x"),
        "name": "Foreign", "created_by": identifier("identity", "x"),
        "created": "2026-01-01T00:00:00Z", "modified": "2026-01-01T00:00:00Z",
        "workflow_start": step(next(name for name in nodes if not name.startswith("end"))),
        "workflow": workflow, "agent_definitions": {ME: {"type": "group", "name": "ops"}},
        **more,
    }  # fmt: skip


def taken(nodes: dict[str, Node], **more: Any) -> Imported:
    """Imported, and without an error of the linter."""
    document = cacao(nodes, **more)
    assert errors(document, DECLARED) == errors(document, MENDED) == []
    found = from_cacao(json.dumps(document), "f.json")
    assert forbidding(lint(found.loaded)) == []
    return found


def tree(steps: list[Step]) -> list[Any]:
    """Ids, nested as the steps are; the check of a manual task's answer is left out."""
    found: list[Any] = []
    for one in steps:
        inner = [tree(block) for _, _, block in one.blocks()]
        if one.switch and one.id.endswith("-done"):
            continue
        found.append({one.id: inner} if inner else one.id)
    return found


def shape(found: Imported) -> list[Any]:
    return tree(found.loaded.playbook.steps)


VARIABLES = {"__level__": {"type": "float", "value": "3.5"}, "__mode__": {"type": "string"}}


def test_a_sequence_and_branches_that_end_by_themselves() -> None:
    found = taken({
        "start:s": {"on_completion": "action:one"},
        "action:one": {"on_completion": "if-condition:hot", "delay": 5_000},
        "if-condition:hot": {"condition": "__level__:value > 3 AND __mode__:value = 'fast'",
                             "on_true": "action:cool", "on_false": "action:watch",
                             "on_completion": "parallel:both"},
        "action:cool": {"on_completion": "end:1"}, "action:watch": {"on_completion": "end:2"},
        "parallel:both": {"next_steps": ["action:left", "action:right"],
                          "on_completion": "action:last"},
        "action:left": {"on_completion": "end:3"}, "action:right": {"on_completion": "end:4"},
        "action:last": {"on_completion": "end:5"},
    }, playbook_variables=VARIABLES)  # fmt: skip
    assert shape(found) == [
        "delay", "one", {"if": [["cool"], ["watch"]]}, {"parallel": [["left"], ["right"]]}, "last"
    ]  # fmt: skip
    choice = found.loaded.playbook.steps[3]
    assert choice.switch
    assert choice.switch[0].when == 'inputs.level > 3 && inputs.mode == "fast"'
    assert found.loaded.playbook.inputs["level"].default == 3.5


def test_branches_that_meet_where_their_step_goes_on_are_the_same() -> None:
    found = taken({
        "start:s": {"on_completion": "switch-condition:mode"},
        "switch-condition:mode": {"switch": "__mode__:value", "on_completion": "action:last",
                                  "cases": {"fast": "action:a", "default": "action:b"}},
        "action:a": {"on_completion": "action:last"}, "action:b": {"on_completion": "action:last"},
        "action:last": {"on_completion": "end:1"},
    }, playbook_variables=VARIABLES)  # fmt: skip
    assert shape(found) == [{"switch": [["a"], ["b"]]}, "last"]


def test_on_failure_is_a_try_whether_it_comes_back_or_not() -> None:
    back = taken({
        "start:s": {"on_completion": "action:one"},
        "action:one": {"on_success": "action:two", "on_failure": "action:mend"},
        "action:mend": {"on_completion": "action:two"}, "action:two": {"on_completion": "end:1"},
    })  # fmt: skip
    assert shape(back) == [{"one-done-try": [["one"], ["mend"]]}, "two"]
    gone = taken({
        "start:s": {"on_completion": "action:one"},
        "action:one": {"on_success": "action:two", "on_failure": "action:mend"},
        "action:mend": {"on_completion": "end:2"}, "action:two": {"on_completion": "end:1"},
    })  # fmt: skip
    assert shape(gone)[0] == {"one-done-try": [["one"], ["mend"]]}
    assert shape(gone)[1] == {"one-done-well": [["two"], []]}
    on = taken({
        "start:s": {"on_completion": "action:one"},
        "action:one": {"on_success": "action:two", "on_failure": "action:two"},
        "action:two": {"commands": [{"type": "http-api", "command": "GET /x HTTP/1.1"}],
                       "on_success": "end:1", "on_failure": "end:1"},
    })  # fmt: skip
    assert shape(on) == [{"one-done-try": [["one"], ["one-done-failed"]]}, "two"]
    assert on.loaded.playbook.steps[1].on_error == "continue"


@pytest.mark.parametrize(
    ("answer", "asked"), [("done", ["one", "two"]), ("cannot", ["one", "mend"]), (None, ["mend"])]
)
def test_a_draft_runs_as_the_graph_says(answer: str | None, asked: list[str]) -> None:
    found = taken({
        "start:s": {"on_completion": "action:one"},
        "action:one": {"on_success": "action:two", "on_failure": "action:mend"},
        "action:mend": {"on_completion": "end:2"}, "action:two": {"on_completion": "end:1"},
    })  # fmt: skip
    world = World(
        found.loaded.playbook,
        answer=lambda ask: answer if ask.path.endswith("/one") else "done",
    )
    assert finish(world).status == "success"
    done = [path.rpartition("/")[2] for path, record in world.journal().items()
            if "answer" in record.data]  # fmt: skip
    assert done == asked


def test_a_while_is_bounded_and_looked_at_first() -> None:
    found = taken({
        "start:s": {"on_completion": "while-condition:w"},
        "while-condition:w": {"condition": "[__level__:value < 2]", "on_true": "action:a",
                              "on_completion": "end:2"},
        "action:a": {"on_completion": "end:1"},
    }, playbook_variables=VARIABLES)  # fmt: skip
    assert shape(found) == [{"while": [[{"while-rounds": [["a"]]}], []]}]
    outer = found.loaded.playbook.steps[0]
    assert outer.switch
    rounds = outer.switch[0].steps[0].repeat
    assert rounds is not None
    assert (rounds.max, rounds.until) == (10, "!(inputs.level < 2)")
    assert any("10 rounds" in note.en for note in found.notes)


def test_a_condition_that_says_nothing_here_is_asked_of_a_person() -> None:
    found = taken({
        "start:s": {"on_completion": "if-condition:i"},
        "if-condition:i": {"condition": "[ipv4-addr:value = '10.0.0.1']", "on_true": "action:a",
                           "on_completion": "end:2"},
        "action:a": {"on_completion": "end:1"},
    })  # fmt: skip
    assert shape(found) == ["if-question", {"if": [["a"], []]}]
    assert any("a person is asked" in note.en for note in found.notes)


def test_exceptions_and_other_playbooks() -> None:
    found = taken({
        "start:s": {"on_completion": "playbook-action:p"},
        "playbook-action:p": {"playbook_id": identifier("playbook", "y"), "on_completion": "end:1"},
        "action:alert": {"on_completion": "end:2"},
    }, workflow_exception=step("action:alert"))  # fmt: skip
    assert shape(found) == ["call"]
    assert tree(found.loaded.playbook.catch[0].steps) == ["alert"]


BAD = {
    "loop": ("cacao_loop", "action:b", {
        "start:s": {"on_completion": "action:a"}, "action:a": {"on_completion": "action:b"},
        "action:b": {"on_completion": "action:a"}}),
    "goto": ("cacao_goto", "action:late", {
        "start:s": {"on_completion": "if-condition:i"},
        "if-condition:i": {"condition": "__level__:value > 1", "on_true": "action:late",
                           "on_false": "action:late", "on_completion": "end:1"},
        "action:late": {"on_completion": "end:2"}}),
    "into a branch": ("cacao_goto", "action:in", {
        "start:s": {"on_completion": "parallel:p"},
        "parallel:p": {"next_steps": ["action:in", "action:b"], "on_completion": "end:3"},
        "action:in": {"on_completion": "end:1"}, "action:b": {"on_completion": "action:in"}}),
    "while without meaning": ("cacao_condition", "while-condition:w", {
        "start:s": {"on_completion": "while-condition:w"},
        "while-condition:w": {"condition": "[file:size > 1]", "on_true": "action:a",
                              "on_completion": "end:1"},
        "action:a": {"on_completion": "end:2"}}),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_what_no_structured_plan_says_is_refused_with_its_place(name: str) -> None:
    code, place, nodes = BAD[name]
    document = cacao(nodes, playbook_variables=VARIABLES)
    assert errors(document, DECLARED) == []  # the schema allows it
    with pytest.raises(PlaybookFaults) as refusal:
        from_cacao(json.dumps(document), "f.json")
    told = fault(refusal.value)
    assert (told.code, told.where) == (code, f"f.json#/workflow/{step(place)}")
    assert all(told.words.values()) and all(told.mends.values())  # noqa: PT018


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("{", "cacao_not_json"), ("[]", "cacao_version"), ("null", "cacao_version"),
        ('{"type": "playbook", "spec_version": "1.0"}', "cacao_version"),
        ('{"type": "playbook", "spec_version": "cacao-2.0"}', "cacao_no_workflow"),
        ("[" * 100_000, "cacao_not_json"),
    ],
)  # fmt: skip
def test_what_is_no_cacao_document_is_refused(text: str, code: str) -> None:
    with pytest.raises(PlaybookFaults) as refusal:
        from_cacao(text, "f.json")
    assert fault(refusal.value).code == code


def test_a_graph_too_deep_is_refused_and_not_recursed_into() -> None:
    nodes: dict[str, Node] = {"start:s": {"on_completion": "parallel:0"}}
    for n in range(500):
        nodes[f"parallel:{n}"] = {
            "next_steps": [f"parallel:{n + 1}", "end:x"], "on_completion": "end:y"
        }  # fmt: skip
    nodes["parallel:500"] = {"next_steps": ["end:x", "end:z"], "on_completion": "end:y"}
    with pytest.raises(PlaybookFaults) as refusal:
        from_cacao(json.dumps(cacao(nodes)), "f.json")
    assert fault(refusal.value).code == "cacao_too_deep"


def test_a_foreign_text_never_becomes_an_expression() -> None:
    evil = "${tag('T').value} and ${1/0} $${x}"
    found = taken({"start:s": {"on_completion": "action:a"},
                   "action:a": {"commands": [{"type": "manual", "command": evil}],
                                "on_completion": "end:1"}}, description=evil)  # fmt: skip
    world = World(found.loaded.playbook, answer=lambda ask: "done")
    finish(world)
    asked = [row for row in world.rows if row[0] == "/steps/a"]
    told = json.dumps([*asked, *(effect.data for effect in world.told)])
    assert "${tag('T').value} and ${1/0}" in told


def test_addresses_and_credentials_stay_outside() -> None:
    target = identifier("http-api", "mes")
    found = taken({
        "start:s": {"on_completion": "action:a"},
        "action:a": {"targets": [target], "on_completion": "end:1", "commands": [{
            "type": "http-api", "command": "POST /orders HTTP/1.1", "content": '{"n": 1}',
            "headers": {"Authorization": ["Bearer hush-hush"]}}]},
    }, target_definitions={target: {"type": "http-api", "name": "MES",
                                    "address": {"dname": ["mes.plant.example"]}}})  # fmt: skip
    call = found.loaded.playbook.steps[0].http
    assert call is not None
    assert (call.endpoint, call.method, call.path, call.body) == ("mes", "POST", "orders", {"n": 1})
    assert "hush-hush" not in found.text
    assert "plant.example" not in found.text
    assert any("Authorization" in note.en for note in found.notes)


def exported() -> tuple[Node, Node]:
    """One of ours, and its node for a command."""
    command = {"device": "burner", "op": "set", "expires": "10s", "require": ["alarm.value > 1"]}
    document = to_cacao(book(
        [{"id": "move", "command": command}, {"id": "say", "log": "x"}],
        devices={"burner": {"type": "b", "bind": "alarm.asset"}},
    ), 0, 0)  # fmt: skip
    node = next(n for n in document["workflow"].values() if n.get("name") == "move")
    return document, node


def test_a_step_of_ours_that_somebody_changed_is_refused_and_not_guessed() -> None:
    document, node = exported()
    node["commands"][0]["description"] = "set burner to 900"
    with pytest.raises(PlaybookFaults) as refusal:
        from_cacao(json.dumps(document), "f.json")
    assert fault(refusal.value).code == "cacao_changed_outside"


def test_the_graph_of_ours_may_be_changed_and_foreign_steps_added() -> None:
    document, node = exported()
    new = step("action:new")
    task = {"type": "manual", "command": "look"}
    document["workflow"][new] = {"type": "action", "name": "look", "commands": [task], "agent": ME,
                                 "on_completion": node["on_completion"]}  # fmt: skip
    node["on_completion"] = new
    found = from_cacao(json.dumps(document), "f.json")
    assert [one.id for one in found.loaded.playbook.steps] == ["move", "look", "look-done", "say"]
    assert found.loaded.playbook.steps[0].command is not None
    assert found.loaded.playbook.steps[0].command.require == ["alarm.value > 1"]


def test_without_its_extension_a_device_command_becomes_a_question() -> None:
    document, node = exported()
    del node["step_extensions"][EXTENSION]
    found = from_cacao(json.dumps(document), "f.json")
    assert [one.verb for one in found.loaded.playbook.steps] == ["ask", "switch", "log"]
    assert any("x-andon-command" in note.en for note in found.notes)


@pytest.mark.parametrize(
    ("ours", "stix"),
    [
        ("inputs.a > 5", "__a__:value > 5"),
        ('inputs.a == "x" && inputs.b != true', "__a__:value = 'x' AND __b__:value != true"),
        ("inputs.a <= -1.5 || inputs.b >= 2", "__a__:value <= -1.5 OR __b__:value >= 2"),
        ('steps.decide.answer == "go"', "__decide_answer__:value = 'go'"),
        ('tag("T").value > 5', None), ("inputs.a + 1 > 5", None), ("(inputs.a > 5)", None),
        ("inputs.a > inputs.b", None), ('inputs.a == "it\'s"', None),
    ],
)  # fmt: skip
def test_conditions_in_both_languages(ours: str, stix: str | None) -> None:
    assert to_stix(ours) == stix
    if stix is not None:
        names = {"__a__": "inputs.a", "__b__": "inputs.b",
                 "__decide_answer__": "steps.decide.answer"}  # fmt: skip
        assert from_stix(stix, names.get) == ours
        assert from_stix(stix, {}.get) is None
