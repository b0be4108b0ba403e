"""Static checks that a schema cannot make: references, ladders, read-backs, expressions.

Each finding has a code, a place and a mend in both languages. Opens no socket.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.expression import (
    MAX_CHARS_PLAYBOOK,
    ExpressionError,
    compile_data,
    compile_expression,
    compile_template,
    is_constant,
)
from shared.playbook.lint_offline import mistakes
from shared.playbook.loader import Loaded
from shared.playbook.model import Step
from shared.playbook.run import ROOTS
from shared.site.model import DeviceSpec

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """One mistake."""

    code: str
    where: str
    message: dict[str, str]
    mend: dict[str, str]


@dataclass(frozen=True, slots=True)
class Plant:
    """What the site offers; without it only the playbook itself is checked."""

    alarms: frozenset[str]
    devices: Mapping[str, DeviceSpec]
    endpoints: frozenset[str]
    roles: frozenset[str]


class _Linter:
    def __init__(self, loaded: Loaded, plant: Plant | None) -> None:
        self.loaded, self.plant = loaded, plant
        self.found: list[Finding] = []
        self.seen: set[str] = set()
        book = loaded.playbook
        self.steps = {step.id for step in book.all_steps()}
        self.roots: dict[str, Collection[str] | None] = {
            **dict.fromkeys(ROOTS), "inputs": set(book.inputs)
        }  # fmt: skip
        self.tags: set[str] | None = None
        if plant is not None:
            types = {role.type for role in book.devices.values()}
            fitting = [spec.tags for spec in plant.devices.values() if spec.type in types]
            self.tags = {name for tags in fitting for name in tags}

    def add(self, code: str, path: Path, zh: str, en: str, mend_zh: str, mend_en: str) -> None:
        self.found.append(
            Finding(
                code, self.loaded.where(*path), {"zh": zh, "en": en},
                {"zh": mend_zh, "en": mend_en},
            )
        )  # fmt: skip

    def compiled(self, path: Path, build: Callable[[], Any]) -> Any:
        try:
            found = build()
            for expression in getattr(found, "expressions", (found,)):
                self.references(expression.references, path)
            return found
        except ExpressionError as error:
            self.add(
                f"expression_{error.code}", path,
                f"第 {error.column} 列：{error.text['zh']}",
                f"column {error.column}: {error.text['en']}",
                "改正表达式", "correct the expression",
            )  # fmt: skip
            return None

    def references(self, found: Iterable[tuple[str, ...]], path: Path) -> None:
        for root, *rest in sorted(found):
            if root == "steps" and rest and rest[0] not in self.steps:
                self.unknown("step", "步骤", rest[0], self.steps, path)

    def later(self, what: str, path: Path) -> None:
        self.add(
            "not_yet_supported", path, f"本版本尚不支持 {what}",
            f"{what} is not yet supported by this version", "暂时去掉", "leave it out for now",
        )  # fmt: skip

    def condition(self, text: str | None, path: Path) -> None:
        if text is None:
            return
        found = self.compiled(
            path,
            lambda: compile_expression(
                text, roots=self.roots, tags=self.tags, max_chars=MAX_CHARS_PLAYBOOK
            ),
        )
        if found is not None and text != "true" and is_constant(found):
            self.add(
                "constant_condition", path, f"条件 {text!r} 恒定不变",
                f"the condition {text!r} never changes", "引用告警、位号或步骤",
                "refer to the alarm, a tag or a step",
            )  # fmt: skip

    def template(self, text: str, path: Path) -> None:
        self.compiled(path, lambda: compile_template(text, roots=self.roots, tags=self.tags))

    def data(self, value: Any, path: Path) -> None:
        self.compiled(path, lambda: compile_data(value, roots=self.roots, tags=self.tags))

    def run(self) -> list[Finding]:
        book = self.loaded.playbook
        for index, trigger in enumerate(book.triggers):
            self.condition(trigger.where, ("triggers", index, "where"))
            if trigger.hold:
                self.later("`for`", ("triggers", index, "for"))
            if trigger.alarm and self.plant and trigger.alarm not in self.plant.alarms:
                self.unknown("alarm", "告警", trigger.alarm, self.plant.alarms,
                             ("triggers", index, "alarm"))  # fmt: skip
        self.condition(book.concurrency.key, ("concurrency", "key"))
        for name, role in book.devices.items():
            self.condition(role.bind, ("devices", name, "bind"))
            types = {d.type for d in self.plant.devices.values()} if self.plant else {role.type}
            if role.type not in types:
                self.unknown("device type", "设备类型", role.type, types,
                             ("devices", name, "type"))  # fmt: skip
        if self.plant:
            for name in book.endpoints:
                if name not in self.plant.endpoints:
                    self.unknown("endpoint", "端点", name, self.plant.endpoints,
                                 ("endpoints", name))  # fmt: skip
        if book.offline is not None:
            self.block(book.offline.steps, ("offline", "steps"))
        for mistake in mistakes(book, self.plant.devices if self.plant else None):
            self.add(*mistake)
        self.block(book.steps, ("steps",))
        for index, handler in enumerate(book.catch):
            self.condition(handler.when, ("catch", index, "when"))
            self.block(handler.steps, ("catch", index, "steps"))
        self.block(book.finally_, ("finally",))
        self.condition(book.outcome.success, ("outcome", "success"))
        self.data(book.outcome.metrics, ("outcome", "metrics"))
        self.tunables()
        return self.found

    def tunables(self) -> None:
        for name, given in self.loaded.playbook.inputs.items():
            bounds, default = given.tunable, given.default
            if bounds is None or not isinstance(default, int | float):
                continue
            if not float(bounds.min) <= default <= float(bounds.max):
                self.add(
                    "default_outside_bounds", ("inputs", name, "default"),
                    f"默认值 {default} 超出可调范围", f"default {default} lies outside `tunable`",
                    "扩大范围或改正默认值", "widen the bounds or correct the default",
                )  # fmt: skip

    def block(self, steps: list[Step], base: Path) -> None:
        ended = False
        for index, step in enumerate(steps):
            path = (*base, index)
            if ended:
                self.add(
                    "unreachable", (*path, "id"), f"步骤 {step.id} 永远不会执行",
                    f"step {step.id!r} is never reached", "移到 fail 之前或删除",
                    "move it before `fail`, or remove it",
                )  # fmt: skip
            if step.id in self.seen:
                self.add(
                    "duplicate_id", (*path, "id"), f"步骤 id {step.id} 重复",
                    f"step id {step.id!r} is used twice", "换一个 id", "give it an id of its own",
                )  # fmt: skip
            self.seen.add(step.id)
            self.condition(step.when, (*path, "if"))
            getattr(self, f"check_{step.verb}", lambda *_: None)(step, path)
            ended = step.verb == "fail" and step.when is None

    def check_notify(self, step: Step, path: Path) -> None:
        assert step.notify is not None
        self.words(step.notify.message, (*path, "notify", "message"))
        self.people(step.notify.to, (*path, "notify", "to"))

    def check_log(self, step: Step, path: Path) -> None:
        self.template(step.log or "", (*path, "log"))

    def check_set(self, step: Step, path: Path) -> None:
        self.data(step.set, (*path, "set"))

    def check_set_incident(self, step: Step, path: Path) -> None:
        self.data(step.set_incident, (*path, "set_incident"))

    def check_wait_until(self, step: Step, path: Path) -> None:
        assert step.wait_until is not None
        self.condition(step.wait_until.condition, (*path, "wait_until", "condition"))

    def check_webhook(self, step: Step, path: Path) -> None:
        assert step.webhook is not None
        endpoints = self.loaded.playbook.endpoints
        if step.webhook.endpoint not in endpoints:
            self.unknown("endpoint", "端点", step.webhook.endpoint, endpoints,
                         (*path, "webhook", "endpoint"))  # fmt: skip
        self.data(step.webhook.data, (*path, "webhook", "data"))

    def check_command(self, step: Step, path: Path) -> None:
        spec = step.command
        assert spec is not None
        where = (*path, "command")
        devices = self.loaded.playbook.devices
        if spec.device not in devices:
            self.unknown("device", "设备", spec.device, devices, (*where, "device"))
        elif self.plant is not None:
            self.operation(devices[spec.device].type, spec.op, (*where, "op"))
        self.data(spec.args, (*where, "args"))
        if spec.on_unknown == "ask":
            self.later("`on_unknown: ask`", (*where, "on_unknown"))
        for index, text in enumerate(spec.require):
            self.condition(text, (*where, "require", index))
        if spec.verify is None:
            self.add(
                "unverified_command", where, f"命令 {step.id} 没有回读验证",
                f"command {step.id!r} is not read back", "加上 verify: {until, within}",
                "add `verify: {until, within}`",
            )  # fmt: skip
        else:
            self.condition(spec.verify.until, (*where, "verify", "until"))
        if spec.approval is not None and spec.approval not in self.seen:
            self.unknown("step", "步骤", spec.approval, self.seen, (*where, "approval"))

    def operation(self, kind: str, operation: str, path: Path) -> None:
        assert self.plant is not None
        fitting = [d for d in self.plant.devices.values() if d.type == kind]
        for device in fitting:
            if operation not in device.operations:
                self.unknown("operation", "操作", operation, device.operations, path)

    def check_ask(self, step: Step, path: Path) -> None:
        assert step.ask is not None
        self.words(step.ask.question, (*path, "ask", "question"))
        self.people(step.ask.to, (*path, "ask", "to"))
        for option in step.ask.labels:
            if option not in step.ask.options:
                self.unknown("option", "选项", option, step.ask.options,
                             (*path, "ask", "labels", option))  # fmt: skip
        if "on_timeout" not in step.model_fields_set:
            self.add(
                "ask_without_timeout", (*path, "ask"), f"审批 {step.id} 没有写明超时后怎么办",
                f"ask {step.id!r} does not say what happens when nobody answers",
                "写 on_timeout: escalate、continue 或 fail",
                "write `on_timeout: escalate`, `continue` or `fail`",
            )  # fmt: skip
        last = step.escalate[-1] if step.escalate else None
        if step.on_timeout == "escalate" and (last is None or last.then is None):
            self.add(
                "ask_without_last_rung", (*path, "escalate" if step.escalate else "id"),
                f"审批 {step.id} 没有最后一级",
                f"ask {step.id!r} has no last rung", "在 escalate 末尾写 {after, then}",
                "end `escalate` with {after, then}",
            )  # fmt: skip
        for index, rung in enumerate(step.escalate):
            self.people(rung.to, (*path, "escalate", index, "to"))
            if rung.then is not None and rung.then not in step.ask.options:
                self.unknown("option", "选项", rung.then, step.ask.options,
                             (*path, "escalate", index, "then"))  # fmt: skip

    def check_switch(self, step: Step, path: Path) -> None:
        arms = step.switch or []
        for index, arm in enumerate(arms):
            self.condition(arm.when, (*path, "switch", index, "when"))
            self.block(arm.steps, (*path, "switch", index, "steps"))
        if not any(arm.otherwise for arm in arms):
            self.add(
                "switch_without_otherwise", (*path, "id"), f"分支 {step.id} 缺少 otherwise",
                f"switch {step.id!r} has no `otherwise`", "加上 - otherwise: true",
                "add `- otherwise: true`",
            )  # fmt: skip

    def check_parallel(self, step: Step, path: Path) -> None:
        assert step.parallel is not None
        for index, branch in enumerate(step.parallel.branches):
            self.block(branch.steps, (*path, "parallel", "branches", index, "steps"))

    def words(self, words: Any, path: Path) -> None:
        self.template(words.zh, path)
        self.template(words.en, path)

    def people(self, to: Iterable[str], path: Path) -> None:
        for person in to:
            kind, _, name = person.partition(":")
            if kind not in ("role", "user", "team") or not name:
                self.add(
                    "bad_addressee", path, f"收件人 {person!r} 应写作 role:名称 或 user:名称",
                    f"addressee {person!r} is not role:NAME or user:NAME", "例如 role:shift-lead",
                    "for example role:shift-lead",
                )  # fmt: skip
            elif kind == "role" and self.plant is not None and name not in self.plant.roles:
                self.unknown("role", "角色", name, self.plant.roles, path)

    def unknown(self, kind: str, kind_zh: str, name: str, known: Iterable[str], path: Path) -> None:
        close = difflib.get_close_matches(name, list(known), n=1)
        hint = f"did you mean {close[0]!r}?" if close else "define it, or correct the name"
        hint_zh = f"是不是 {close[0]!r}？" if close else "先定义它，或改正名称"
        self.add(
            f"unknown_{kind.replace(' ', '_')}", path, f"未知的{kind_zh} {name!r}",
            f"unknown {kind} {name!r}", hint_zh, hint,
        )  # fmt: skip


def lint(loaded: Loaded, plant: Plant | None = None) -> list[Finding]:
    """All mistakes of a playbook, in the order of the text."""
    return _Linter(loaded, plant).run()
