"""Checks of everything that is evaluated: syntax, names, constant conditions, steps not yet run.

Called by the linter's other parts for each condition, text and datum, with the scope it stands in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable
from typing import Any

from shared.expression import (
    MAX_CHARS_PLAYBOOK,
    Expression,
    ExpressionError,
    compile_data,
    compile_expression,
    compile_template,
    constant_value,
    is_constant,
)
from shared.playbook.journal import ROOTS
from shared.playbook.lint_compared import Comparisons
from shared.playbook.lint_report import Path, Report
from shared.playbook.lint_scopes import ALWAYS, NONE, Scope, guards, ids_of
from shared.playbook.model import Step, Words
from shared.playbook.near import nearest

RUN = frozenset({"id", "started_by", "elapsed_s", "outcome", "incident", "peaks", "drill"})
RESULTS: dict[str, frozenset[str]] = {
    "ask": frozenset({"answer", "by", "comment", "voices", "at", "question", "deny", "until"}),
    "log": frozenset({"text"}), "wait": frozenset({"until"}),
    "wait_until": frozenset({"until"}), "emit": frozenset({"event", "data"}),
    "notify": frozenset({"to", "channel", "message"}),
    "http": frozenset({"status", "json", "text", "endpoint", "method", "path", "body", "expect"}),
    "command": frozenset({"device", "op", "args", "before", "readback", "outcome", "params", "by",
                          "require", "verify", "edge", "epoch", "began", "expires_at", "attempt",
                          "again"}),
}  # fmt: skip
"""Results of a step by its verb; `set` gives what it sets."""
COMMON = ALWAYS | {"kind", "reason", "error"}
TOLD: dict[str, frozenset[str]] = {
    "ask": frozenset({"answer", "by", "comment"}),
    "command": frozenset({"before", "readback", "outcome"}),
    "http": frozenset({"status", "json", "text"}), "log": frozenset({"text"}),
}  # fmt: skip
"""Those that authors use: offered where a result does not exist."""
ALARM = frozenset(
    {"id", "asset", "tag", "value", "limit", "unit", "quality", "priority", "raised_at",
     "occurrence", "transition", "event", "data", "status", "alarms"}
)  # fmt: skip
"""Members of `alarm`; an event of another system may bring more."""
_TEMPLATE = re.compile(r"\$\{(.*?)\}")
_QUOTED = re.compile(r"""(["'])(?:\\.|(?!\1).)*\1""")
_STRICT = "strict"


class Expressions:
    """Compiles and checks what is evaluated."""

    def __init__(self, report: Report, body: Iterable[str]) -> None:
        self.report = report
        book = report.book
        self.steps: dict[str, Step] = {}
        for step in book.all_steps():
            self.steps.setdefault(step.id, step)
        self.order = list(body)
        self.compared = Comparisons(report, self.steps)
        self.roots: dict[str, Collection[str] | None] = {
            **dict.fromkeys(ROOTS), "inputs": set(book.inputs), "run": RUN,
            "error": {"path", "kind", "reason"}, "site": {"id", "name"},
        }  # fmt: skip
        self.tags: set[str] | None = None
        types = known = set[str]()
        if report.plant is not None:
            types = {role.type for role in book.devices.values()}
            known = {device.type for device in report.plant.devices.values()}
        if report.plant is not None and types <= known:  # else that is the mistake
            fitting = [d.tags for d in report.plant.devices.values() if d.type in types]
            self.tags = {name for tags in fitting for name in tags}
        self.inputs: set[str] = set()
        """Inputs that are read somewhere."""
        self.devices: set[str] = set()
        """Tags that are read somewhere."""

    def condition(self, text: str | None, path: Path, scope: Scope) -> None:
        """A field that is an expression."""
        if text is None:
            return
        if "${" in _QUOTED.sub("", text):
            bare = _TEMPLATE.sub(r"\1", text)
            self.report.add("template_in_condition", path, bare=bare)
            return
        found = self._compiled(path, scope, "condition", lambda: compile_expression(
            text, roots=self.roots, tags=self.tags, max_chars=MAX_CHARS_PLAYBOOK))  # fmt: skip
        if found is not None and text != "true" and is_constant(found):
            value = constant_value(found)
            shown = str(value).lower() if isinstance(value, bool) else "unknown"
            self.report.add("constant_condition", path, text=text, value=shown)

    def expression(self, text: str, path: Path, scope: Scope) -> None:
        """A field that is an expression and no condition: it may be constant."""
        self._compiled(path, scope, "value", lambda: compile_expression(
            text, roots=self.roots, tags=self.tags, max_chars=MAX_CHARS_PLAYBOOK))  # fmt: skip

    def template(self, text: str, path: Path, scope: Scope) -> None:
        """A text with `${…}`."""
        self._compiled(path, scope, "text", lambda: compile_template(
            text, roots=self.roots, tags=self.tags))  # fmt: skip

    def words(self, words: Words, path: Path, scope: Scope) -> None:
        """A text in both languages."""
        for language, text in (("zh", words.zh), ("en", words.en)):
            self.template(text, (*path, language), scope)

    def data(self, value: Any, path: Path, scope: Scope, *, strict: bool = False) -> None:
        """Nested data; `strict`: an unknown part makes the step fail."""
        if isinstance(value, dict):
            for key, item in value.items():
                self.data(item, (*path, key), scope, strict=strict)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self.data(item, (*path, index), scope, strict=strict)
        elif isinstance(value, str):
            self._compiled(path, scope, _STRICT if strict else "text", lambda: compile_data(
                value, roots=self.roots, tags=self.tags))  # fmt: skip

    def duration(self, value: int | str | None, path: Path, scope: Scope) -> None:
        """A duration that may be a template."""
        if isinstance(value, str):
            self.data(value, path, scope, strict=True)

    def _compiled(self, path: Path, scope: Scope, use: str, build: Callable[[], Any]) -> Any:
        try:
            found = build()
        except ExpressionError as error:
            self._wrong(error, path)
            return None
        parts: tuple[Expression, ...] = getattr(found, "expressions", (found,))
        for part in parts:
            if len(part.text) > MAX_CHARS_PLAYBOOK:
                self._wrong(
                    ExpressionError(
                        "too_long", {"length": len(part.text), "limit": MAX_CHARS_PLAYBOOK}, 1
                    ),
                    path,
                )
            self._references(part, path, scope, use)
        return found

    def _wrong(self, error: ExpressionError, path: Path) -> None:
        said = {"suggestion": "", "hint": "", "hint_zh": "", **error.params}
        mend, mend_zh = "write a name that exists", "写存在的名称"
        if near := said["suggestion"]:
            mend, mend_zh = f"write {near}", f"改为 {near}"
        elif known := self.roots.get(str(said.get("root", ""))):
            there = ", ".join(sorted(known))
            mend, mend_zh = f"write one of: {there}", f"写其中之一：{there}"
        code = f"expression_{error.code}"
        self.report.add(code, path, at=error.column, mend=mend, mend_zh=mend_zh, **said)

    def _references(self, part: Expression, path: Path, scope: Scope, use: str) -> None:
        self.compared.check(part, path)
        asked = guards(part)
        self.devices |= part.tags
        for root, *rest in sorted(part.references):
            if root == "inputs" and rest:
                self.inputs.add(rest[0])
            elif root == "steps" and rest:
                self._captured(rest, path)
                self._step(rest[0], rest[1] if len(rest) > 1 else "", path, scope, asked, use)
            elif root == "alarm" and rest and rest[0] not in ALARM and nearest(rest[0], ALARM):
                self.report.unknown("unknown_alarm_field", rest[0], ALARM, path)
            elif root in ("item", "index") and not getattr(scope, root):
                loop = "for_each" if root == "item" else "for_each / repeat"
                self.report.add("item_outside_loop", path, name=root, loop=loop)
            elif root == "error" and not scope.error:
                self.report.add("error_outside_catch", path)

    def _step(
        self, name: str, member: str, path: Path, scope: Scope, asked: frozenset[str], use: str
    ) -> None:
        report = self.report
        step = self.steps.get(name)
        if step is None:
            report.unknown("unknown_step", name, self.steps, path)
            return
        if name not in scope.visited and name not in scope.maybe:
            why_zh, why = self._why_not(name)
            report.add("step_not_yet_run", path, name=name, why=why, why_zh=why_zh)
            return
        if self._not_a_result(step, member, path) or not member or member in ALWAYS:
            return
        if name in scope.full:
            return
        if name in scope.guarded or name in asked:
            return
        why_zh, why = self._why_maybe(step, scope)
        grave = None if use in ("condition", _STRICT) else "advice"
        report.add("step_may_not_have_run", path, grave, name=name, member=member, why=why,
                   why_zh=why_zh)  # fmt: skip

    def _captured(self, rest: list[str], path: Path) -> None:
        """What a command captured is one value, called by its argument or not at all."""
        step = self.steps.get(rest[0])
        if step is None or step.command is None or len(rest) < 3 or rest[1] != "before":
            return
        self.report.unknown("unknown_result", rest[2], step.command.args, path)

    def _not_a_result(self, step: Step, member: str, path: Path) -> bool:
        """Whether a step never has this result; told then."""
        known = RESULTS.get(step.verb) or (frozenset(step.set or ()) if step.set else None)
        if not member or known is None or member in known or member in COMMON:
            return False
        offered = TOLD.get(step.verb, known if step.set else NONE) | ALWAYS
        self.report.unknown("unknown_result", member, offered, path)
        return True

    def _why_not(self, name: str) -> tuple[str, str]:
        if name not in self.order:
            return "它在 catch、finally 或离线片段里", "it stands in another part of the playbook"
        return "它在后面、在并行的另一分支或另一个 switch 分支", (
            "it comes later, in another branch of a parallel, or in another arm of a switch"
        )

    def _why_maybe(self, step: Step, scope: Scope) -> tuple[str, str]:
        if step.id not in scope.visited:
            why = "it stands in an arm, loop or try that may be left out"
            return "它在不一定执行的分支、循环或 try 里", why
        if step.when is not None:
            return "它有 if", "it has an `if`"
        return "它失败或超时后流程继续", "the run goes on after its failure or timeout"


def body_ids(steps: list[Step]) -> list[str]:
    """The ids of the playbook's own steps."""
    return list(ids_of(steps))
