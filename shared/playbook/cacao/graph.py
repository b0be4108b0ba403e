"""A CACAO workflow as it is walked: what a step leads to, and what no structured plan can say.

Called by the import. Refuses goto and loops with the step where they show; maps nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.playbook.cacao.names import EXTENSION
from shared.playbook.faults import Fault, PlaybookFaults

Node = dict[str, Any]
MOST_STEPS, DEEPEST = 2_000, 40
_KINDS = frozenset({
    "start", "end", "action", "playbook-action", "parallel", "if-condition", "while-condition",
    "switch-condition",
})  # fmt: skip


CHECK = ("用官方 JSON Schema 检查该文件", "check the file by the official JSON Schemas")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _table(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "commands": _objects, "targets": _texts, "out_args": _texts, "next_steps": _texts,
    "step_variables": _table, "step_extensions": _table,
    "cases": lambda value: isinstance(value, dict),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Note:
    """What a person must look at or fill in."""

    where: str
    zh: str
    en: str


def refused(code: str, where: str, zh: str, en: str, mend: tuple[str, str]) -> PlaybookFaults:
    """A document that is not taken, with its reason."""
    return PlaybookFaults([Fault(code, where, (zh, en), mend)])


def following(node: Node) -> list[str]:
    """Every step that a step names."""
    links = [node.get(key) for key in
             ("on_completion", "on_success", "on_failure", "on_true", "on_false")]  # fmt: skip
    links += node.get("next_steps") or []
    links += (node.get("cases") or {}).values()
    return [link for link in links if link is not None]


class Graph:
    """The steps of one document; each may be passed once."""

    def __init__(self, document: Node, name: str) -> None:
        self._name = name
        self.nodes: dict[str, Node] = document["workflow"]
        self._passed: set[str] = set()
        self._open: list[str] = []
        if len(self.nodes) > MOST_STEPS:
            raise refused(
                "cacao_too_large", f"{name}#/workflow", f"超过 {MOST_STEPS} 个步骤",
                f"more than {MOST_STEPS} steps",
                ("拆成几个预案", "split it into several playbooks"),
            )  # fmt: skip
        for step, node in self.nodes.items():
            self._check(step, node)
        self._exists(document["workflow_start"], f"{name}#/workflow_start")
        self.exception: str | None = document.get("workflow_exception")
        """Where failures go; a missing end step is the same as none."""
        if str(self.exception).startswith("end--") and self.exception not in self.nodes:
            self.exception = None
        elif self.exception is not None:
            self._exists(self.exception, f"{name}#/workflow_exception")

    def where(self, step: str) -> str:
        """The place of a step in the document."""
        return f"{self._name}#/workflow/{step}"

    def _check(self, step: str, node: Any) -> None:
        kind = node.get("type") if isinstance(node, dict) else None
        if kind not in _KINDS:
            raise refused(
                "cacao_unknown_step", self.where(step), f"未知的步骤类型 {kind!r}",
                f"unknown type of step {kind!r}",
                ("用 CACAO 2.0 的步骤类型", "use a step type of CACAO 2.0"),
            )  # fmt: skip
        for key, shape in _SHAPES.items():
            if node.get(key) is not None and not shape(node[key]):
                raise refused(
                    "cacao_malformed", self.where(step), f"{key} 的形式不对",
                    f"{key!r} is not shaped as CACAO wants it",
                    CHECK,
                )  # fmt: skip
        for link in following(node):
            self._exists(link, self.where(step))

    def _exists(self, step: Any, where: str) -> None:
        if not isinstance(step, str) or step not in self.nodes:
            raise refused(
                "cacao_missing_step", where, f"指向的步骤 {step} 不存在",
                f"it leads to the step {step}, which is not there",
                ("补上该步骤，或改正指向", "add that step, or correct the reference"),
            )  # fmt: skip

    def is_end(self, step: str | None) -> bool:
        """Whether a branch is over there."""
        return step is None or self.nodes[step]["type"] == "end"

    def enter(self, step: str) -> Node:
        """Pass a step; `leave` when everything inside it has been read."""
        if step in self._open:
            raise refused(
                "cacao_loop", self.where(self._open[-1]), f"跳回到 {step}，形成循环",
                f"it goes back to {step}: a loop without a bound",
                ("改用 while-condition，循环次数有上限", "use a while-condition, which is bounded"),
            )  # fmt: skip
        if step in self._passed:
            raise refused(
                "cacao_goto", self.where(step), "从多处跳到这一步，不是有结构的流程",
                "several steps lead here from different branches: a goto",
                ("让每个分支以自己的 end 结束，续接步骤写在 on_completion",
                 "end each branch with an end step of its own, and go on by `on_completion`"),
            )  # fmt: skip
        self._passed.add(step)
        self._open.append(step)
        return self.nodes[step]

    def rewind(self, depth: int) -> None:
        """Close the steps that were opened since."""
        del self._open[depth:]

    @property
    def depth(self) -> int:
        """How many steps are open."""
        return len(self._open)

    def unread(self) -> list[str]:
        """Steps that nothing leads to."""
        return [
            step for step, node in self.nodes.items()
            if step not in self._passed and node["type"] not in ("end", "start")
        ]  # fmt: skip


def andon(node: Node) -> Node:
    """What Andon itself wrote into a step; empty for anybody else's."""
    found = (node.get("step_extensions") or {}).get(EXTENSION)
    return found if isinstance(found, dict) else {}
