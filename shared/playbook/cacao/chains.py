"""From a CACAO graph to nested steps: sequences, branches, failures, and Andon's own steps.

Called by `reading.py`; what a foreign step becomes is `foreign.py`'s. Evaluates nothing.
"""

from __future__ import annotations

import copy
from typing import Any

from shared.playbook.cacao.foreign import Foreign
from shared.playbook.cacao.graph import DEEPEST, Graph, Node, andon, refused
from shared.playbook.cacao.natives import (
    ALWAYS,
    Natives,
    cases,
    condition_out,
    verb_of,
)

Steps = list[dict[str, Any]]
_SAID = {"type", "name", "timeout", "delay", "condition", "switch", "commands", "agent", "targets",
         "in_args", "out_args", "step_variables", "playbook_id"}  # fmt: skip
"""What must still be as Andon wrote it."""
_CHANGED = (
    "撤销该修改，或删除该步骤中 Andon 的扩展，使它成为普通 CACAO 步骤",
    "undo that change, or remove Andon's extension from the step to make it a plain one",
)


class Chains:
    """Reads one document's steps."""

    def __init__(self, graph: Graph, natives: Natives, foreign: Foreign) -> None:
        self._graph, self._natives, self._foreign = graph, natives, foreign
        self._depth = 0

    def chain(self, at: str | None, stops: frozenset[str] = frozenset()) -> Steps:
        """The steps from one on, to the end of its branch or one of the stops."""
        return self._chain(at, stops)[0]

    def _chain(self, at: str | None, stops: frozenset[str]) -> tuple[Steps, str | None]:
        """The steps, and where they stopped."""
        depth = self._graph.depth
        self._depth += 1
        if at is not None and self._depth > DEEPEST:
            raise refused("cacao_too_deep", self._graph.where(at), "嵌套过深", "nested too deeply",
                          ("拆成几个预案", "split it into several playbooks"))  # fmt: skip
        found = self._walked(at, stops)
        self._graph.rewind(depth)
        self._depth -= 1
        return found

    def _walked(self, at: str | None, stops: frozenset[str]) -> tuple[Steps, str | None]:
        found: Steps = []
        while at is not None and at not in stops and not self._graph.is_end(at):
            node = self._graph.enter(at)
            follow = node.get("on_completion") or node.get("on_success")
            if node["type"] != "start":
                steps = self._read(at, node, stops | {follow} if follow else stops)
                fails = node.get("on_failure")
                if fails is not None and "try" not in andon(node).get("step", {}):
                    steps, over = self._failing(steps, fails, follow, stops)
                    if over:
                        return [*found, *steps], None
                found += steps
            at = follow
        return found, at

    def _failing(
        self, steps: Steps, fails: str, follow: str | None, stops: frozenset[str]
    ) -> tuple[Steps, bool]:
        """A step with `on_failure`: tried, and handled where it does not simply go on."""
        name = steps[-1]["id"]
        if fails == follow and len(steps) == 1:
            steps[0]["on_error"] = "continue"
            return steps, False
        if fails == follow:
            return [self._foreign.tried(name, steps, [])], False
        handler, stopped = self._chain(fails, stops | ({follow} if follow else frozenset()))
        tried = self._foreign.tried(name, steps, handler)
        if self._graph.is_end(follow) or (stopped is not None and stopped == follow):
            return [tried], False
        rest, _ = self._chain(follow, stops)
        return [tried, self._foreign.only_if_well(name, rest)], True

    def _read(self, at: str, node: Node, stops: frozenset[str]) -> Steps:
        said = andon(node)
        if "step" in said:
            return [self._own(at, node, copy.deepcopy(said["step"]), stops)]
        if "guard" in said:
            self._unchanged(at, node, {"condition": condition_out(said["guard"])}, ("condition",))
            inner = self.chain(node["on_true"], stops)
            if len(inner) == 1 and "on_false" not in node and "if" not in inner[0]:
                return [_placed(inner[0], "if", said["guard"])]
            return self._foreign.choice(node, said["guard"], inner, self._or(node, stops))
        if node["type"] == "action":
            return self._foreign.action(at, node)
        if node["type"] == "playbook-action":
            return [self._foreign.call(at, node)]
        return self._block(at, node, stops)

    def _or(self, node: Node, stops: frozenset[str]) -> Steps:
        return self.chain(node["on_false"], stops) if "on_false" in node else []

    def _block(self, at: str, node: Node, stops: frozenset[str]) -> Steps:
        """A foreign parallel, if, switch or while."""
        kind = node["type"]
        if kind == "parallel":
            branches = [self.chain(each, stops) for each in node.get("next_steps") or []]
            return [self._foreign.parallel(at, node, branches)]
        if kind == "switch-condition":
            arms = {key: self.chain(to, stops) for key, to in (node.get("cases") or {}).items()}
            return [self._foreign.switch(at, node, arms)]
        inner = self.chain(node.get("on_true"), stops)
        if kind == "while-condition":
            return [self._foreign.loop(at, node, inner)]
        return self._foreign.condition(at, node, inner, self._or(node, stops))

    def _own(self, at: str, node: Node, step: Node, stops: frozenset[str]) -> Node:
        """A step that Andon wrote: its own words, its blocks from the graph."""
        verb = verb_of(step)
        if verb == "switch":
            step["switch"] = self._arms(at, node, step["switch"], stops)
        elif verb == "parallel":
            step["parallel"]["branches"] = self._branches(node, step["parallel"], stops)
        elif verb in ("for_each", "repeat"):
            step[verb]["steps"] = self.chain(node["on_true"], stops)
        elif verb == "try":
            handlers = self.handlers(node.get("on_failure"), node.get("on_success"), stops)
            step["try"] = {"steps": self.chain(node["on_true"], stops), "catch": handlers}
        wanted = self._natives.of(step)
        self._unchanged(at, node, wanted, tuple(set(wanted) | _SAID))
        return step

    def _unchanged(self, at: str, node: Node, wanted: Node, keys: tuple[str, ...]) -> None:
        changed = sorted(key for key in keys if node.get(key) != wanted.get(key))
        if changed:
            raise refused(
                "cacao_changed_outside", self._graph.where(at),
                f"Andon 写出之后，{'、'.join(changed)} 被改动，与扩展中的内容不一致",
                f"{', '.join(changed)} was changed since Andon wrote it, and no longer agrees with "
                "what its extension says", _CHANGED,
            )  # fmt: skip

    def _branches(self, node: Node, spec: Node, stops: frozenset[str]) -> list[Node]:
        named = [branch["id"] for branch in spec["branches"]]
        first = list(node.get("next_steps") or [])
        if len(first) != len(named):
            named = [f"branch-{number}" for number in range(1, len(first) + 1)]
        return [
            {"id": name, "steps": self.chain(each, stops)}
            for name, each in zip(named, first, strict=True)
        ]

    def _arms(self, at: str, node: Node, arms: list[Node], stops: frozenset[str]) -> list[Node]:
        if (cased := cases(arms)) is not None:
            return self._cased(at, node, arms, cased[1], stops)
        return self._rungs(at, node, arms, 0, stops)

    def _cased(
        self, at: str, node: Node, arms: list[Node], values: list[str], stops: frozenset[str]
    ) -> list[Node]:
        names = [*values, "default"][: len(arms)]
        if set(names) != set(node.get("cases") or {}):
            self._unchanged(at, node, {"cases": dict.fromkeys(names)}, ("cases",))
        return [
            {**arm, "steps": self.chain(node["cases"][name], stops)}
            for arm, name in zip(arms, names, strict=True)
        ]

    def _rungs(
        self, at: str, node: Node, arms: list[Node], number: int, stops: frozenset[str]
    ) -> list[Node]:
        found = [{**arms[number], "steps": self.chain(node["on_true"], stops)}]
        rest, other = arms[number + 1 :], node.get("on_false")
        if not rest and other is None:
            return found
        following = self._graph.nodes[other] if other is not None else {}
        if len(rest) == 1 and "when" not in rest[0] and other is not None:
            return [*found, {**rest[0], "steps": self.chain(other, stops)}]
        if not rest or andon(following).get("arm") != number + 1:
            self._unchanged(at, node, {"on_false": None}, ("on_false",))
        inner = self._graph.enter(str(other))
        wanted = {"condition": condition_out(rest[0].get("when") or ALWAYS)}
        self._unchanged(str(other), inner, wanted, ("condition",))
        return found + self._rungs(str(other), inner, arms, number + 1, stops)

    def handlers(
        self, at: str | None, follow: str | None, stops: frozenset[str]
    ) -> list[dict[str, Any]]:
        """A chain of handlers as Andon writes it, or any other chain as one handler of all."""
        inner = stops | {follow} if follow else stops
        if at is None or "catch" not in andon(self._graph.nodes[at]):
            steps = self.chain(at, frozenset(inner))
            return [{"steps": steps}] if steps else []
        node = self._graph.enter(at)
        when = andon(node)["catch"]
        self._unchanged(at, node, {"condition": condition_out(when or ALWAYS)}, ("condition",))
        found = {**({"when": when} if when else {}), "steps": self.chain(node["on_true"], stops)}
        following = node.get("on_completion")
        if following != follow and not self._graph.is_end(following):
            self._unchanged(at, node, {"on_completion": follow}, ("on_completion",))
        rest = node.get("on_false")
        return [found, *(self.handlers(rest, None, stops) if rest else [])]


def _placed(step: Node, key: str, value: Any) -> Node:
    """The step with a key after its id and name."""
    head = {k: step[k] for k in ("id", "name") if k in step}
    return {**head, key: value, **{k: v for k, v in step.items() if k not in head}}
