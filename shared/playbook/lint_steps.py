"""Checks of single steps: what each verb needs, whom it may name, how long it may take.

Called by the linter for each step where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable

from shared.playbook.lint_expressions import Expressions
from shared.playbook.lint_report import Path, Report
from shared.playbook.lint_scopes import Place, Scope, asked_of
from shared.playbook.model import CommandSpec, Compensate, Step
from shared.playbook.verbs import AskSpec, Http, Webhook
from shared.playbook.worst import Worst

UNDOABLE = frozenset({"command", "http", "webhook", "emit", "call", "set_incident"})
TRIED = frozenset({"command", "http", "webhook", "notify"})
WAITS = frozenset({"ask", "wait_until"})
EXPIRES_LONG = 300_000
WORDS = frozenset(
    {"timeout", "connect", "interlock", "refused", "expired", "verify_failed", "edge_unreachable",
     "webhook_failed", "failed"}
)  # fmt: skip


class Steps:
    """Checks steps one by one."""

    def __init__(self, report: Report, expressions: Expressions, asks: frozenset[str]) -> None:
        self.report, self.see, self.asks = report, expressions, asks
        self.worst = Worst(report.book, report.books)

    def check(self, place: Place) -> None:
        """One step with all that is written in it."""
        step, path, scope = place.step, place.path, place.scope
        self.see.condition(step.when, (*path, "if"), place.before)
        self.see.duration(step.timeout, (*path, "timeout"), scope)
        self._times(step, path)
        self._pointless(step, path)
        match step.verb:
            case "notify" if step.notify is not None:
                self.see.words(step.notify.message, (*path, "notify", "message"), scope)
                self.people(step.notify.to, (*path, "notify", "to"), scope)
            case "http" if step.http is not None:
                self.http(step.http, (*path, "http"), scope)
            case "webhook" if step.webhook is not None:
                self.webhook(step.webhook, (*path, "webhook"), scope)
            case "command" if step.command is not None:
                self._command(step, step.command, path, scope)
                if step.command.approval is not None and place.part != "offline":
                    self._approval(step.command.approval, (*path, "command", "approval"), scope)
            case "ask" if step.ask is not None:
                self._ask(step, step.ask, path, scope)
            case _:
                self._others(step, path, place)
        if step.compensate is not None:
            own = Scope(
                scope.visited | {step.id}, scope.full | {step.id}, scope.maybe, scope.guarded,
                scope.item, scope.index, scope.error,
            )  # fmt: skip
            self._compensate(step.compensate, step.id, (*path, "compensate"), own)

    def _others(self, step: Step, path: Path, place: Place) -> None:
        see, scope = self.see, place.scope
        if step.log is not None:
            see.template(step.log, (*path, "log"), scope)
        elif step.set is not None:
            see.data(step.set, (*path, "set"), scope)
        elif step.set_incident is not None:
            see.data(step.set_incident, (*path, "set_incident"), scope)
        elif step.emit is not None:
            see.data(step.emit.data, (*path, "emit", "data"), scope)
        elif step.wait is not None:
            see.duration(step.wait, (*path, "wait"), scope)
        elif step.wait_until is not None:
            see.condition(step.wait_until.condition, (*path, "wait_until", "condition"), scope)
            see.duration(step.wait_until.within, (*path, "wait_until", "within"), scope)
        elif step.for_each is not None:
            see.expression(step.for_each.items, (*path, "for_each", "items"), scope)
        elif step.repeat is not None:
            see.condition(step.repeat.until, (*path, "repeat", "until"), place.end)
            see.duration(step.repeat.pause, (*path, "repeat", "pause"), scope)
        elif step.try_ is not None:
            for index, handler in enumerate(step.try_.catch):
                see.condition(handler.when, (*path, "try", "catch", index, "when"), place.end)
        elif step.call is not None:
            see.data(step.call.inputs, (*path, "call", "inputs"), scope, strict=True)
        elif step.switch is not None:
            self._switch(step, path, scope)
        else:
            self._reason(step, path, scope)

    def _switch(self, step: Step, path: Path, scope: Scope) -> None:
        for index, arm in enumerate(step.switch or []):
            self.see.condition(arm.when, (*path, "switch", index, "when"), scope)
            scope = scope.guard(asked_of(arm.when))

    def _reason(self, step: Step, path: Path, scope: Scope) -> None:
        for verb in ("stop", "fail", "compensate_all"):
            spec = step.spec(verb)
            if spec is not None:
                self.see.template(spec.reason, (*path, verb, "reason"), scope)

    # what does nothing

    def _pointless(self, step: Step, path: Path) -> None:
        add, verb = self.report.add, step.verb
        if step.retry is not None and verb not in TRIED:
            add("retry_pointless", (*path, "retry"), name=step.id, verb=verb)
        for index, word in enumerate(step.retry.retry_on if step.retry else []):
            status = len(word) == 3 and word[0].isdigit() and (word[1:] == "xx" or word.isdigit())
            if word not in WORDS and not status and not word.startswith("http_"):
                self.report.unknown(
                    "unknown_retry_word", word, WORDS, (*path, "retry", "retry_on", index)
                )
        if step.compensate is not None and verb not in UNDOABLE:
            add("compensate_pointless", (*path, "compensate"), verb=verb)
        escalates = step.ask is not None and step.on_timeout == "escalate"
        if (step.escalate or step.on_timeout == "escalate") and not escalates:
            place = "escalate" if step.escalate else "on_timeout"
            add("escalate_pointless", (*path, place))
        elif "on_timeout" in step.model_fields_set and verb not in WAITS and step.timeout is None:
            add("timeout_pointless", (*path, "on_timeout"), verb=verb)

    # times

    def _times(self, step: Step, path: Path) -> None:
        add, deadline, longest = self.report.add, self.report.book.deadline, self.worst.longest
        limit = None if step.timeout is None else longest(step.timeout)
        if isinstance(step.timeout, int) and step.timeout > deadline:
            add("timeout_beyond_deadline", (*path, "timeout"), name=step.id)
        waits = step.ask or step.wait_until
        within = waits.within if waits is not None else None
        if within is not None:
            where = (*path, step.verb, "within")
            known = not isinstance(within, str) or within.startswith("${inputs.")
            ms = longest(within)
            if known and ms > deadline:
                add("wait_beyond_deadline", where, name=step.id, ms=ms, deadline=deadline)
            elif limit is not None and known and ms > limit:
                add("wait_beyond_timeout", where, name=step.id)
            if step.wait_until is not None and step.wait_until.hold and step.wait_until.hold >= ms:
                add("hold_beyond_within", (*path, "wait_until", "for"), name=step.id)
        if step.wait is not None and longest(step.wait) > deadline:
            add("wait_beyond_deadline", (*path, "wait"), name=step.id, ms=longest(step.wait),
                deadline=deadline)  # fmt: skip
        schedule = step.retry.schedule if step.retry is not None else []
        if step.verb in ("command", "http") and schedule[-1:] > [deadline]:
            add("retry_beyond_deadline", (*path, "retry"), name=step.id)

    # verbs

    def http(self, spec: Http, path: Path, scope: Scope) -> None:
        """A request."""
        self._endpoint(spec.endpoint, "http", (*path, "endpoint"))
        self.see.template(spec.path, (*path, "path"), scope)
        if spec.body is not None:
            self.see.data(spec.body, (*path, "body"), scope, strict=True)
            if spec.method in ("GET", "DELETE"):
                self.report.add("body_with_get", (*path, "body"), method=spec.method)

    def webhook(self, spec: Webhook, path: Path, scope: Scope) -> None:
        """A message to a linked system."""
        self._endpoint(spec.endpoint, "webhook", (*path, "endpoint"))
        self.see.data(spec.data, (*path, "data"), scope)

    def _endpoint(self, name: str, verb: str, path: Path) -> None:
        endpoints = self.report.book.endpoints
        if name not in endpoints:
            self.report.unknown("unknown_endpoint", name, endpoints, path)
        elif endpoints[name].get("type") != verb:
            is_a = endpoints[name].get("type", "")
            self.report.add("endpoint_kind", path, name=name, is_a=is_a, verb=verb)

    def _command(self, step: Step, spec: CommandSpec, path: Path, scope: Scope) -> None:
        where = (*path, "command")
        self.command(spec, where, scope)
        add, deadline = self.report.add, self.report.book.deadline
        if spec.verify is None:
            add("unverified_command", where, name=step.id)
        if spec.expires > deadline:
            add("expires_beyond_deadline", (*where, "expires"), name=step.id)
        elif spec.expires > EXPIRES_LONG:
            add("expires_long", (*where, "expires"), name=step.id)
        if step.retry is not None and self.report.plant is None:
            add("retry_on_command", (*path, "retry"), name=step.id)

    def _approval(self, name: str, path: Path, scope: Scope) -> None:
        step = self.see.steps.get(name)
        if step is None:
            self.report.unknown("unknown_step", name, self.asks, path)
        elif step.ask is None:
            self.report.add("approval_not_ask", path, name=name)
        elif name not in scope.visited | scope.maybe:
            self.report.add("approval_not_before", path, name=name)

    def command(self, spec: CommandSpec, path: Path, scope: Scope) -> None:
        """What is evaluated of a command."""
        devices = self.report.book.devices
        if spec.device not in devices:
            self.report.unknown("unknown_device", spec.device, devices, (*path, "device"))
        self.see.data(spec.args, (*path, "args"), scope, strict=True)
        for index, text in enumerate(spec.require):
            self.see.condition(text, (*path, "require", index), scope)
        if spec.verify is not None:
            self.see.condition(spec.verify.until, (*path, "verify", "until"), scope)

    def _compensate(self, spec: Compensate, name: str, path: Path, scope: Scope) -> None:
        if spec.command is not None:
            self.command(spec.command, (*path, "command"), scope)
            if spec.command.verify is None:
                self.report.add("unverified_undo", (*path, "command"), name=name)
        if spec.http is not None:
            self.http(spec.http, (*path, "http"), scope)
        if spec.webhook is not None:
            self.webhook(spec.webhook, (*path, "webhook"), scope)

    # people

    def _ask(self, step: Step, spec: AskSpec, path: Path, scope: Scope) -> None:
        where, add = (*path, "ask"), self.report.add
        self.see.words(spec.question, (*where, "question"), scope)
        self.see.duration(spec.within, (*where, "within"), scope)
        self.people(spec.to, (*where, "to"), scope)
        for option, words in spec.labels.items():
            self.see.words(words, (*where, "labels", option), scope)
            if option not in spec.options:
                self.report.unknown("unknown_option", option, spec.options,
                                    (*where, "labels", option))  # fmt: skip
        for index, option in enumerate(spec.options):
            if option in spec.options[:index]:
                add("duplicate_option", (*where, "options", index), name=option)
        for index, text in enumerate(spec.deny):
            self.see.template(text, (*where, "deny", index), scope)
            if text in spec.to and len(spec.to) == 1:
                add("asks_nobody_else", (*where, "deny", index), name=text)
        if isinstance(spec.within, int):
            for index, after in enumerate(spec.reminders):
                if after >= spec.within:
                    add("reminder_late", (*where, "reminders", index), after=after,
                        within=spec.within)  # fmt: skip
        self._quorum(spec, where)
        self._ladder(step, spec, path, scope)

    def _quorum(self, spec: AskSpec, where: Path) -> None:
        plant, people = self.report.plant, set[str]()
        for one in spec.to:
            kind, _, name = one.partition(":")
            if kind == "user":
                people.add(name)
            elif kind == "role" and plant is not None and plant.people.get(name) is not None:
                people.update(plant.people[name])
            else:
                return  # nobody can count them here
        people -= {one.partition(":")[2] for one in spec.deny if one.startswith("user:")}
        if spec.quorum > max(1, len(people)):
            self.report.add("quorum_unreachable", (*where, "quorum"), quorum=spec.quorum,
                            people=len(people))  # fmt: skip

    def _ladder(self, step: Step, spec: AskSpec, path: Path, scope: Scope) -> None:
        add, rungs = self.report.add, step.escalate
        if "on_timeout" not in step.model_fields_set:
            add("ask_without_timeout", (*path, "ask"), name=step.id)
        if step.on_timeout == "escalate" and not any(rung.then for rung in rungs):
            add("ask_without_last_rung", (*path, "escalate" if rungs else "on_timeout"),
                name=step.id)  # fmt: skip
        for index, rung in enumerate(rungs):
            where = (*path, "escalate", index)
            self.people(rung.to, (*where, "to"), scope)
            if not rung.to and rung.then is None:
                add("rung_empty", where)
            if index and rungs[index - 1].then is not None:
                add("rung_after_last", where)
            elif index and rung.after <= rungs[index - 1].after:
                add("rungs_not_ascending", (*where, "after"), after=rung.after)
            if rung.then is not None and rung.then not in spec.options:
                self.report.unknown("unknown_option", rung.then, spec.options, (*where, "then"))

    def people(self, to: Iterable[str], path: Path, scope: Scope) -> None:
        """Whom it names."""
        plant = self.report.plant
        for index, person in enumerate(to):
            kind, _, name = person.partition(":")
            if kind not in ("role", "user", "team") or not name:
                self.report.add("bad_addressee", (*path, index), name=person)
            elif "${" in name:
                self.see.template(person, (*path, index), scope)
            elif kind == "role" and plant is not None and name not in plant.roles:
                self.report.unknown("unknown_role", name, plant.roles, (*path, index))
