"""The walk over a playbook's document beside its journal, step by step: what is done next.

`run.py` makes a walk and asks it; the verbs are functions of `walk_*.py`, given in as a table.
It reads no clock, sends nothing and stores nothing: what it finds out is in `next`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from shared.playbook.journal import SETTLED, Context, Effect, Phase, Record
from shared.playbook.model import Playbook, Step
from shared.playbook.walk_past import Parts, Past, Strand, asks_what_became, own, passes
from shared.playbook.walk_state import Failed, Stopped

MOST_BEGUN = 500
"""So many steps are begun in one look: pure loops must not keep all other work waiting."""
Verb = Callable[["Walk", Step, str, Record | None], bool]


class Walk(Past):
    """One look at a run."""

    def __init__(
        self, document: Playbook, journal: Mapping[str, Record], context: Context, now: int,
        verbs: Mapping[str, Verb], parts: Mapping[str, Parts],
    ) -> None:  # fmt: skip
        super().__init__(document, journal, context, now, parts)
        self.verbs = verbs
        self.expired = now >= context.deadline_at > 0
        """Past the deadline nothing new begins; what has begun is still settled."""
        self.overtime = self.expired
        """Past the deadline, also while handlers run: nothing holds the run any more."""
        self.begun = 0
        """How many steps this look has begun."""
        self.more = False
        """There was more to begin than one look begins: the next one goes on."""
        self.held = False
        """Suspended, or asked whether to go on: nothing new begins, timers go on."""
        self.hurried = False
        """After a person ended the run: what is left is done without waiting."""
        self.halting = ""
        """Why what has begun is brought to rest; nothing new begins."""

    def settle(
        self, step: Step, path: str, phase: Phase, data: Mapping[str, Any] | None = None,
        attempt: int = 1,
    ) -> bool:  # fmt: skip
        """Journal a step's end and go on: it costs no waiting."""
        record = Record(phase, self.now, data or {}, attempt)
        self.next.effects.append(
            Effect("settle", path, step, phase, record.data, attempt, self.scope.book)
        )
        if self.halting:
            self.remember(step, path, record)
            return True
        if phase == "failed":
            return self.failed(step, path, record)
        self.remember(step, path, record)
        if step.verb == "stop" and phase == "done":
            raise Stopped(str(record.data.get("outcome", "success")))
        return True

    def sequence(self, steps: list[Step], base: str) -> bool:
        """Walk steps in order; True when all are settled."""
        return all(self.step(step, f"{base}/{step.id}") for step in steps)

    def step(self, step: Step, path: str) -> bool:
        """Walk one step; True when it is settled and the next may begin."""
        record = self.journal.get(path)
        if self.halting:
            return self.rest(step, path, record)
        if record is None:
            if self.expired:  # before `held`: what is held must not outlive its deadline
                raise Failed(path, "deadline")
            if self.held:
                return False
            if self.begun >= MOST_BEGUN:
                self.more = True
                return False
            self.begun += 1
            if step.when is not None and (wanted := self.see.truth(step.when)) is not True:
                reason = "condition_false" if wanted is False else "condition_unknown"
                return self.settle(step, path, "skipped", {"reason": reason})
        elif record.phase in SETTLED:
            return self.settled(step, path, record)
        elif record.phase == "failed":
            return self.after_failure(step, path, record)
        return self.verbs[step.verb](self, step, path, record)

    def settled(self, step: Step, path: str, record: Record) -> bool:
        """Go past a step that has ended."""
        self.recall(step, path, record)
        if record.data.get("halted"):
            return False  # its block was brought to rest: nothing after it begins
        if step.verb == "switch" and record.phase == "done":
            return self.verbs["switch"](self, step, path, record)
        if step.verb == "stop" and record.phase == "done":
            raise Stopped(str(record.data.get("outcome", "success")))
        return True

    def after_failure(self, step: Step, path: str, record: Record) -> bool:
        """Try again if the step says so, else go past it or raise."""
        due = self.next_try(step, path, record)
        if due is None:
            if asks_what_became(self, path, step):
                return self.verbs[step.verb](self, step, path, record)
            self.recall(step, path, record)
            return self.failed(step, path, record)
        until = self.until(step, record.began)
        if self.expired or (until is not None and self.now >= until):
            kind = "deadline" if self.expired else "timeout"
            data = {**record.data, "last": record.data.get("kind"), "kind": kind, "final": True}
            return self.settle(step, path, "failed", data, record.attempt + 1)
        if self.now < due:
            self.wake(due if until is None else min(due, until))
            return False
        return False if self.held else self.verbs[step.verb](self, step, path, record)

    def failed(self, step: Step, path: str, record: Record) -> bool:
        """Go past a step that has failed, if it says so; else raises Failed."""
        self.remember(step, path, record)
        data = record.data
        if passes(step, record):
            return True
        where = path if own(data) else str(data["error"]["path"])
        raise Failed(
            where, str(data.get("kind", "failed")), str(data.get("reason", "")),
            str(data.get("ends", "")),
        )  # fmt: skip

    def until(self, step: Step, began: int) -> int | None:
        """When a step's own `timeout` is over."""
        if step.timeout is None:
            return None
        longest = self.see.duration(step.timeout)
        return None if longest is None else began + longest

    def overdue(self, step: Step, path: str, record: Record) -> bool:
        """Go on waiting, but not past the run's deadline."""
        if not self.expired:
            return False
        data = {**record.data, "kind": "deadline"}
        return self.settle(step, path, "failed", data, record.attempt)

    # coming to rest

    def rest(self, step: Step, path: str, record: Record | None) -> bool:
        """Bring one step to rest: True once nothing of it goes on."""
        if record is None:
            return True
        going = record.phase in ("intent", "unknown")
        if not going and step.verb != "switch":
            self.recall(step, path, record)
            self.close_question(step, path)
            return True
        if step.verb == "call":  # its `finally` still runs
            return self.verbs["call"](self, step, path, record)
        if not self.rest_all(self.parts(step, path, record)):
            return False
        if not going:
            self.remember(step, path, record)
            return True
        if step.verb in ("command", "http", "compensate_all"):  # what has begun is settled first
            return self.verbs[step.verb](self, step, path, record)
        data = {**record.data, "reason": self.halting, "halted": True}
        return self.settle(step, path, "skipped", data, record.attempt)

    def close_question(self, step: Step, path: str) -> None:
        """Nobody need say any more what became of a command."""
        asked = self.journal.get(f"{path}/unknown")
        if asked is not None and asked.phase == "intent" and asks_what_became(self, path, step):
            self.note(f"{path}/unknown", "skipped", {**asked.data, "reason": self.halting})

    def rest_all(self, strands: Iterable[Strand]) -> bool:
        """Bring blocks to rest, each of them."""
        quiet = True
        for scope, steps, base in strands:
            with self.inside(scope):
                quiet = self.sequence(steps, base) and quiet
            self.join(scope)
        return quiet

    def halt(self, reason: str, strands: Iterable[Strand]) -> bool:
        """From here on nothing begins in these blocks; True once nothing in them goes on."""
        before, self.halting = self.halting, reason
        try:
            return self.rest_all(strands)
        finally:
            self.halting = before
