"""Random playbooks for crash tests of the interpreter: every block of the language, small.

`world` grows one whose effects do not depend on timing, so that a killed run can be compared with
one that was not; with `races` its branches stop each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import Any

from shared.playbook.journal import Effect
from shared.playbook.model import Playbook
from tests.support.playbook_memory import Result, World, book

Steps = list[dict[str, Any]]
LEAVES = ("tell", "move", "move", "ask", "http", "emit", "set", "log", "wait", "incident", "hook")
BLOCKS = ("switch", "parallel", "try", "repeat", "for_each", "call", "undo")


@dataclass
class Grower:
    """Draws one document with the playbooks that it calls."""

    chance: Random
    races: bool = False
    books: dict[str, Playbook] = field(default_factory=dict)
    count: int = 0

    def name(self, kind: str) -> str:
        """A fresh id."""
        self.count += 1
        return f"{kind}-{self.count}"

    def document(self) -> Playbook:
        """The run's own document."""
        steps = self.steps(3, False)
        end = [{"id": self.name("end"), "emit": {"event": "over", "data": {"o": "${run.outcome}"}}}]
        return book(steps, catch=[{"steps": [self.leaf("tell")]}], **{"finally": end})

    def steps(self, depth: int, beside: bool) -> Steps:
        """Some steps; `beside`: other branches go on at the same time."""
        return [self.step(depth, beside) for _ in range(self.chance.randint(1, 3))]

    def step(self, depth: int, beside: bool) -> dict[str, Any]:
        """One step."""
        if depth and self.chance.random() < 0.55:
            kind = self.chance.choice(BLOCKS)
            if kind != "undo":
                return getattr(self, f"a_{kind}")(depth - 1, beside)
            if not beside:
                return {"id": self.name("undo"), "compensate_all": {}}
        return self.leaf(self.chance.choice(LEAVES))

    def leaf(self, kind: str) -> dict[str, Any]:
        """A step without steps of its own."""
        name = self.name(kind)
        step: dict[str, Any] = {"id": name}
        if self.chance.random() < 0.1:
            step["if"] = self.chance.choice(["true", "false", "steps.nowhere.ok"])
        asked = {"to": ["role:x"], "question": "?", "options": ["yes", "no"], "within": "5m"}
        spec: tuple[str, Any] = {
            "tell": ("notify", {"to": ["role:x"], "message": "index ${index}"}),
            "move": ("command", {"device": "d", "op": "set", "expires": "10s"}),
            "ask": ("ask", asked),
            "http": ("http", {"endpoint": "mes", "path": "/a"}),
            "emit": ("emit", {"event": "e", "data": {"n": "${item}"}}),
            "set": ("set", {"x": self.chance.randint(0, 1)}),
            "log": ("log", "seen"),
            "wait": ("wait", self.chance.choice(["1s", "3s"])),
            "incident": ("set_incident", {"note": "n"}),
            "hook": ("webhook", {"endpoint": "c", "type": "t", "detach": bool(self.count % 2)}),
        }[kind]
        step[spec[0]] = spec[1]
        if kind in ("move", "http") and self.chance.random() < 0.4:
            step["id"] = name = f"{name}-flaky"
            step["retry"] = {"max": 2, "delay": "1s", "backoff": "exponential", "jitter": 0.3}
        if kind == "move" and self.chance.random() < 0.5:
            step["compensate"] = {"command": {"device": "d", "op": "back", "expires": "10s"}}
        return step

    def a_switch(self, depth: int, beside: bool) -> dict[str, Any]:
        """Two arms."""
        when = self.chance.choice(["true", "false", "steps.nowhere.ok"])
        arms = [
            {"when": when, "steps": self.steps(depth, beside)},
            {"otherwise": True, "steps": self.steps(depth, beside)},
        ]
        return {"id": self.name("switch"), "switch": arms}

    def a_parallel(self, depth: int, beside: bool) -> dict[str, Any]:
        """Two or three branches."""
        branches: Steps = [
            {"id": f"b{index}", "steps": self.steps(depth, True)}
            for index in range(self.chance.randint(2, 3))
        ]
        block: dict[str, Any] = {"branches": branches}
        if self.races:
            block["wait"] = self.chance.choice(["all", "any", 2])
            if self.chance.random() < 0.5:
                self.chance.choice(branches)["steps"].append(self.broken())
        return {"id": self.name("parallel"), "parallel": block}

    def broken(self) -> dict[str, Any]:
        """A step that fails."""
        if self.chance.random() < 0.5:
            return {"id": self.name("fail"), "fail": {"outcome": "failure", "kind": "odd"}}
        return {**self.leaf("move"), "id": self.name("bad")}

    def a_try(self, depth: int, beside: bool) -> dict[str, Any]:
        """Steps, the last of which fails, and a handler."""
        body = [*self.steps(depth, beside), self.broken()]
        handlers = [
            {"when": "error.kind == 'never'", "steps": [self.leaf("tell")]},
            {"steps": self.steps(depth, beside)},
        ]
        return {"id": self.name("try"), "try": {"steps": body, "catch": handlers}}

    def a_repeat(self, depth: int, beside: bool) -> dict[str, Any]:
        """Up to three rounds."""
        spec: dict[str, Any] = {"max": 3, "steps": self.steps(depth, beside)}
        spec["pause"] = self.chance.choice(["0s", "2s"])
        if self.chance.random() < 0.5:
            spec["until"] = "index >= 1"
        return {"id": self.name("repeat"), "repeat": spec}

    def a_for_each(self, depth: int, beside: bool) -> dict[str, Any]:
        """Up to three items, one or two at a time."""
        together = self.chance.randint(1, 2)
        spec = {
            "items": self.chance.choice(["[]", "['a']", "['a', 'b', 'c']"]), "max": 5,
            "together": together, "steps": self.steps(depth, beside or together > 1),
        }  # fmt: skip
        return {"id": self.name("each"), "for_each": spec}

    def a_call(self, depth: int, beside: bool) -> dict[str, Any]:
        """Another playbook, whose inputs are its own."""
        name = f"called-{len(self.books)}-{self.count}"
        inner = self.steps(min(depth, 1), beside)
        last = [{"id": self.name("last"), "emit": {"event": "sub", "data": {"k": "${inputs.k}"}}}]
        self.books[name] = book(inner, name, inputs={"k": {"type": "number"}}, **{"finally": last})
        spec = {"playbook": name, "inputs": {"k": "${1 + 1}"}}
        return {"id": self.name("call"), "call": spec, "on_error": "continue"}


def results(effect: Effect, here: World) -> Result:
    """A flaky step fails at its first try; a bad one is refused; the others are done."""
    name = effect.path.removesuffix("/compensate").rpartition("/")[2]
    if name.endswith("-flaky") and effect.attempt == 1 and "/compensate" not in effect.path:
        return "failed", {"kind": "refused"}
    if name.startswith("bad"):
        return "failed", {"kind": "refused"}
    return "done", {"before": {"x": 1}}


def world(seed: int, races: bool = False) -> World:
    """A random playbook in a world of its own; people always say yes."""
    grower = Grower(Random(seed), races)
    document = grower.document()
    return World(
        document, more={"books": grower.books}, results=results, answer=lambda ask: ask.options[0]
    )
