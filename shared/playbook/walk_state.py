"""What one look at a run knows and asks for: scopes of expressions, effects, wakes, questions.

The lowest part of the interpreter's walk (`walk_past.py` and `walk.py` build on it). Pure.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.playbook.journal import Advance, Context, Effect, Phase, Record, RootsOverTags
from shared.playbook.model import Playbook, Step, Words
from shared.playbook.sight import Sight

DRILL = {"zh": "【演练】", "en": "DRILL: "}
"""Before everything that people are told by a run that is a drill."""


class Failed(Exception):
    """A step has failed: the nearest handler takes it."""

    def __init__(self, path: str, kind: str, reason: str = "", outcome: str = "") -> None:
        self.path, self.kind, self.reason, self.outcome = path, kind, reason, outcome

    @property
    def error(self) -> dict[str, Any]:
        """What handlers see as `error`."""
        return {"path": self.path, "kind": self.kind, "reason": self.reason}


class Stopped(Exception):
    """The run, or the called playbook, ends here on purpose; `whole`: the run, whatever called."""

    def __init__(self, outcome: str, about: Mapping[str, Any] | None = None) -> None:
        self.outcome, self.about = outcome, about or {}

    @property
    def whole(self) -> bool:
        """Something could not be undone: no caller goes on after that."""
        return bool(self.about)


class MismatchError(Exception):
    """The journal does not belong to this document."""

    def __init__(self, path: str) -> None:
        self.path = path


@dataclass(slots=True)
class Scope:
    """What the steps of one block see of each other; a called playbook has one of its own."""

    steps: dict[str, dict[str, Any]]
    inputs: Mapping[str, Any]
    book: str = ""
    depth: int = 0
    error: Mapping[str, Any] = field(default_factory=dict)
    outcome: str = ""
    item: Any = None
    index: int | None = None
    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was put here and not inherited."""

    def put(self, name: str, value: dict[str, Any]) -> None:
        """Remember how a step stands."""
        self.steps[name] = self.own[name] = value

    def fork(self) -> Scope:
        """A scope that sees this one and is not seen by it until joined."""
        return Scope(
            dict(self.steps), self.inputs, self.book, self.depth, self.error, self.outcome,
            self.item, self.index,
        )  # fmt: skip

    def round(self, index: int) -> Scope:
        """The same scope in a round of a loop: what it puts is put here."""
        return Scope(
            self.steps, self.inputs, self.book, self.depth, self.error, self.outcome, self.item,
            index, self.own,
        )  # fmt: skip

    def join(self, other: Scope) -> None:
        """Take over what a fork has found out."""
        for name, value in other.own.items():
            self.put(name, value)


class Seen:
    """The document, the journal and the moment, and what is asked for so far."""

    def __init__(
        self, document: Playbook, journal: Mapping[str, Record], context: Context, now: int
    ) -> None:
        self.document, self.journal, self.context, self.now = document, journal, context, now
        self.next = Advance()
        self.scope = Scope({}, context.inputs)
        self.undoable: dict[str, tuple[Step, Scope, Record]] = {}
        """What has been done and can be undone, by path."""

    @property
    def see(self) -> Sight:
        """What expressions see now."""
        scope = self.scope
        roots = {
            "alarm": self.context.alarm, "inputs": scope.inputs, "site": self.context.site,
            "run": {**self.context.run, "outcome": scope.outcome}, "steps": scope.steps,
            "error": scope.error, "item": scope.item, "index": scope.index,
        }  # fmt: skip
        return Sight(RootsOverTags(roots, self.context.tags))

    @contextlib.contextmanager
    def inside(self, scope: Scope) -> Iterator[Scope]:
        """Work in another scope for a while."""
        before, self.scope = self.scope, scope
        try:
            yield scope
        finally:
            self.scope = before

    def words(self, text: Words) -> dict[str, str]:
        """A text in both languages, filled in; in a drill it says so first."""
        return self.marked({"zh": self.see.render(text.zh), "en": self.see.render(text.en)})

    def marked(self, words: Mapping[str, str]) -> dict[str, str]:
        """What people are told; in a drill it says so first."""
        marks = DRILL if self.context.run.get("drill") is True else {}
        return {language: marks.get(language, "") + text for language, text in words.items()}

    # what is asked for next

    def wake(self, at: int) -> None:
        """Look again at this time at the latest."""
        self.next.wake_at = at if self.next.wake_at is None else min(self.next.wake_at, at)

    def note(self, path: str, phase: Phase, data: Mapping[str, Any]) -> None:
        """Journal something of the whole run."""
        self.next.effects.append(Effect("settle", path, None, phase, data))

    def pin(self, step: Step, path: str, data: Mapping[str, Any], attempt: int = 1) -> Record:
        """Journal what a wait or a block goes by from now on."""
        effect = Effect("await", path, step, "intent", data, attempt, self.scope.book)
        self.next.effects.append(effect)
        return Record("intent", self.now, data, attempt)

    def effect(
        self, kind: Any, step: Step, path: str, data: Mapping[str, Any], attempt: int = 1
    ) -> bool:
        """Ask for something to be done; the walk goes on once it is settled."""
        self.next.effects.append(Effect(kind, path, step, "intent", data, attempt, self.scope.book))
        return False

    def handed(self, kind: Any, step: Step, path: str, data: Mapping[str, Any]) -> bool:
        """Ask for something that the journal's own commit does: it is done with it."""
        self.next.effects.append(Effect(kind, path, step, "done", data, 1, self.scope.book))
        self.remember(step, path, Record("done", self.now, data))
        return True

    def remember(self, step: Step, path: str, record: Record) -> None:
        """Let expressions know how a step stands."""
        ok = record.phase in ("done", "reconciled")
        self.scope.put(step.id, {"ok": ok, "phase": record.phase, "met": ok, **record.data})
        if ok and step.compensate is not None:
            self.undoable[path] = (step, self.scope, record)
