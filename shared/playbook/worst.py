"""The longest that steps can take and the most commands that they can give, from the text alone.

Used by `explain.py` and the linter; a template counts with its input's upper bound. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.playbook import retries
from shared.playbook.model import Call, Playbook, Retry, Step
from shared.site.model import parse_duration

HTTP_MS = 20_000
"""The longest that one request to a linked system may take when its step says nothing."""
DEEPEST = 3
"""How deep calls are counted; the interpreter goes no deeper."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Time and commands."""

    ms: int = 0
    commands: int = 0

    def then(self, other: Cost) -> Cost:
        """One after the other."""
        return Cost(self.ms + other.ms, self.commands + other.commands)

    def times(self, most: int) -> Cost:
        """So often, one after the other."""
        return Cost(self.ms * most, self.commands * most)


def worse(costs: Iterable[Cost]) -> Cost:
    """Whichever of them comes: the longest and the most."""
    found = list(costs)
    return Cost(max((c.ms for c in found), default=0), max((c.commands for c in found), default=0))


class Worst:
    """Counts one playbook, and those it calls."""

    def __init__(
        self, book: Playbook, books: Mapping[str, Playbook] | None = None,
        given: Mapping[str, Any] | None = None, depth: int = 0,
    ) -> None:  # fmt: skip
        self.book, self.books, self.depth = book, books or {}, depth
        self.given = given or {}
        """Values of inputs that are known: of the site, or of the `call`."""

    def whole(self) -> Cost:
        """A whole run: its steps until the deadline, the worst handler, `finally`, undoing."""
        book = self.book
        body = self.block(book.steps)
        # Handlers and `finally` still run after the deadline has cut the steps.
        body = Cost(min(body.ms, book.deadline), body.commands)
        found = body.then(worse(self.block(handler.steps) for handler in book.catch))
        found = found.then(self.block(book.finally_))
        undone = any(leave.then == "compensate" for leave in book.leave_when)
        asked = any(step.compensate_all is not None for step in book.all_steps())
        if undone and not asked:
            found = found.then(self.undo())
        return found

    def undo(self) -> Cost:
        """Undoing everything that says how, as often as it may have been done."""
        handled = worse(self._undone(handler.steps) for handler in self.book.catch)
        return self._undone(self.book.steps).then(handled)

    def _undone(self, steps: Iterable[Step]) -> Cost:
        found = Cost()
        for step in steps:
            found = found.then(_back(step)).then(self._undone_inside(step))
        return found

    def _undone_inside(self, step: Step) -> Cost:
        """What is undone is undone one after the other, however it was done."""
        if step.switch is not None:
            return worse(self._undone(arm.steps) for arm in step.switch)
        if step.parallel is not None:
            branches = step.parallel.branches
            return self._undone(each for branch in branches for each in branch.steps)
        if step.for_each is not None:
            return self._undone(step.for_each.steps).times(step.for_each.max)
        if step.repeat is not None:
            return self._undone(step.repeat.steps).times(step.repeat.max)
        if step.try_ is not None:
            handled = worse(self._undone(handler.steps) for handler in step.try_.catch)
            return self._undone(step.try_.steps).then(handled)
        called = self.books.get(step.call.playbook) if step.call is not None else None
        if called is None or step.call is None or self.depth >= DEEPEST:
            return Cost()
        return Worst(called, self.books, step.call.inputs, self.depth + 1).undo()

    def block(self, steps: Iterable[Step]) -> Cost:
        """Steps one after the other."""
        found = Cost()
        for step in steps:
            found = found.then(self.step(step))
        return found

    def step(self, step: Step) -> Cost:
        """One step, its tries included."""
        found = self._inside(step)
        if step.timeout is not None:
            found = Cost(min(found.ms, self.longest(step.timeout)), found.commands)
        return found

    def _inside(self, step: Step) -> Cost:
        if step.command is not None:
            read = step.command.verify.within if step.command.verify else 0
            return _tried(Cost(step.command.expires + read, 1), step.retry)
        if step.http is not None:
            return _tried(Cost(HTTP_MS), step.retry)
        if step.webhook is not None:
            return Cost() if step.webhook.detach else _tried(Cost(HTTP_MS), step.retry)
        if step.compensate_all is not None:
            return self.undo()
        if step.call is not None:
            return self._call(step.call)
        return self._block_verbs(step) or Cost(self._waits(step))

    def _block_verbs(self, step: Step) -> Cost | None:
        if step.switch is not None:
            return worse(self.block(arm.steps) for arm in step.switch)
        if step.parallel is not None:
            found = [self.block(branch.steps) for branch in step.parallel.branches]
            return Cost(max(c.ms for c in found), sum(c.commands for c in found))
        if step.for_each is not None:
            one, most = self.block(step.for_each.steps), step.for_each.max
            return Cost(one.ms * -(-most // step.for_each.together), one.commands * most)
        if step.repeat is not None:
            one, most = self.block(step.repeat.steps), step.repeat.max
            pause = self.longest(step.repeat.pause)
            return Cost(one.ms * most + pause * (most - 1), one.commands * most)
        if step.try_ is not None:
            handled = worse(self.block(handler.steps) for handler in step.try_.catch)
            return self.block(step.try_.steps).then(handled)
        return None

    def _waits(self, step: Step) -> int:
        if step.ask is not None:
            ladder = max((rung.after for rung in step.escalate), default=0)
            return self.longest(step.ask.within) + ladder
        if step.wait_until is not None:
            return self.longest(step.wait_until.within)
        return self.longest(step.wait) if step.wait is not None else 0

    def _call(self, call: Call) -> Cost:
        book = self.books.get(call.playbook)
        if book is None or self.depth >= DEEPEST:
            return Cost(self.book.deadline)
        return Worst(book, self.books, call.inputs, self.depth + 1).whole()

    def longest(self, duration: int | str) -> int:
        """A duration; a template counts as its input's upper bound, else as the whole deadline."""
        if isinstance(duration, int):
            return duration
        name = duration.removeprefix("${").removesuffix("}").strip()
        given = self.book.inputs.get(name.removeprefix("inputs."))
        if given is None or not name.startswith("inputs."):
            return self.book.deadline
        known = self.given.get(name.removeprefix("inputs."), given.default)
        longest = given.tunable.max if given.tunable else known
        if isinstance(longest, int | float) and not isinstance(longest, bool):
            return round(longest * 1000)
        try:
            return parse_duration(longest)
        except ValueError:
            return self.book.deadline


def _back(step: Step) -> Cost:
    """Undoing one step once."""
    if step.compensate is None:
        return Cost()
    command, one = step.compensate.command, Cost(HTTP_MS)
    if command is not None:
        one = Cost(command.expires + (command.verify.within if command.verify else 0), 1)
    return _tried(one, step.compensate.retry)


def _tried(one: Cost, retry: Retry | None) -> Cost:
    """One try, as often as it may be made."""
    if retry is None:
        return one
    tries = retries.tries(retry)
    return Cost(one.ms * tries + _pauses(retry, tries), one.commands * tries)


def _pauses(retry: Retry, tries: int) -> int:
    if retry.schedule:
        return max(retry.schedule)
    plain = retry.model_copy(update={"jitter": 0.0})
    total = sum(retries.pause(plain, attempt, "") for attempt in range(1, tries))
    return round(total * (1 + retry.jitter))
