"""Random playbooks for the crash oracle: trees of every kind of block, the same for the same seed.

What such a run does depends on nothing but its document, so that a run that was killed must have
done exactly what one that was not has done.
"""

from __future__ import annotations

import random
from typing import Any

from shared.playbook.model import Playbook
from shared.site.model import DeviceSpec, OperationSpec

DEVICES = {
    f"T/{name}": DeviceSpec(
        type="crash.device", edge="e1", source="any", tags={f"{name}.ready": "TT-101"},
        operations={"set": OperationSpec(write=f"addr-{name}", arg="v")},
        interlocks=["!tag('JAMMED').value"] if name == "jam" else [],
    )
    for name in ("d0", "d1", "d2", "jam")
}  # fmt: skip
"""Three that obey, one that is interlocked."""
KINDS = ("seq", "parallel", "switch", "try", "repeat", "for_each")
LEAVES = ("command",) * 5 + ("notify", "set", "emit", "http", "webhook", "wait", "ask", "log")


class Tree:
    """Grows one playbook."""

    def __init__(self, seed: int, size: int = 12, deep: bool = False) -> None:
        self._chance = random.Random(seed)
        self._number, self._left, self.seed = 0, size, seed
        self._deep = deep
        """Also branches of which some are enough, and steps that are undone."""

    def book(self) -> Playbook:
        """The playbook."""
        steps = self._block(0)
        while self._left > 0:
            steps += self._block(0)
        if self._deep:
            steps += [self._enough(), self._undoable(), {"id": self._id(), "compensate_all": {}}]
        document: dict[str, Any] = {
            "schema": "playbook/v1", "playbook": f"tree-{self.seed}", "version": 1,
            "name": f"tree {self.seed}", "deadline": "10m",
            "devices": {
                name.partition("/")[2]: {
                    "type": "crash.device", "bind": "alarm.asset", "role": name.partition("/")[2],
                }
                for name in DEVICES
            },
            "endpoints": {"echo": {"type": "http"}, "cmms": {"type": "webhook"}},
            "triggers": [{"id": "by-hand", "manual": {"roles": ["shift-lead"]}}],
            "steps": steps,
            "finally": [self._command("d2")],
        }  # fmt: skip
        return Playbook.model_validate(document)

    def _block(self, depth: int) -> list[dict[str, Any]]:
        return [self._step(depth) for _ in range(self._chance.randint(1, 3))]

    def _id(self) -> str:
        self._number += 1
        return f"s{self._number}"

    def _command(self, device: str) -> dict[str, Any]:
        name = self._id()
        return {
            "id": name,
            "command": {
                "device": device, "op": "set", "args": {"v": self._number}, "expires": "90s",
            },
        }  # fmt: skip

    def _undoable(self) -> dict[str, Any]:
        undo = self._command("d1")["command"]
        return {**self._command("d0"), "compensate": {"command": undo}}

    def _enough(self) -> dict[str, Any]:
        """One or two of three branches are enough; the last is never through by itself."""
        enough = self._chance.choice(("any", 2))
        bodies = [[self._undoable(), self._command("d2")], [self._undoable()]]
        for_ever: list[dict[str, Any]] = [{"id": self._id(), "wait": "5m"}]
        slow = [bodies[1] if enough == 2 else [{"id": self._id(), "wait": "5m"}], for_ever]
        branches = [
            {"id": f"e{place}", "steps": body} for place, body in enumerate([bodies[0], *slow])
        ]
        return {"id": self._id(), "parallel": {"branches": branches, "wait": enough}}

    def _step(self, depth: int) -> dict[str, Any]:
        if depth < 3 and self._left > 1 and self._chance.random() < 0.45:
            return self._nest(self._chance.choice(KINDS[1:]), depth + 1)
        self._left -= 1
        return self._leaf(self._chance.choice(LEAVES))

    def _leaf(self, kind: str) -> dict[str, Any]:
        if kind == "command":
            return self._command(self._chance.choice(("d0", "d1", "d2")))
        name = self._id()
        verbs: dict[str, Any] = {
            "notify": {"to": ["role:shift-lead"], "message": f"told by {name}"},
            "set": {"v": self._number},
            "emit": {"event": "crash.told", "data": {"from": name}},
            "http": {"endpoint": "echo", "method": "POST", "path": name, "body": {"n": name}},
            "webhook": {"endpoint": "cmms", "type": "crash.hook", "data": {"n": name}},
            "wait": "15ms",
            "ask": {"to": ["role:shift-lead"], "question": f"{name}?", "options": ["go", "stay"],
                    "within": "5m"},
            "log": f"passed {name}",
        }  # fmt: skip
        return {"id": name, kind: verbs[kind]}

    def _nest(self, kind: str, depth: int) -> dict[str, Any]:
        name, body = self._id(), self._block(depth)
        if kind == "parallel":
            branches = [{"id": "a", "steps": body}, {"id": "b", "steps": self._block(depth)}]
            return {"id": name, "parallel": {"branches": branches}}
        if kind == "switch":
            truth = self._chance.choice(("true", "false"))
            arms = [{"when": f'"{truth}" == "true" && alarm.asset == "T"', "steps": body},
                    {"otherwise": True, "steps": self._block(depth)}]  # fmt: skip
            return {"id": name, "switch": arms}
        if kind == "try":
            body.append(self._command("jam"))  # is refused: the handler takes it
            return {"id": name, "try": {"steps": body, "catch": [{"steps": self._block(depth)}]}}
        if kind == "repeat":
            return {"id": name, "repeat": {"max": 2, "steps": body}}
        return {"id": name, "for_each": {"items": "[1, 2]", "max": 2, "together": 2, "steps": body}}
