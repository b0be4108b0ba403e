"""The run of a playbook, as a pure function of its document and its journal.

`advance` walks the tree, skips every path that the journal has settled, and returns what to do
next. Paths in the YAML, not call order, name the steps: a killed run resumes wherever it was, also
inside `parallel`. It reads no clock, sends nothing and stores nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from shared.playbook import fragment
from shared.playbook.ground import NotGroundError
from shared.playbook.journal import (
    ERROR,
    OUTCOME,
    POLL_MS,
    ROOTS,
    SETTLED,
    UNSURE,
    Advance,
    Context,
    Effect,
    Phase,
    Record,
    RootsOverTags,
)
from shared.playbook.model import Playbook, Step, Words
from shared.playbook.sight import Sight

__all__ = ["ROOTS", "SETTLED", "Advance", "Context", "Effect", "Phase", "Record", "advance"]


class _Failed(Exception):
    def __init__(self, path: str, kind: str) -> None:
        self.path, self.kind = path, kind


class _Ended(Exception):
    def __init__(self, outcome: Literal["failure", "needs_human"]) -> None:
        self.outcome: Literal["failure", "needs_human"] = outcome


class _Walk:
    def __init__(
        self, document: Playbook, journal: Mapping[str, Record], context: Context, now: int
    ) -> None:
        self.document, self.journal, self.context, self.now = document, journal, context, now
        self.next = Advance()
        self.steps: dict[str, dict[str, Any]] = {}
        self.error: dict[str, Any] = {}
        self.outcome = ""
        self.expired = now >= context.deadline_at > 0
        """Past the deadline nothing new begins; what has begun is still settled."""

    @property
    def see(self) -> Sight:
        """What expressions see now."""
        roots = {
            "alarm": self.context.alarm,
            "inputs": self.context.inputs,
            "site": self.context.site,
            "run": {**self.context.run, "outcome": self.outcome},
            "steps": self.steps,
            "error": self.error,
        }
        return Sight(RootsOverTags(roots, self.context.tags))

    def words(self, text: Words) -> dict[str, str]:
        return {"zh": self.see.render(text.zh), "en": self.see.render(text.en)}

    def sequence(self, steps: list[Step], base: str) -> bool:
        """Walk steps in order; True when all are settled."""
        return all(self.step(step, f"{base}/{step.id}") for step in steps)

    def step(self, step: Step, path: str) -> bool:
        record = self.journal.get(path)
        if record is None and self.expired:
            raise _Failed(path, "deadline")
        if record is None and step.when is not None:
            wanted = self.see.truth(step.when)
            if wanted is not True:
                reason = "condition_false" if wanted is False else "condition_unknown"
                return self.settle(step, path, "skipped", {"reason": reason})
        if record is not None:
            if record.phase in SETTLED:
                return self.settled(step, path, record)
            if record.phase == "failed":
                return self.failed(step, path, record)
        return getattr(self, f"do_{step.verb}")(step, path, record)

    def settled(self, step: Step, path: str, record: Record, fresh: bool = False) -> bool:
        self.remember(step, record.phase, record.data)
        if step.verb == "switch" and record.phase == "done":
            return self.arm(step, path, int(record.data["arm"]))
        if step.verb == "parallel" and record.phase == "done" and not fresh:
            self.branches(step, path)  # later steps may ask what happened inside
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
        return self.settled(step, path, record, fresh=True)

    def wake(self, at: int) -> None:
        self.next.wake_at = at if self.next.wake_at is None else min(self.next.wake_at, at)

    def effect(self, kind: Any, step: Step, path: str, data: Mapping[str, Any]) -> bool:
        self.next.effects.append(Effect(kind, path, step, "intent", data))
        return False

    def do_notify(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.notify
        assert spec is not None
        words = self.words(spec.message)
        return self.effect(
            "notify", step, path, {"to": list(spec.to), "channel": spec.channel, "message": words}
        )

    def do_webhook(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.webhook
        assert spec is not None
        if record is not None:  # handed to the outbox, whose delivery ends the wait
            told = self.context.answers.get(path)
            if told is None:
                return self.overdue(step, path)
            return self.settle(step, path, told["phase"], told["data"])
        schedule = step.retry.schedule if step.retry else [0]
        data = {
            "endpoint": spec.endpoint, "type": spec.type, "data": self.see.data(spec.data),
            "schedule": list(schedule), "detach": spec.detach,
        }  # fmt: skip
        return self.effect("webhook", step, path, data)

    def do_command(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.command
        assert spec is not None
        if record is not None:
            # intent or unknown: it may have happened; ask the edge, never send blindly.
            return self.effect("reconcile", step, path, record.data)
        if spec.approval is not None and "answer" not in self.steps.get(spec.approval, {}):
            return self.settle(step, path, "failed", {"kind": "not_approved"})
        see, args = self.see, self.see.data(spec.args)
        try:
            require = [see.grounded(text) for text in spec.require]
            verify = see.grounded(spec.verify.until) if spec.verify else ""
        except NotGroundError as error:
            return self.settle(
                step, path, "failed", {"kind": "argument_unknown", "reason": str(error)}
            )
        if args is None:
            return self.settle(step, path, "failed", {"kind": "argument_unknown"})
        data = {"args": args, "require": require, "verify": verify}
        return self.effect("command", step, path, data)

    def do_ask(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.ask
        assert spec is not None
        answer = self.context.answers.get(path)
        if answer is not None:  # also one that came before the wait was written
            return self.settle(step, path, "done", dict(answer))
        if record is None:
            within = self.see.duration(spec.within)
            words = self.words(spec.question)
            data = {"until": self.now + within, "question": words}
            self.next.effects.append(Effect("await", path, step, "intent", data))
            record = Record("intent", self.now, data)
        if self.expired:
            return self.overdue(step, path)
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
                words = self.words(question)
                data = {"to": list(rung.to), "channel": "call", "message": words}
                self.next.effects.append(Effect("notify", rung_path, step, "intent", data))
        return self.settle(step, path, "failed", {"kind": "timeout"})

    def do_wait(self, step: Step, path: str, record: Record | None) -> bool:
        assert step.wait is not None
        if record is None:
            until = self.now + self.see.duration(step.wait)
            self.next.effects.append(Effect("await", path, step, "intent", {"until": until}))
        else:
            until = int(record.data["until"])
        if self.now >= until:
            return self.settle(step, path, "done")
        self.wake(until)
        return self.overdue(step, path)

    def do_wait_until(self, step: Step, path: str, record: Record | None) -> bool:
        spec = step.wait_until
        assert spec is not None
        if record is None:
            until = self.now + self.see.duration(spec.within)
            self.next.effects.append(Effect("await", path, step, "intent", {"until": until}))
        else:
            until = int(record.data["until"])
        if self.see.truth(spec.condition) is True:
            return self.settle(step, path, "done")
        if self.now >= until:
            return self.settle(step, path, "failed", {"kind": "timeout"})
        self.wake(min(until, self.now + POLL_MS))
        return self.overdue(step, path)

    def overdue(self, step: Step, path: str) -> bool:
        """Go on waiting, but not past the run's deadline."""
        if self.expired:
            return self.settle(step, path, "failed", {"kind": "deadline"})
        return False

    def do_set(self, step: Step, path: str, record: Record | None) -> bool:
        return self.settle(step, path, "done", self.see.data(step.set) or {})

    def do_set_incident(self, step: Step, path: str, record: Record | None) -> bool:
        return self.settle(step, path, "done", self.see.data(step.set_incident) or {})

    def do_log(self, step: Step, path: str, record: Record | None) -> bool:
        return self.settle(step, path, "done", {"text": self.see.render(step.log or "")})

    def do_fail(self, step: Step, path: str, record: Record | None) -> bool:
        assert step.fail is not None
        return self.settle(step, path, "done", {"outcome": step.fail.outcome})

    def do_switch(self, step: Step, path: str, record: Record | None) -> bool:
        for index, arm in enumerate(step.switch or []):
            if arm.otherwise or (arm.when is not None and self.see.truth(arm.when) is True):
                return self.settle(step, path, "done", {"arm": index})
        return self.settle(step, path, "skipped", {"reason": "no_arm"})

    def arm(self, step: Step, path: str, index: int) -> bool:
        arms = step.switch or []
        return self.sequence(arms[index].steps, f"{path}/{index}")

    def do_parallel(self, step: Step, path: str, record: Record | None) -> bool:
        return self.settle(step, path, "done") if self.branches(step, path) else False

    def branches(self, step: Step, path: str) -> bool:
        """Walk every branch; one that fails is told only when the others have come to rest."""
        assert step.parallel is not None
        ended, failure = True, None
        for branch in step.parallel.branches:
            try:
                ended = self.sequence(branch.steps, f"{path}/{branch.id}") and ended
            except (_Failed, _Ended) as stop:
                failure = failure or stop
        if failure is not None and ended:
            raise failure
        return ended

    def run(self) -> Advance:
        pinned = self.journal.get(OUTCOME)
        status = self.verdict()
        if pinned is not None:
            # The verdict was given once: conditions on the plant must not change it afterwards.
            self.next = Advance(metrics=pinned.data["metrics"])
            self.outcome = pinned.data["status"]
            return self.finish(pinned.data["status"])
        if status is None:
            return self.pending()
        self.outcome = status
        self.next.metrics = self.measured()
        self.note(OUTCOME, "done", {"status": status, "metrics": self.next.metrics})
        return self.finish(status)

    def note(self, path: str, phase: Phase, data: Mapping[str, Any]) -> None:
        """Journal something of the whole run."""
        self.next.effects.append(Effect("settle", path, None, phase, data))

    def measured(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in self.document.outcome.metrics.items():
            figure = self.see.data(value)
            if isinstance(figure, int | float | str | bool):
                found[name] = figure
        return found

    def verdict(self) -> Literal["success", "failure", "needs_human"] | None:
        """How the run has ended; None while it has not."""
        try:
            if not self.body():
                return None
        except _Ended as end:
            return end.outcome
        success = self.document.outcome.success
        return "success" if success is None or self.see.truth(success) is True else "failure"

    def body(self) -> bool:
        pinned = self.journal.get(ERROR)
        if not self.adopted():
            return False
        try:
            ended = self.sequence(self.document.steps, "/steps")
            if pinned is None:
                return ended
        except _Failed as failure:
            self.error = {"path": failure.path, "kind": failure.kind}
        if pinned is not None:
            self.error = dict(pinned.data)
            self.next = Advance()
        else:
            self.note(ERROR, "failed", dict(self.error))
        self.expired = False  # handlers run whatever the hour
        return self.handle()

    def adopted(self) -> bool:
        """Take over what an edge did alone; False while it may still be doing it."""
        ended, until = fragment.seen(self.journal)
        for step in self.document.offline.steps if self.document.offline else []:
            self.remember(step, "skipped", {})  # where no edge acted, that is known too
        for step, record in fragment.settled(self.document, self.journal):
            self.remember(step, record.phase, record.data)
        if ended or self.now >= until:
            return True
        self.wake(until)
        return False

    def handle(self) -> bool:
        """Run the first handler that fits; always ends by raising `_Ended`."""
        for index, handler in enumerate(self.document.catch):
            if self.see.truth(handler.when) is True:
                try:
                    if not self.sequence(handler.steps, f"/catch/{index}"):
                        return False
                except _Failed:
                    raise _Ended("needs_human") from None
                raise _Ended("failure")
        raise _Ended("needs_human" if self.error["kind"] in UNSURE else "failure")

    def finish(self, outcome: Literal["success", "failure", "needs_human"]) -> Advance:
        self.expired = False
        try:
            if not self.sequence(self.document.finally_, "/finally"):
                return self.pending()
        except (_Failed, _Ended):
            outcome = "needs_human"
        self.next.status = outcome
        self.next.asking = None
        return self.next

    def pending(self) -> Advance:
        if self.context.deadline_at > self.now:
            self.wake(self.context.deadline_at)
        acting = any(e.kind not in ("settle", "await") for e in self.next.effects)
        self.next.status = "running" if acting else "waiting"
        return self.next


def advance(
    document: Playbook, journal: Mapping[str, Record], context: Context, now: int
) -> Advance:
    """What the run needs next; the same journal always gives the same answer."""
    return _Walk(document, journal, context, now).run()
