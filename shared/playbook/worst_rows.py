"""The most rows that a run can write into its journal, from the text alone.

Used by the linter: every row is stored, and read again when a run is taken up by another engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shared.playbook import retries
from shared.playbook.model import Playbook, Step
from shared.playbook.worst import DEEPEST

MOST_ROWS = 5_000
"""More than that is a loop that nobody meant, or a programme that is no playbook."""


class Rows:
    """Counts one playbook, and those it calls."""

    def __init__(
        self, book: Playbook, books: Mapping[str, Playbook] | None = None, depth: int = 0
    ) -> None:
        self.book, self.books, self.depth = book, books or {}, depth

    def whole(self) -> int:
        """A whole run: its steps, the worst handler, `finally`, undoing, the verdict."""
        book = self.book
        handled = max((self.block(one.steps) for one in book.catch), default=0)
        undone = self._undone(book.steps)
        undone += max((self._undone(one.steps) for one in book.catch), default=0)
        return self.block(book.steps) + handled + self.block(book.finally_) + undone + 2

    def block(self, steps: Iterable[Step]) -> int:
        """Steps one after the other."""
        return sum(self.step(step) for step in steps)

    def step(self, step: Step) -> int:
        """One step with all that is inside it."""
        if step.command is not None or step.http is not None:
            return 2 * (retries.tries(step.retry) if step.retry is not None else 1)
        if step.ask is not None:
            return 2 + len(step.ask.reminders) + len(step.escalate)
        if step.switch is not None:
            return 1 + max((self.block(arm.steps) for arm in step.switch), default=0)
        if step.parallel is not None:
            return 2 + sum(self.block(branch.steps) for branch in step.parallel.branches)
        if step.for_each is not None:
            return 2 + step.for_each.max * self.block(step.for_each.steps)
        if step.repeat is not None:
            return 1 + step.repeat.max * (1 + self.block(step.repeat.steps))
        if step.try_ is not None:
            handled = max((self.block(one.steps) for one in step.try_.catch), default=0)
            return 3 + self.block(step.try_.steps) + handled
        if step.call is not None:
            called = self.books.get(step.call.playbook)
            if called is None or self.depth >= DEEPEST:
                return 2
            return 2 + Rows(called, self.books, self.depth + 1).whole()
        return 2 if step.wait is not None or step.wait_until is not None else 1

    def _undone(self, steps: Iterable[Step], most: int = 1) -> int:
        """Rows of undoing, as often as it may have been done; an arm too many does no harm."""
        found = 0
        for step in steps:
            if step.compensate is not None:
                tries = retries.tries(step.compensate.retry) if step.compensate.retry else 1
                found += most * (2 * tries + 1)
            inner = step.for_each or step.repeat
            often = most * inner.max if inner is not None else most
            for _, _, block in step.blocks():
                found += self._undone(block, often)
        return found
