"""What a journal says of a document by itself: how steps stand, what happened inside them.

The middle part of the interpreter's walk: it begins nothing, asks for nothing, raises nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from shared.playbook import retries
from shared.playbook.journal import SETTLED, Context, Record
from shared.playbook.model import Playbook, Step
from shared.playbook.walk_state import Scope, Seen

State = Literal["idle", "open", "ended", "failed", "stopped"]
Strand = tuple[Scope, list[Step], str]
"""Steps that are walked in order, in which scope and below which path."""


class Past(Seen):
    """Looks back."""

    def __init__(
        self, document: Playbook, journal: Mapping[str, Record], context: Context, now: int,
        parts: Mapping[str, Parts],
    ) -> None:  # fmt: skip
        super().__init__(document, journal, context, now)
        self.inside_of = parts

    def parts(self, step: Step, path: str, record: Record) -> list[Strand]:
        """The blocks inside a begun step that may have records."""
        find = self.inside_of.get(step.verb)
        return list(find(self, step, path, record)) if find is not None else []

    def recall(self, step: Step, path: str, record: Record) -> None:
        """Remember a step that has ended, and what happened inside it."""
        for scope, steps, base in self.parts(step, path, record):
            with self.inside(scope):
                self.recall_all(steps, base)
            self.join(scope)
        if record.phase not in ("intent", "unknown"):
            self.remember(step, path, record)

    def recall_all(self, steps: list[Step], base: str) -> None:
        """Remember what has ended of some steps."""
        for step in steps:
            path = f"{base}/{step.id}"
            record = self.journal.get(path)
            if record is not None:
                self.recall(step, path, record)

    def join(self, scope: Scope) -> None:
        """Let the steps here see those of an inner block, but not those of a called playbook."""
        if scope.depth == self.scope.depth:
            self.scope.join(scope)

    def peek_all(self, steps: list[Step], base: str) -> State:
        """How some steps stand by the journal alone."""
        for place, step in enumerate(steps):
            state = self.peek(step, f"{base}/{step.id}")
            if state == "idle" and place:
                return "open"
            if state != "ended":
                return state
        return "ended"

    def peek(self, step: Step, path: str) -> State:
        """How one step stands by the journal alone."""
        record = self.journal.get(path)
        if record is None:
            return "idle"
        if record.phase == "failed":
            if self.next_try(step, path, record) is not None or asks_what_became(self, path, step):
                return "open"
            return "ended" if passes(step, record) else "failed"
        if record.phase not in SETTLED or record.data.get("halted"):
            return "open"
        if step.verb == "stop" and record.phase == "done":
            return "stopped"
        if step.verb == "switch" and record.phase == "done":
            arms = self.parts(step, path, record)
            for _, steps, base in arms:
                state = self.peek_all(steps, base)
                return "open" if state == "idle" else state
        return "ended"

    def next_try(self, step: Step, path: str, record: Record) -> int | None:
        """When a failed try is made again; None: it is not."""
        retry, kind = step.retry, str(record.data.get("kind", "failed"))
        if retry is None or step.verb not in ("command", "http") or record.data.get("final"):
            return None
        if record.attempt >= retries.tries(retry) or not retries.wanted(retry, kind):
            return None
        key = f"{self.context.run.get('id', '')}:{path}"
        return retries.next_at(retry, record.attempt, record.began, record.at, key)


def asks_what_became(walk: Past, path: str, step: Step) -> bool:
    """Whether a person is to say what became of a command, or has and the command is not told."""
    record = walk.journal.get(path)
    if step.command is None or step.command.on_unknown != "ask" or record is None:
        return False
    if record.phase != "failed" or record.data.get("kind") != "command_unknown":
        return False
    asked = walk.journal.get(f"{path}/unknown")
    if asked is None or asked.phase == "intent":
        return True
    return asked.data.get("answer") == "done"  # a kill between this answer and the settling


def passes(step: Step, record: Record) -> bool:
    """Whether the run goes on after a step's failure."""
    if step.on_error == "continue":
        return True
    timed_out = record.data.get("kind") == "timeout" and own(record.data)
    return timed_out and step.on_timeout == "continue"


def own(data: Mapping[str, Any]) -> bool:
    """Whether a block failed by itself, not by a step inside it."""
    return "error" not in data


Parts = Callable[[Past, Step, str, Record], Iterable[Strand]]
