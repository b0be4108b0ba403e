"""`call`: another released playbook's steps in this place, with inputs and handlers of its own.

Called by the walk. A `stop` inside ends the called playbook only; what it could not undo ends the
whole run.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from shared.playbook.journal import Record
from shared.playbook.model import Playbook, Step
from shared.playbook.walk import Walk
from shared.playbook.walk_blocks import Block, block, handler
from shared.playbook.walk_past import Past, Strand
from shared.playbook.walk_state import Failed, MismatchError, Scope, Stopped

DEEPEST = 3
"""How deep playbooks may call each other."""


def call(walk: Walk, step: Step, path: str, record: Record | None) -> bool:
    """Run a called playbook to its end."""
    spec = step.call
    assert spec is not None
    book = walk.context.books.get(spec.playbook)
    if walk.halting and record is not None and book is not None:
        return _halted(walk, step, path, record, book)
    begin: dict[str, Any] = {}
    if record is None:
        if walk.scope.depth >= DEEPEST:
            return walk.settle(step, path, "failed", {"kind": "call_depth"})
        if book is None:
            told = {"kind": "failed", "reason": f"unknown playbook {spec.playbook}"}
            return walk.settle(step, path, "failed", told)
        given = walk.see.data(spec.inputs)
        if given is None:
            return walk.settle(step, path, "failed", {"kind": "argument_unknown"})
        inputs = {name: one.default for name, one in book.inputs.items()} | given
        begin = {"inputs": inputs, "until": walk.now + book.deadline}
    if book is None:
        raise MismatchError(path)

    def body(found: Block) -> bool:
        return _Called(found, book, _scope(walk, step, found.data)).go_on()

    def late(found: Block) -> None:
        error = Failed(path, "timeout").error
        found.pin(ended="failure", caught=error, catch=None)

    return block(walk, step, path, record, begin, body, late)


def _halted(walk: Walk, step: Step, path: str, record: Record, book: Playbook) -> bool:
    """Bring a called playbook to rest; its `finally` runs all the same, without waiting."""
    found = Block(walk, step, path, dict(record.data), record.attempt, record.began)
    if "ended" not in found.data:
        if not walk.rest_all(found.strands):
            return False
        stopped = {"path": path, "kind": "stopped", "reason": walk.halting}
        found.pin(ended="failure", caught=found.data.get("caught", stopped))
    before = walk.halting, walk.hurried
    walk.halting, walk.hurried = "", True
    try:
        ended = _Called(found, book, _scope(walk, step, found.data)).at_last("failure")
    finally:
        walk.halting, walk.hurried = before
    if not ended:
        return False
    data = {**found.data, "reason": walk.halting, "halted": True}
    return walk.settle(step, path, "skipped", data, found.attempt)


def call_parts(walk: Past, step: Step, path: str, record: Record) -> Iterator[Strand]:
    """The called playbook's steps, the handler that took their failure, its `finally`."""
    book = walk.context.books.get(step.call.playbook) if step.call else None
    if book is None or "inputs" not in record.data:
        return
    scope = _scope(walk, step, record.data)
    yield scope, book.steps, f"{path}/call"
    caught = record.data.get("catch")
    if caught is not None:
        if int(caught) >= len(book.catch):
            raise MismatchError(path)
        steps = book.catch[int(caught)].steps
        yield replace(scope, error=record.data["caught"]), steps, f"{path}/call/catch/{caught}"
    if "ended" in record.data:
        told = replace(
            scope, outcome=str(record.data["ended"]), error=record.data.get("caught", {})
        )
        yield told, book.finally_, f"{path}/call/finally"


def _scope(walk: Past, step: Step, data: dict[str, Any] | Any) -> Scope:
    assert step.call is not None
    depth = walk.scope.depth + 1
    return Scope({}, data.get("inputs", {}), step.call.playbook, depth)


class _Called:
    """One look at a called playbook."""

    def __init__(self, found: Block, book: Playbook, scope: Scope) -> None:
        self.found, self.book, self.scope = found, book, scope
        self.walk, self.path = found.walk, f"{found.path}/call"

    def go_on(self) -> bool:
        data = self.found.data
        if "ended" in data:
            self._recall()
        else:
            ended = self._ending()
            if not ended:
                return False
            self.found.pin(ended=ended)
        ended = self.at_last(str(self.found.data["ended"]))
        if not ended:
            return False
        if ended == "success":
            return True
        caught = self.found.data.get("caught")
        ends = ended if ended == "needs_human" else ""
        if caught is None:
            raise Failed(self.found.path, "failed", ended, ends)
        raise Failed(caught["path"], caught["kind"], str(caught.get("reason", "")), ends)

    def _recall(self) -> None:
        with self.walk.inside(self.scope):
            self.walk.recall_all(self.book.steps, self.path)
            caught = self.found.data.get("catch")
            if caught is not None:
                steps = self.book.catch[int(caught)].steps
                self.walk.recall_all(steps, f"{self.path}/catch/{caught}")

    def _ending(self) -> str:
        """How the called playbook has ended; empty while it has not."""
        try:
            if "caught" not in self.found.data:
                return self._body()
            with self.walk.inside(self.scope):
                self.walk.recall_all(self.book.steps, self.path)
        except Failed as failure:
            place = None if self._late(failure) else self._handler(failure)
            self.found.pin(caught=failure.error, catch=place, ends=failure.outcome)
        except Stopped as stop:
            if stop.whole:
                raise
            return stop.outcome
        return self._handled()

    def _body(self) -> str:
        with self.walk.inside(self.scope):
            if not self.walk.sequence(self.book.steps, self.path):
                return ""
            success = self.book.outcome.success
            met = success is None or self.walk.see.truth(success) is True
        return "success" if met else "failure"

    def _late(self, failure: Failed) -> bool:
        return failure.kind == "deadline" and self.walk.expired

    def _handler(self, failure: Failed) -> int | None:
        with self.walk.inside(self.scope):
            return handler(self.walk, self.book.catch, failure)

    def _handled(self) -> str:
        place = self.found.data.get("catch")
        if place is None:
            return str(self.found.data.get("ends") or "failure")
        steps = self.book.catch[int(place)].steps
        with self.walk.inside(replace(self.scope, error=self.found.data["caught"])):
            try:
                ended = self.walk.sequence(steps, f"{self.path}/catch/{place}")
            except Failed as failure:
                return failure.outcome or "needs_human"
            except Stopped as stop:
                if stop.whole:
                    raise
                return stop.outcome
        return "failure" if ended else ""

    def at_last(self, ended: str) -> str:
        """Run the called playbook's `finally`, whatever the hour; empty while it goes on."""
        walk = self.walk
        expired, walk.expired = walk.expired, False
        error = self.found.data.get("caught", {})
        try:
            with walk.inside(replace(self.scope, outcome=ended, error=error)):
                if not walk.sequence(self.book.finally_, f"{self.path}/finally"):
                    return ""
        except (Failed, Stopped):
            return "needs_human"
        finally:
            walk.expired = expired
        return ended
