"""The run of a playbook, as a pure function of its document and its journal.

`advance` walks the tree, skips every path that the journal has settled, and returns what to do
next. Paths in the YAML, not call order, name the steps: a killed run resumes wherever it was, also
inside `parallel`. It reads no clock, sends nothing and stores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.expression import (
    MAX_CHARS_PLAYBOOK,
    Environment,
    Unknown,
    compile_data,
    compile_expression,
    compile_template,
    parse_duration,
)
from shared.playbook.model import Playbook, Step

Phase = Literal["intent", "done", "failed", "unknown", "reconciled", "skipped"]
SETTLED = ("done", "reconciled", "skipped")
ROOTS = frozenset({"alarm", "inputs", "steps", "run", "error", "site"})
POLL_MS = 500
"""How often a `wait_until` looks at the plant."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the journal says of one path: its newest phase."""

    phase: Phase
    at: int
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing to do: journal it and carry it out."""

    kind: Literal["settle", "notify", "webhook", "command", "reconcile", "await"]
    path: str
    step: Step | None
    phase: Phase = "done"
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Advance:
    """What a run needs next."""

    effects: list[Effect] = field(default_factory=list)
    wake_at: int | None = None
    status: Literal["running", "waiting", "success", "failure", "needs_human"] = "running"
    asking: tuple[str, Step] | None = None
    """The human task that the run waits for: (path, step)."""


@dataclass(frozen=True, slots=True)
class Context:
    """What expressions see, beside the journal."""

    alarm: Mapping[str, Any]
    inputs: Mapping[str, Any]
    site: Mapping[str, Any]
    run: Mapping[str, Any]
    tags: Environment
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """path -> {answer, by}: signals that have arrived."""
    deadline_at: int = 0


class _Failed(Exception):
    def __init__(self, path: str, kind: str) -> None:
        self.path, self.kind = path, kind


class _Ended(Exception):
    def __init__(self, outcome: Literal["failure", "needs_human"]) -> None:
        self.outcome = outcome




class _Walk:
    def __init__(
        self, document: Playbook, journal: Mapping[str, Record], context: Context, now: int
    ) -> None:
        self.document, self.journal, self.context, self.now = document, journal, context, now
        self.next = Advance()
        self.steps: dict[str, dict[str, Any]] = {}
        self.error: dict[str, Any] = {}

    # evaluation

    def env(self) -> Environment:
        roots = {
            "alarm": self.context.alarm,
            "inputs": self.context.inputs,
            "site": self.context.site,
            "run": self.context.run,
            "steps": self.steps,
            "error": self.error,
        }
        return _Roots(roots, self.context.tags)

    def truth(self, text: str) -> bool | None:
        """True, False, or None while it cannot be known."""
        expression = compile_expression(text, roots=ROOTS, max_chars=MAX_CHARS_PLAYBOOK)
        value = expression.evaluate(self.env())
        return value if isinstance(value, bool) else None

    def render(self, text: str) -> str:
        return compile_template(text, roots=ROOTS).render(self.env())

    def data(self, value: Any) -> Any:
        found = compile_data(value, roots=ROOTS).evaluate(self.env())
        return None if isinstance(found, Unknown) else found

    def duration(self, value: int | str) -> int:
        if isinstance(value, int):
            return value
        found = self.data(value)
        if isinstance(found, str):
            return round(parse_duration(found) * 1000)
        return round(float(found or 0) * 1000)

    # walking

    def sequence(self, steps: list[Step], base: str) -> bool:
        """Walk steps in order; True when all are settled."""
        return all(self.step(step, f"{base}/{step.id}") for step in steps)

    def step(self, step: Step, path: str) -> bool:
        record = self.journal.get(path)
        if record is None and step.when is not None:
            wanted = self.truth(step.when)
            if wanted is not True:
                reason = "condition_false" if wanted is False else "condition_unknown"
                return self.settle(step, path, "skipped", {"reason": reason})
        if record is not None:
            if record.phase in SETTLED:
                return self.settled(step, path, record)
            if record.phase == "failed":
                return self.failed(step, path, record)
        return getattr(self, f"do_{step.verb}")(step, path, record)

    def settled(self, step: Step, path: str, record: Record) -> bool:
        self.remember(step, record.phase, record.data)
        if step.verb == "switch" and record.phase == "done":
            return self.arm(step, path, int(record.data["arm"]))
        if step.verb == "parallel" and record.phase == "done":
            return True
        if step.verb == "fail" and step.fail is not None and record.phase == "done":
            raise _Ended(step.fail.outcome)
        return True

    def failed(self, step: Step, path: str, record: Record) -> bool:
        self.remember(step, "failed", record.data)
        timed_out = record.data.get("kind") == "timeout"
        goes_on = step.on_timeout if timed_out else step.on_error
        if goes_on == "continue":
            return True
        raise _Failed(path, str(record.data.get("kind", "failed")))

    def remember(self, step: Step, phase: str, data: Mapping[str, Any]) -> None:
        ok = phase in ("done", "reconciled")
        self.steps[step.id] = {"ok": ok, "phase": phase, "met": ok, **data}

    def settle(
        self, step: Step, path: str, phase: Phase, data: Mapping[str, Any] | None = None
    ) -> bool:
        """Journal a pure step and go on: it costs no waiting."""
        record = Record(phase, self.now, data or {})
        self.next.effects.append(Effect("settle", path, step, phase, record.data))
        if phase == "failed":
            return self.failed(step, path, record)
        return self.settled(step, path, record)

    def wake(self, at: int) -> None:
        self.next.wake_at = at if self.next.wake_at is None else min(self.next.wake_at, at)

    def effect(self, kind: Any, step: Step, path: str, data: Mapping[str, Any]) -> bool:
        self.next.effects.append(Effect(kind, path, step, "intent", data))
        return False

    # verbs

    def do_notify(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.notify
        assert spec is not None
        words = {"zh": self.render(spec.message.zh), "en": self.render(spec.message.en)}
        return self.effect(
            "notify", step, path, {"to": list(spec.to), "channel": spec.channel, "message": words}
        )

    def do_webhook(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.webhook
        assert spec is not None
        if record is not None:  # handed to the outbox, whose delivery settles this path
            return False
        schedule = step.retry.schedule if step.retry else [0]
        data = {
            "endpoint": spec.endpoint, "type": spec.type, "data": self.data(spec.data),
            "schedule": list(schedule), "detach": spec.detach,
        }  # fmt: skip
        return self.effect("webhook", step, path, data)

    def do_command(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.command
        assert spec is not None
        if record is not None:
            # intent or unknown: it may have happened; ask the edge, never send blindly.
            return self.effect("reconcile", step, path, record.data)
        args = self.data(spec.args)
        if args is None:
            return self.settle(step, path, "failed", {"kind": "argument_unknown"})
        return self.effect("command", step, path, {"args": args})

    def do_ask(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.ask
        assert spec is not None
        answer = self.context.answers.get(path)
        if answer is not None:  # also one that came before the wait was written
            return self.settle(step, path, "done", dict(answer))
        if record is None:
            within = self.duration(spec.within)
            words = {"zh": self.render(spec.question.zh), "en": self.render(spec.question.en)}
            data = {"until": self.now + within, "question": words}
            self.next.effects.append(Effect("await", path, step, "intent", data))
            record = Record("intent", self.now, data)
        self.next.asking = self.next.asking or (path, step)
        until = int(record.data["until"])
        if self.now < until:
            self.wake(until)
            return False
        if step.on_timeout != "escalate":
            return self.settle(step, path, "failed", {"kind": "timeout"})
        return self.ladder(step, path, until)

    def ladder(self, step: Step, path: str, since: int) -> bool:
        """Climb the rungs that are due; the last one may decide."""
        for index, rung in enumerate(step.escalate):
            due = since + rung.after
            if self.now < due:
                self.wake(due)
                return False
            if rung.then is not None:
                return self.settle(step, path, "done", {"answer": rung.then, "by": "escalation"})
            rung_path = f"{path}/escalate/{index}"
            if rung_path not in self.journal:
                assert step.ask is not None
                question = step.ask.question
                words = {"zh": self.render(question.zh), "en": self.render(question.en)}
                data = {"to": list(rung.to), "channel": "call", "message": words}
                self.next.effects.append(Effect("notify", rung_path, step, "intent", data))
        return self.settle(step, path, "failed", {"kind": "timeout"})

    def do_wait(self, step: Step, path: str, record: Record | None) -> bool:
        assert step.wait is not None
        if record is None:
            until = self.now + self.duration(step.wait)
            self.next.effects.append(Effect("await", path, step, "intent", {"until": until}))
        else:
            until = int(record.data["until"])
        if self.now >= until:
            return self.settle(step, path, "done")
        self.wake(until)
        return False

    def do_wait_until(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.wait_until
        assert spec is not None
        if record is None:
            until = self.now + self.duration(spec.within)
            self.next.effects.append(Effect("await", path, step, "intent", {"until": until}))
        else:
            until = int(record.data["until"])
        if self.truth(spec.condition) is True:
            return self.settle(step, path, "done")
        if self.now >= until:
            return self.settle(step, path, "failed", {"kind": "timeout"})
        self.wake(min(until, self.now + POLL_MS))
        return False

    def do_set(self, step: Step, path: str, record: Record | None) -> bool:
        return self.settle(step, path, "done", self.data(step.set) or {})

    def do_set_incident(self, step: Step, path: str, record: Record | None) -> bool:
        return self.settle(step, path, "done", self.data(step.set_incident) or {})

    def do_log(self, step: Step, path: str, record: Record | None) -> bool:
        return self.settle(step, path, "done", {"text": self.render(step.log or "")})

    def do_fail(self, step: Step, path: str, record: Record | None) -> bool:
        assert step.fail is not None
        return self.settle(step, path, "done", {"outcome": step.fail.outcome})

    def do_switch(self, step: Step, path: str, record: Record | None) -> bool:
        for index, arm in enumerate(step.switch or []):
            if arm.otherwise or (arm.when is not None and self.truth(arm.when) is True):
                return self.settle(step, path, "done", {"arm": index})
        return self.settle(step, path, "skipped", {"reason": "no_arm"})

    def arm(self, step: Step, path: str, index: int) -> bool:
        arms = step.switch or []
        return self.sequence(arms[index].steps, f"{path}/{index}")

    def do_parallel(self, step: Step, path: str, record: Record | None) -> bool:
        assert step.parallel is not None
        ended = [
            self.sequence(branch.steps, f"{path}/{branch.id}") for branch in step.parallel.branches
        ]
        return self.settle(step, path, "done") if all(ended) else False

    # the whole

    def run(self) -> Advance:
        try:
            if not self.body():
                return self.pending()
        except _Ended as end:
            return self.finish(end.outcome)
        success = self.document.outcome.success
        if success is None:
            return self.finish("success")
        return self.finish("success" if self.truth(success) is True else "failure")

    def body(self) -> bool:
        try:
            if self.now >= self.context.deadline_at > 0:
                raise _Failed("", "deadline")
            return self.sequence(self.document.steps, "/steps")
        except _Failed as failure:
            self.error = {"path": failure.path, "kind": failure.kind}
        for index, handler in enumerate(self.document.catch):
            if self.truth(handler.when) is True:
                try:
                    if not self.sequence(handler.steps, f"/catch/{index}"):
                        return False
                except _Failed:
                    raise _Ended("needs_human") from None
                raise _Ended("failure")
        raise _Ended("needs_human" if self.error["kind"] in UNSURE else "failure")

    def finish(self, outcome: Literal["success", "failure", "needs_human"]) -> Advance:
        try:
            if not self.sequence(self.document.finally_, "/finally"):
                return self.pending()
        except (_Failed, _Ended):
            outcome = "needs_human"
        self.next.status = outcome
        self.next.asking = None
        return self.next

    def pending(self) -> Advance:
        if self.context.deadline_at:
            self.wake(self.context.deadline_at)
        acting = any(e.kind not in ("settle", "await") for e in self.next.effects)
        self.next.status = "running" if acting else "waiting"
        return self.next


UNSURE = ("command_unknown", "interlock", "verify_failed")


class _Roots:
    """An environment of plain roots over the plant's tags."""

    def __init__(self, roots: Mapping[str, Any], tags: Environment) -> None:
        self._roots, self._tags = roots, tags

    def root(self, name: str) -> object:
        """A root, or Unknown."""
        found = self._roots.get(name)
        return Unknown("missing_root", {"name": name}) if found is None else found

    def tag(self, name: str) -> Any:
        """A tag of the plant."""
        return self._tags.tag(name)

    def window(self, function: str, tag: str, seconds: float) -> object:
        """A windowed figure of the plant."""
        return self._tags.window(function, tag, seconds)


def advance(
    document: Playbook, journal: Mapping[str, Record], context: Context, now: int
) -> Advance:
    """What the run needs next; the same journal always gives the same answer."""
    return _Walk(document, journal, context, now).run()
