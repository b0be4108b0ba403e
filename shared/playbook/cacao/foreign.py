"""What the steps of somebody else's CACAO playbook become: drafts that a person completes.

Called by `chains.py`. Nothing that was foreign becomes an expression, an address or a secret; what
only a shell could do becomes a question to people.
"""

from __future__ import annotations

from typing import Any

from shared.playbook.cacao.conditions import answer_of, from_stix
from shared.playbook.cacao.graph import Graph, Node
from shared.playbook.cacao.names import slug
from shared.playbook.cacao.requests import Asked, request_of
from shared.playbook.cacao.scope import Scope

Steps = list[dict[str, Any]]
ROUNDS = 10
"""Rounds of a loop whose bound CACAO does not give."""
_OPENC2 = ("openc2", "openc2-http")
_DONE, _CANNOT = "done", "cannot"


class Foreign:
    """Turns foreign steps into ours, and notes what a person must look at."""

    def __init__(self, graph: Graph, scope: Scope) -> None:
        self._graph, self._scope = graph, scope

    def _id(self, node: Node, otherwise: str) -> str:
        return self._scope.fresh(slug(str(node.get("name") or otherwise), otherwise))

    def _named(self, name: str, node: Node, verb: str, spec: Any) -> Node:
        title = str(node.get("name") or "")
        return {"id": name, **({"name": title} if title and title != name else {}), verb: spec}

    def _waiting(self, node: Node) -> Steps:
        """CACAO's `delay`, before the step it stands on."""
        delay = node.get("delay")
        if not isinstance(delay, int) or delay < 1:
            return []
        return [{"id": self._scope.fresh("delay"), "wait": f"{delay}ms"}]

    def _timed(self, node: Node, step: Node) -> Node:
        timeout = node.get("timeout")
        if isinstance(timeout, int) and timeout > 0:
            step["timeout"] = f"{timeout}ms"
        return step

    def action(self, at: str, node: Node) -> Steps:
        """The commands of an action, one after the other."""
        self._scope.open_step(node)
        found = self._waiting(node)
        for command in node.get("commands") or []:
            kind = str(command.get("type"))
            if kind == "http-api" or kind in _OPENC2:
                found.append(self._request(at, node, command))
            else:
                found += self._by_hand(at, node, command, kind)
        self._scope.close_step()
        return found or [{"id": self._id(node, "action"), "log": "no command"}]

    def _request(self, at: str, node: Node, command: Node) -> Node:
        asked: Asked = request_of(command)
        name = self._id(node, "request")
        target = next(iter(node.get("targets") or []), None)
        endpoint = self._scope.endpoint(target, asked.host)
        where = self._graph.where(at)
        if asked.headers:
            self._scope.note(where, f"请求头 {asked.headers} 未导入，请写入端点的绑定",
                             f"the headers {asked.headers} were left out: the endpoint's binding "
                             "sends them")  # fmt: skip
        spec: Node = {"endpoint": endpoint, "method": asked.method}
        if asked.path:
            spec["path"] = self._scope.text(asked.path)
        if asked.body is not None and asked.method != "GET":
            spec["body"] = self._scope.data(asked.body)
        return self._timed(node, self._named(name, node, "http", spec))

    def _by_hand(self, at: str, node: Node, command: Node, kind: str) -> Steps:
        """A manual command, or one that Andon has no hands for: people do it and say so."""
        name = self._id(node, "task")
        text = str(command.get("command") or command.get("description") or node.get("name") or name)
        if kind != "manual":
            text = f"{kind}: {text}"
            self._scope.note(
                self._graph.where(at),
                f"Andon 不执行 {kind}，已改为询问人员；可换成 command 或 http",
                f"Andon runs no {kind}: people are asked to do it; make it a `command` or `http` "
                "if a device or a linked system can",
            )  # fmt: skip
        people = self._scope.people(node)
        if command.get("playbook_activity") == "deliver-content":
            told = {"to": people, "message": self._scope.text(text)}
            return [{**self._named(name, node, "notify", told), "on_error": "continue"}]
        options = self._scope.answers(name, node) or [_DONE, _CANNOT]
        within = node.get("timeout")
        ask = {
            "to": people, "question": self._scope.text(text), "options": options,
            "within": f"{within}ms" if isinstance(within, int) and within > 0 else "30m",
        }  # fmt: skip
        step = {**self._named(name, node, "ask", ask), "on_timeout": "fail"}
        if options != [_DONE, _CANNOT]:
            return [step]
        failed = {"id": self._scope.fresh(f"{name}-cannot"), "fail": {"outcome": "failure"}}
        told = self._scope.fresh(f"{name}-done")
        return [step, self._switch(told, f'{answer_of(name)} == "{_CANNOT}"', [failed])]

    def _switch(self, name: str, when: str, steps: Steps, other: Steps | None = None) -> Node:
        last = {"otherwise": True, "steps": other or []}
        return {"id": name, "switch": [{"when": when, "steps": steps}, last]}

    def tried(self, name: str, steps: Steps, handler: Steps) -> Node:
        """A step with `on_failure`."""
        handler = handler or [{"id": self._scope.fresh(f"{name}-failed"), "log": f"{name} failed"}]
        spec = {"steps": steps, "catch": [{"steps": handler}]}
        return {"id": self._scope.fresh(f"{name}-try"), "try": spec}

    def only_if_well(self, name: str, rest: Steps) -> Node:
        """What follows a step whose handler ends its branch."""
        return self._switch(self._scope.fresh(f"{name}-well"), f"steps['{name}'].ok", rest)

    def call(self, at: str, node: Node) -> Node:
        """Another playbook, by the name that it has here."""
        given = str(node.get("playbook_id"))
        wanted = slug(f"cacao-{given.partition('--')[2][:8]}", "playbook")
        self._scope.note(
            self._graph.where(at), f"调用的预案 {given} 写作 {wanted}",
            f"the playbook {given} is called {wanted!r}: import it, and correct name and inputs",
        )  # fmt: skip
        step = self._named(self._id(node, "call"), node, "call", {"playbook": wanted})
        return self._timed(node, step)

    def parallel(self, at: str, node: Node, branches: list[Steps]) -> Node:
        """Branches side by side."""
        named = [{"id": f"branch-{n}", "steps": each} for n, each in enumerate(branches, 1)]
        if any(not each for each in branches):
            self._scope.note(self._graph.where(at), "有分支是空的", "a branch is empty")
        step = self._named(self._id(node, "parallel"), node, "parallel", {"branches": named})
        return self._timed(node, step)

    def condition(self, at: str, node: Node, yes: Steps, no: Steps) -> Steps:
        """An if: on variables by itself, on anything else by a person's word."""
        self._scope.open_step(node)
        pattern = str(node.get("condition"))
        when = from_stix(pattern, self._scope.meaning)
        name = self._id(node, "if")
        before: Steps = self._waiting(node)
        if when is None:
            asked = self._scope.fresh(f"{name}-question")
            before.append({"id": asked, "ask": {
                "to": self._scope.people({}), "question": self._scope.text(f"{pattern} ?"),
                "options": ["yes", "no"], "within": "30m"}, "on_timeout": "fail"})  # fmt: skip
            when = f'{answer_of(asked)} == "yes"'
            self._scope.note(
                self._graph.where(at), f"条件 {pattern!r} 无法换算，已改为询问人员",
                f"the condition {pattern!r} cannot be translated: a person is asked",
            )  # fmt: skip
        self._scope.close_step()
        choice = self._switch(name, when, yes, no)
        return [*before, self._timed(node, {**choice, **self._title(node)})]

    def _title(self, node: Node) -> Node:
        return {"name": str(node["name"])} if node.get("name") else {}

    def choice(self, node: Node, when: str, yes: Steps, no: Steps) -> Steps:
        """A guard of ours that was given more steps."""
        return [self._switch(self._id(node, "if"), when, yes, no)]

    def switch(self, at: str, node: Node, arms: dict[str, Steps]) -> Node:
        """Cases of a variable."""
        name = str(node.get("switch")).removesuffix(":value")
        meaning = self._scope.meaning(name) or self._scope.declared(name)
        if meaning is None:
            self._scope.refuse_condition(self._graph.where(at), str(node.get("switch")))
        found: Steps = [
            {"when": f"{meaning} == {self._scope.literal(name, value)}", "steps": steps}
            for value, steps in arms.items() if value != "default"
        ]  # fmt: skip
        found.append({"otherwise": True, "steps": arms.get("default", [])})
        step = self._named(self._id(node, "switch"), node, "switch", found)
        return self._timed(node, step)

    def loop(self, at: str, node: Node, steps: Steps) -> Node:
        """A while: its condition first, then rounds until it no longer holds."""
        pattern = str(node.get("condition"))
        when = from_stix(pattern, self._scope.meaning)
        if when is None:
            self._scope.refuse_condition(self._graph.where(at), pattern)
        name = self._id(node, "while")
        self._scope.note(
            self._graph.where(at), f"CACAO 没有给出循环上限，已写 {ROUNDS} 轮",
            f"CACAO gives the loop no bound: {ROUNDS} rounds were written",
        )  # fmt: skip
        steps = steps or [{"id": self._scope.fresh(f"{name}-round"), "log": "round"}]
        rounds = {"max": ROUNDS, "until": f"!({when})", "steps": steps}
        repeat = self._timed(node, {"id": self._scope.fresh(f"{name}-rounds"), "repeat": rounds})
        return self._switch(name, str(when), [repeat])
