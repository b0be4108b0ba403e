"""What a foreign document names: variables, people, endpoints, step ids; and the notes about it.

Called by the import. Credentials and addresses are never taken over: the site's binding has them.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from shared.playbook.cacao.conditions import answer_of
from shared.playbook.cacao.graph import Node, Note, refused
from shared.playbook.cacao.names import EXTENSION, slug
from shared.playbook.cacao.variables import input_of, text_in, used_in

WHO = "role:shift-lead"
"""Whom a draft asks until somebody says better."""
_WORDS = frozenset({"in", "true", "false", "null", "has"})
"""What the expression language keeps for itself."""


class Scope:
    """The names of one document, as ours."""

    def __init__(self, document: Node, name: str, inputs: dict[str, Any]) -> None:
        self._document, self._name = document, name
        self.inputs, self.endpoints = inputs, dict[str, Any]()
        self.notes: list[Note] = []
        self._known: dict[str, str] = {}
        self._local: list[dict[str, str]] = []
        self._ids: set[str] = set()
        self._targets: dict[str, str] = {}
        for key, given in (document.get("playbook_variables") or {}).items():
            self._known[key] = f"inputs.{self._input(key, given)}"

    def reserve(self, ids: set[str]) -> None:
        """Ids that Andon's own steps have."""
        self._ids |= ids

    def answered(self, variable: str, step: str) -> None:
        """A variable that is the answer to one of our questions, not an input."""
        name = self._known.pop(variable, "").removeprefix("inputs.")
        self.inputs.pop(name, None)
        self._known[variable] = answer_of(step)

    def note(self, where: str, zh: str, en: str) -> None:
        """Something for a person."""
        self.notes.append(Note(where, zh, en))

    def refuse_condition(self, where: str, pattern: str) -> NoReturn:
        """A loop or switch whose condition says nothing here."""
        raise refused(
            "cacao_condition", where, f"条件 {pattern!r} 无法换算",
            f"the condition {pattern!r} cannot be translated",
            ("只比较已声明的变量，例如 __level__:value > 5",
             "compare declared variables only, for example __level__:value > 5"),
        )  # fmt: skip

    def fresh(self, wanted: str) -> str:
        """A step id that no other step has."""
        wanted, number, found = wanted[:56].strip("-"), 1, wanted[:56].strip("-")
        while found in self._ids:
            number += 1
            found = f"{wanted}-{number}"
        self._ids.add(found)
        return found

    def _input(self, variable: str, given: Node) -> str:
        name = re.sub(r"\W", "_", variable.strip("_"), flags=re.ASCII) or "value"
        name = f"v_{name}" if name in _WORDS or not name.isidentifier() else name
        spec, kept = input_of(given)
        if self.inputs.get(name) is None:
            self.inputs[name] = spec
        if not kept:
            self.note(f"{self._name}#/playbook_variables/{variable}",
                      f"变量类型 {given.get('type')} 以文字代替",
                      f"the variable's type {given.get('type')} is a text here")  # fmt: skip
        return name

    def declared(self, variable: str) -> str | None:
        """A variable that the text names though nothing declares it: an input to fill in."""
        if not re.fullmatch(r"__[A-Za-z_][\w-]*__", variable):
            return None
        self._known[variable] = f"inputs.{self._input(variable, {'type': 'string'})}"
        self.note(
            f"{self._name}#/playbook_variables", f"变量 {variable} 没有声明，已作为输入",
            f"the variable {variable} is declared nowhere: it is an input to fill in",
        )  # fmt: skip
        return self._known[variable]

    def meaning(self, variable: str) -> str | None:
        """The expression that a variable stands for here."""
        for local in reversed(self._local):
            if variable in local:
                return local[variable]
        return self._known.get(variable)

    def literal(self, variable: str, value: str) -> str:
        """A case's value as a literal of the variable's type."""
        name = (self.meaning(variable) or "").removeprefix("inputs.")
        kind = self.inputs.get(name, {}).get("type", "string")
        bare = kind in ("number", "integer") and re.fullmatch(r"-?\d+(\.\d+)?", value)
        return value if bare or (kind == "boolean" and value in ("true", "false")) \
            else json.dumps(value, ensure_ascii=False)  # fmt: skip

    def open_step(self, node: Node) -> None:
        """A step's own variables become inputs with its values."""
        local: dict[str, str] = {}
        self._local.append(local)
        for variable, given in (node.get("step_variables") or {}).items():
            if variable not in (node.get("out_args") or []):
                local[variable] = f"inputs.{self._input(variable, given)}"

    def close_step(self) -> None:
        """The step's own variables end with it."""
        self._local.pop()

    def text(self, text: str) -> str:
        """A foreign text as one of ours."""
        for variable in used_in(text):
            if self.meaning(variable) is None:
                self.declared(variable)
        return text_in(text, self.meaning)

    def data(self, value: Any) -> Any:
        """`text` for every text of nested data."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.data(each) for each in value]
        if isinstance(value, dict):
            return {str(key): self.data(each) for key, each in value.items()}
        return value

    def _party(self, name: Any) -> Node:
        for table in ("target_definitions", "agent_definitions"):
            found = (self._document.get(table) or {}).get(name)
            if isinstance(found, dict):
                return found
        return {}

    def people(self, node: Node) -> list[str]:
        """Whom a foreign step tells: people among its targets, else a role to correct."""
        parties = [self._party(each) for each in node.get("targets") or []]
        found = [
            f"{'user' if each.get('type') == 'individual' else 'role'}:"
            f"{slug(str(each.get('name')), 'people')}"
            for each in parties if each.get("type") in ("individual", "group")
        ]  # fmt: skip
        return list(dict.fromkeys(found))[:20] or [WHO]

    def endpoint(self, target: Any, host: str) -> str:
        """The endpoint of a request; its address is the site's to bind."""
        party = self._party(target)
        key = str(target or host or "endpoint")
        if key not in self._targets:
            wanted = slug(str(party.get("name") or host or "endpoint"), "endpoint")
            number, name = 1, wanted
            while name in self.endpoints:
                number += 1
                name = f"{wanted}-{number}"
            self.endpoints[name] = {"type": "http"}
            self._targets[key] = name
            self.note(f"{self._name}#/target_definitions", f"请在工厂绑定中写端点 {name} 的地址",
                      f"bind the address of the endpoint {name!r} at the site")  # fmt: skip
        return self._targets[key]

    def answers(self, step: str, node: Node) -> list[str]:
        """The options of a question whose answer a later step reads."""
        outs = [str(each) for each in node.get("out_args") or []]
        if not outs:
            return []
        kind = {**(self._document.get("playbook_variables") or {}),
                **(node.get("step_variables") or {})}.get(outs[0], {}).get("type")  # fmt: skip
        for each in outs:
            self.answered(each, step)
        if kind == "bool":
            return ["true", "false"]
        self.note(
            f"{self._name}#/workflow", f"{step} 的回答 {outs[0]} 是自由文字，请改写选项",
            f"the answer {outs[0]} to {step!r} is free text in CACAO: write the options",
        )  # fmt: skip
        return ["done", "cannot"]


def own_ids(document: Node) -> set[str]:
    """The ids of the steps that Andon wrote."""
    found: set[str] = set()
    for node in document["workflow"].values():
        said = (node.get("step_extensions") or {}).get(EXTENSION) or {}
        if isinstance(said.get("step"), dict):
            found.add(str(said["step"].get("id")))
    return found
