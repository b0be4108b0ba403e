"""Checks of what stands outside the steps: inputs, triggers, overlap, leaving early, the budget.

Called by the linter once for each playbook.
"""

from __future__ import annotations

import re
from typing import Any

from shared.playbook.cron import Cron
from shared.playbook.explain import explain
from shared.playbook.lint_expressions import Expressions
from shared.playbook.lint_report import Path, Report
from shared.playbook.lint_scopes import Scope, Scopes
from shared.playbook.model import Input, Trigger
from shared.playbook.site_inputs import faults_of
from shared.playbook.triggers import Throttle
from shared.playbook.worst_rows import MOST_ROWS, Rows
from shared.site.model import parse_duration

_SECRETS = (
    ("secret:", re.compile(r"\bsecret:[A-Za-z0-9]")),
    ("Bearer", re.compile(r"\bBearer\s+[A-Za-z0-9._~+/=-]{12,}")),
    ("whsec_", re.compile(r"\bwhsec_[A-Za-z0-9+/=]{12,}")),
    ("API key", re.compile(r"\b(?:sk|pk|rk)_(?:live|test)_[A-Za-z0-9]{8,}|\bAKIA[0-9A-Z]{16}\b")),
    ("token", re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|xox[abpr]-[A-Za-z0-9-]{10,})")),
    ("JWT", re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.")),
    ("private key", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("password", re.compile(
        r"(?i)\b(?:password|passwd|pwd|api[_-]?key|token)\s*[=:]\s*[^\s${}]{6,}")),
    ("URL", re.compile(r"://[^/\s:@]+:[^/\s:@]{3,}@")),
)  # fmt: skip
"""What looks like a secret, by what it is called in the finding."""


class Document:
    """Checks the head of a playbook; last of all what nothing uses."""

    def __init__(self, report: Report, expressions: Expressions, scopes: Scopes) -> None:
        self.report, self.see, self.scopes = report, expressions, scopes
        self.book = report.book

    def check(self) -> None:
        """All of it but what nothing uses."""
        self._triggers()
        self._concurrency()
        self._leaving()
        book, see = self.book, self.see
        for name, role in book.devices.items():
            see.condition(role.bind, ("devices", name, "bind"), Scope())
        for index, handler in enumerate(book.catch):
            see.condition(handler.when, ("catch", index, "when"), self.scopes.handlers)
        see.condition(book.outcome.success, ("outcome", "success"), self.scopes.after)
        see.data(book.outcome.metrics, ("outcome", "metrics"), self.scopes.after)
        for name, given in book.inputs.items():
            self._input(name, given)
        self._secrets(self.report.loaded.document, ())
        self._rows()
        self._budget()

    # triggers

    def _triggers(self) -> None:
        add, seen = self.report.add, set[str]()
        if not self.book.triggers:
            add("no_trigger", ("playbook",))
        for index, trigger in enumerate(self.book.triggers):
            path: Path = ("triggers", index)
            if trigger.id in seen:
                add("duplicate_trigger", (*path, "id"), name=trigger.id)
            seen.add(trigger.id)
            self.see.condition(trigger.where, (*path, "where"), Scope())
            if trigger.hold > self.book.deadline:
                add("hold_beyond_deadline", (*path, "for"))
            if trigger.cron is not None:
                self._cron(trigger, trigger.cron, path)
            if trigger.throttle is not None:
                self._throttle(trigger, trigger.throttle, path)

    def _cron(self, trigger: Trigger, line: str, path: Path) -> None:
        try:
            cron = Cron.parse(line)
        except ValueError as error:
            self.report.add("bad_cron", (*path, "cron"), reason=str(error))
            return
        if not _ever(cron):
            self.report.add("cron_never", (*path, "cron"), line=line)

    def _throttle(self, trigger: Trigger, throttle: Throttle, path: Path) -> None:
        where = (*path, "throttle")
        self.see.expression(throttle.by, (*where, "by"), Scope())
        if trigger.manual is not None or trigger.cron is not None:
            self.report.add("throttle_pointless", where)
        elif throttle.once_within is not None and throttle.once_within < trigger.hold:
            self.report.add("throttle_beyond_hold", where)

    # overlap, leaving

    def _concurrency(self) -> None:
        rule, add = self.book.concurrency, self.report.add
        self.see.condition(rule.key, ("concurrency", "key"), Scope())
        if rule.mode in ("queued", "parallel") and rule.max == 1:
            add("concurrency_one", ("concurrency", "mode"), mode=rule.mode)
        if rule.mode == "restart" and "on_conflict" in rule.model_fields_set:
            add("concurrency_conflict", ("concurrency", "on_conflict"))
        book = self.book
        if "stale_after" in book.model_fields_set and book.stale_after > book.deadline:
            add("stale_beyond_deadline", ("stale_after",))

    def _leaving(self) -> None:
        alarms = [trigger for trigger in self.book.triggers if trigger.alarm]
        seen: set[tuple[str, str | None]] = set()
        for index, leave in enumerate(self.book.leave_when):
            path: Path = ("leave_when", index)
            if leave.after_step is not None and leave.after_step not in self.see.steps:
                self.report.unknown(
                    "unknown_step", leave.after_step, self.see.steps, (*path, "after_step")
                )
            if not alarms and self.book.triggers:
                self.report.add("alarm_without_trigger", path)
            key = (leave.alarm, leave.after_step)
            if key in seen or (leave.alarm, None) in seen:
                self.report.add("leave_duplicate", path, name=leave.alarm)
            seen.add(key)
            starts = {trigger.transition for trigger in alarms}
            if leave.after_step is None and leave.alarm in starts:
                self.report.add("leave_not_raised", path, transition=leave.alarm)

    # inputs

    def _input(self, name: str, given: Input) -> None:
        path, add, bounds = ("inputs", name), self.report.add, given.tunable
        if given.type == "choice" and not given.options:
            add("choice_without_options", path, name=name)
            return
        if given.default is None:
            site = self.report.plant.inputs if self.report.plant else {}
            if self.book.triggers and name not in site.get(self.book.playbook, {}):
                add("default_missing", path, name=name)
        elif given.type == "choice" and given.default not in given.options:
            add("default_not_option", (*path, "default"), value=given.default)
        elif faults_of(self.book, {name: given.default}):
            add("bad_input_value", (*path, "default"), what="default", what_zh="默认值",
                value=given.default, kind=given.type)  # fmt: skip
        if bounds is None:
            return
        if given.type not in ("number", "integer", "duration"):
            add("tunable_kind", (*path, "tunable"), kind=given.type)
            return
        low, high = _number(bounds.min, given.type), _number(bounds.max, given.type)
        for what, value, number in (("min", bounds.min, low), ("max", bounds.max, high)):
            if number is None:
                add("bad_input_value", (*path, "tunable", what), what=what, what_zh=what,
                    value=value, kind=given.type)  # fmt: skip
        if low is None or high is None:
            return
        default = _number(given.default, given.type)
        if low > high:
            add("bounds_reversed", (*path, "tunable"), low=bounds.min, high=bounds.max)
        elif default is not None and not low <= default <= high:
            add("default_outside_bounds", (*path, "default"), value=given.default, low=bounds.min,
                high=bounds.max)  # fmt: skip

    def _secrets(self, node: Any, path: Path) -> None:
        if isinstance(node, dict | list):
            pairs = node.items() if isinstance(node, dict) else enumerate(node)
            for key, value in pairs:
                self._secrets(value, (*path, key))
        elif isinstance(node, str):
            what = next((name for name, pattern in _SECRETS if pattern.search(node)), "")
            if what:
                self.report.add("secret_in_text", path, what=what)

    def _rows(self) -> None:
        worst = Rows(self.book, self.report.books).whole()
        if worst > MOST_ROWS:
            self.report.add("too_many_rows", ("steps",), worst=worst, most=MOST_ROWS)

    def _budget(self) -> None:
        budget, add = self.book.budget, self.report.add
        if not budget.model_fields_set:
            return
        found = explain(self.book, self.report.books, self.report.plant)
        checks = (
            ("commands", found.worst_case_commands, budget.commands),
            ("duration", found.worst_case_ms, budget.duration),
            ("people", len(found.tells), budget.people),
        )
        zh, en = _unread(self.report)
        for what, worst, most in checks:
            if most is not None and worst > most:
                add(f"budget_{what}", ("budget", what), worst=worst, most=most, calls=en,
                    calls_zh=zh)  # fmt: skip

    def unused(self) -> None:
        """What nothing uses: told once all else is right, since a mistake hides a use."""
        book, add = self.book, self.report.add
        commands = [step.command for step in book.all_steps()]
        commands += [step.compensate.command for step in book.all_steps() if step.compensate]
        used = {command.device for command in commands if command is not None}
        for name in book.devices:
            # A device may be bound for the sake of its tags alone.
            if name not in used and not self.see.devices:
                add("unused_device", ("devices", name), name=name)
        specs = [step.http or step.webhook for step in book.all_steps()]
        undo = [step.compensate for step in book.all_steps() if step.compensate]
        specs += [each.http or each.webhook for each in undo]
        named = {spec.endpoint for spec in specs if spec is not None}
        for name in book.endpoints:
            if name not in named:
                add("unused_endpoint", ("endpoints", name), name=name)
        for name in book.inputs:
            if name not in self.see.inputs:
                add("unused_input", ("inputs", name), name=name)


def _unread(report: Report) -> tuple[str, str]:
    """What a budget's mend adds where a called playbook is not here: it is counted at its worst."""
    called = {step.call.playbook for step in report.book.all_steps() if step.call}
    missing = ", ".join(sorted(called - set(report.books or {}) - {report.book.playbook}))
    if not missing:
        return "", ""
    return (
        f"；先用 --with 给出 {missing}：没有它就按最长时间计",
        f"; first give {missing} by --with: it is counted at its longest without it",
    )


def _number(value: Any, kind: str) -> float | None:
    if kind == "duration":
        try:
            return float(parse_duration(value))
        except ValueError:
            return None
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if number else None


def _ever(cron: Cron) -> bool:
    """Whether any day of four years is one of the line's."""
    if not cron.any_weekday or cron.any_day:
        return True
    short: set[int] = {4, 6, 9, 11}
    return any(
        day <= (29 if month == 2 else 30 if month in short else 31)
        for month in cron.months for day in cron.days
    )  # fmt: skip
