"""A playbook as an OASIS CACAO v2 document: every block a branch with an end of its own.

Called by `andon playbook export`; what CACAO cannot say travels in Andon's extension. Pure.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

from shared.playbook.cacao import parties
from shared.playbook.cacao.conditions import answer_variable
from shared.playbook.cacao.names import AUTHOR, EXTENSION, definition, identifier, own, worded
from shared.playbook.cacao.natives import (
    ALWAYS,
    Natives,
    cases,
    condition_out,
    playbook_id,
    variables_of,
    verb_of,
)
from shared.playbook.cacao.variables import variable_of
from shared.playbook.model import Playbook

INSIDE = ("steps", "catch", "finally")
"""Parts of a playbook that are the graph itself."""
Node = dict[str, Any]


def written(playbook: Playbook) -> dict[str, Any]:
    """The playbook's document, only what was written."""
    return playbook.model_dump(mode="json", by_alias=True, exclude_unset=True)


def to_cacao(playbook: Playbook, created_ms: int, modified_ms: int) -> dict[str, Any]:
    """The CACAO document of a playbook; the same for the same playbook and times."""
    document = written(playbook)
    graph = _Graph(document)
    start, fails, finish = graph.whole()
    head = {key: value for key, value in document.items() if key not in INSIDE}
    extension: dict[str, Any] = {"document": head}
    if finish:
        extension["finally"] = finish
    found = {
        "type": "playbook", "spec_version": "cacao-2.0", "id": playbook_id(playbook.playbook),
        **summary(document), "created_by": AUTHOR,
        "created": _stamp(created_ms), "modified": _stamp(modified_ms), "revoked": False,
        "workflow_start": start, **({"workflow_exception": fails} if fails else {}),
        "workflow": dict(reversed(graph.nodes.items())),
        "agent_definitions": parties.agents(),
        "playbook_extensions": own(extension),
        "extension_definitions": {EXTENSION: definition()},
    }  # fmt: skip
    if variables := {**playbook_variables(document), **graph.answers}:
        found["playbook_variables"] = variables
    if targets := parties.targets(document, graph.people):
        found["target_definitions"] = targets
    return found


def _stamp(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def summary(document: dict[str, Any]) -> dict[str, Any]:
    """What CACAO says of a playbook as a whole."""
    found: dict[str, Any] = {"name": worded(document["name"])}
    if text := worded(document.get("description", "")):
        found["description"] = text
    if labels := [f"{key}:{value}" for key, value in document.get("labels", {}).items()]:
        found["labels"] = labels
    return found


def playbook_variables(document: dict[str, Any]) -> dict[str, Any]:
    """The inputs that CACAO can name, as variables."""
    inputs = document.get("inputs", {})
    return {name: variable_of(inputs[key]) for key, name in variables_of(document).items()}


class _Graph:
    """Grows the workflow from its ends to its start."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document, self._natives = document, Natives(document)
        self._book: str = document["playbook"]
        self.nodes: dict[str, Node] = {}
        self.answers: dict[str, Any] = {}
        self.people: list[str] = []

    def whole(self) -> tuple[str, str | None, str | None]:
        """Start, exception step, first step of `finally`."""
        end = tail = self._end("")
        finish = None
        if last := self._document.get("finally"):
            tail = finish = self._block(last, "/finally", end)
        fails = self._handlers(self._document.get("catch", []), "/catch", tail) or finish
        first = self._block(self._document["steps"], "/steps", tail)
        start = self._put("start", "/start", {"type": "start", "on_completion": first})
        return start, fails, finish

    def _put(self, kind: str, path: str, node: Node) -> str:
        name = identifier(kind, self._book, path)
        self.nodes[name] = node
        return name

    def _end(self, path: str) -> str:
        return self._put("end", f"{path}#end", {"type": "end"})

    def _branch(self, steps: list[Node], path: str) -> str:
        return self._block(steps, path, self._end(path))

    def _block(self, steps: list[Node], path: str, tail: str) -> str:
        for step in reversed(steps):
            tail = self._guarded(step, f"{path}/{step['id']}", tail)
        return tail

    def _guarded(self, step: Node, path: str, tail: str) -> str:
        if "if" not in step:
            return self._step(step, path, tail)
        inner = self._step(step, path, self._end(f"{path}#if"))
        return self._put("if-condition", f"{path}#if", {
            "type": "if-condition", "name": worded(step.get("name", step["id"])),
            "condition": condition_out(step["if"]), "on_true": inner, "on_completion": tail,
            "step_extensions": own({"guard": step["if"]}),
        })  # fmt: skip

    def _step(self, step: Node, path: str, tail: str) -> str:
        verb, native = verb_of(step), self._natives.of(step)
        bare = {key: copy.deepcopy(value) for key, value in step.items() if key != "if"}
        links = {"on_completion": tail}
        if step.get("on_error") == "continue":
            links = {"on_success": tail, "on_failure": tail}
        if verb == "switch":
            native |= self._arms(step, path)
            bare["switch"] = [_without_steps(arm) for arm in step["switch"]]
        elif verb == "parallel":
            native["next_steps"] = [
                self._branch(each["steps"], f"{path}/{each['id']}")
                for each in step["parallel"]["branches"]
            ]
            branches = bare["parallel"]["branches"]
            bare["parallel"]["branches"] = [_without_steps(each) for each in branches]
        elif verb in ("for_each", "repeat"):
            native["on_true"] = self._branch(step[verb]["steps"], path)
            bare[verb] = _without_steps(step[verb])
        elif verb == "try":
            fails = self._handlers(step["try"]["catch"], f"{path}/catch", tail)
            native["on_true"] = self._branch(step["try"]["steps"], f"{path}/try")
            bare["try"] = {}
            links = {"on_success": tail, "on_failure": str(fails)}
        self._note(step, verb)
        fields = {**native, **links, "step_extensions": own({"step": bare})}
        return self._put(native["type"], path, fields)

    def _note(self, step: Node, verb: str) -> None:
        if verb == "ask":
            self.answers[answer_variable(step["id"])] = {
                "type": "string", "description": " | ".join(step["ask"]["options"]),
                "constant": False, "external": False,
            }  # fmt: skip
        for person in parties.addressees(step):
            if "${" not in person and person not in self.people:
                self.people.append(person)

    def _arms(self, step: Node, path: str) -> Node:
        """The branches of a switch: cases of an answer, or one condition inside the other."""
        arms = step["switch"]
        if (cased := cases(arms)) is not None:
            names = [*cased[1], "default"]
            return {"cases": {
                name: self._branch(arm.get("steps", []), f"{path}/{at}")
                for at, (name, arm) in enumerate(zip(names, arms, strict=False))
            }}  # fmt: skip
        return self._rungs(arms, 0, path)

    def _rungs(self, arms: list[Node], at: int, path: str) -> Node:
        found: Node = {"on_true": self._branch(arms[at].get("steps", []), f"{path}/{at}")}
        rest = arms[at + 1 :]
        if len(rest) == 1 and set(rest[0]) <= {"otherwise", "steps"} and "otherwise" in rest[0]:
            found["on_false"] = self._branch(rest[0].get("steps", []), f"{path}/{at + 1}")
        elif rest:
            found["on_false"] = self._put("if-condition", f"{path}/{at + 1}#arm", {
                "type": "if-condition", "condition": condition_out(rest[0].get("when") or ALWAYS),
                **self._rungs(arms, at + 1, path), "on_completion": self._end(f"{path}/{at}#arm"),
                "step_extensions": own({"arm": at + 1}),
            })  # fmt: skip
        return found

    def _handlers(self, catch: list[Node], path: str, tail: str, at: int = 0) -> str | None:
        """Handlers as conditions one inside the other; the first whose condition holds."""
        if at == len(catch):
            return None
        inner = self._handlers(catch, path, self._end(f"{path}/{at}#rest"), at + 1) \
            if at + 1 < len(catch) else None  # fmt: skip
        when = catch[at].get("when")
        return self._put("if-condition", f"{path}/{at}", {
            "type": "if-condition", "name": f"catch {at + 1}",
            "condition": condition_out(when or ALWAYS),
            "on_true": self._branch(catch[at]["steps"], f"{path}/{at}"),
            **({"on_false": inner} if inner else {}), "on_completion": tail,
            "step_extensions": own({"catch": when}),
        })  # fmt: skip


def _without_steps(part: Node) -> Node:
    return {key: value for key, value in part.items() if key != "steps"}
