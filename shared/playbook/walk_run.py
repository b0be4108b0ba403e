"""The run as a whole: its body and handlers, why it ends, its verdict, what is done at last.

Called by `advance`. The verdict, the error, a leaving and a person's word are pinned in the
journal once: nothing that the plant does afterwards changes them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, cast

from shared.playbook import fragment
from shared.playbook.fits import stranger
from shared.playbook.journal import (
    CANCEL,
    ERROR,
    OUTCOME,
    UNSURE,
    Advance,
    Context,
    Ended,
    Record,
)
from shared.playbook.model import Playbook
from shared.playbook.walk import Verb
from shared.playbook.walk_blocks import handler
from shared.playbook.walk_ends import Ending, error_of
from shared.playbook.walk_past import Parts
from shared.playbook.walk_state import Failed, MismatchError, Stopped


class Run(Ending):
    """One look at a whole run."""

    def __init__(
        self, document: Playbook, journal: Mapping[str, Record], context: Context, now: int,
        verbs: Mapping[str, Verb], parts: Mapping[str, Parts],
    ) -> None:  # fmt: skip
        super().__init__(document, journal, context, now, verbs, parts)
        self.about: Mapping[str, Any] = {}
        """What could not be undone."""

    def look(self) -> Advance:
        """What the run needs next."""
        strange = stranger(self.document, self.context.books, self.journal)
        if strange is not None:
            return self.broken(strange)
        try:
            return self.going()
        except MismatchError as error:
            return self.broken(error.path)

    def going(self) -> Advance:
        """Go on where the journal ends."""
        if not self.adopted() and self.word() is None:
            return self.pending()
        pinned = self.journal.get(OUTCOME)
        if pinned is not None:
            # The verdict was given once: conditions on the plant must not change it afterwards.
            self.hurried = CANCEL in self.journal or "cancel" in self.context.control
            self.remembered()
            self.next.metrics = pinned.data.get("metrics", {})
            return self.finish(str(pinned.data["status"]))
        status = self.ending()
        if not status:
            return self.pending()
        self.scope.outcome = status
        self.next.metrics = self.measured()
        data = {"status": status, "metrics": self.next.metrics}
        self.note(OUTCOME, "done", data | ({"undo": dict(self.about)} if self.about else {}))
        return self.finish(status)

    def broken(self, path: str) -> Advance:
        """Stop hard and visibly: this journal is not one of this document."""
        self.next = Advance(status="needs_human")
        if ERROR not in self.journal:
            error = {"path": path, "kind": "journal_mismatch", "reason": ""}
            self.note(ERROR, "failed", error)
        if OUTCOME not in self.journal:
            self.note(OUTCOME, "done", {"status": "needs_human", "metrics": {}})
        return self.next

    def ending(self) -> str:
        """How the run has ended; empty while it has not."""
        try:
            ended = self.ended_by_people()
            if ended is not None:
                return ended
            if ERROR not in self.journal and (left := self.leaving()) is not None:
                return self.leave(left)
            return self.body()
        except Stopped as stop:
            self.about = stop.about
            return stop.outcome

    # the body and its handlers

    def remembered(self) -> None:
        """Remember the whole body: it is over."""
        for _, steps, base in self.strands():
            self.recall_all(steps, base)

    def body(self) -> str:
        """Walk the steps; after a failure, its handler."""
        pinned = self.journal.get(ERROR)
        if pinned is None:
            try:
                return self.succeeded() if self.sequence(self.document.steps, "/steps") else ""
            except Failed as failure:
                place = handler(self, self.document.catch, failure)
                ends = failure.outcome or ("needs_human" if self.stalled else "")
                data = {**failure.error, "catch": place, "ends": ends}
                self.note(ERROR, "failed", data)
        else:
            data = dict(pinned.data)
            self.recall_all(self.document.steps, "/steps")
        self.scope.error = error_of(data)
        self.expired = False  # handlers run whatever the hour
        return self.handled(data)

    def handled(self, data: Mapping[str, Any]) -> str:
        """Run the handler that was chosen; the verdict, or empty while it goes on."""
        place = data.get("catch")
        if place is None:
            unsure = "needs_human" if data["kind"] in UNSURE else "failure"
            return str(data.get("ends") or unsure)
        if int(place) >= len(self.document.catch):
            raise MismatchError(ERROR)
        steps = self.document.catch[int(place)].steps
        try:
            stalled = data["kind"] == "deadline" and data.get("ends")
            verdict = str(stalled or "failure")
            return verdict if self.sequence(steps, f"/catch/{place}") else ""
        except Failed as failure:
            return failure.outcome or "needs_human"

    def adopted(self) -> bool:
        """Take over what an edge did alone; False while it may still be doing it."""
        ended, until = fragment.seen(self.journal)
        for step in self.document.offline.steps if self.document.offline else []:
            # Where no edge acted, that is known too.
            self.remember(step, f"/offline/{step.id}", Record("skipped", 0))
        for step, record in fragment.settled(self.document, self.journal):
            self.remember(step, f"/offline/{step.id}", record)
        if ended or self.now >= until:
            return True
        self.wake(until)
        return False

    # the end

    def measured(self) -> dict[str, Any]:
        """The figures that the group learns from."""
        found: dict[str, Any] = {}
        for name, value in self.document.outcome.metrics.items():
            figure = self.see.data(value)
            if isinstance(figure, int | float | str | bool):
                found[name] = figure
        return found

    def finish(self, outcome: str) -> Advance:
        """Do what is done at last, however the run has ended."""
        self.expired = False
        suspended = "suspend" in self.context.control and not self.hurried
        self.held = suspended and not self.overtime
        self.scope = replace(self.scope, outcome=outcome)
        try:
            if not self.sequence(self.document.finally_, "/finally"):
                return self.pending()
        except (Failed, Stopped):
            outcome = "needs_human"
        self.next.status = cast(Ended, outcome)
        self.next.asks, self.next.watch, self.next.wake_at = [], frozenset(), None
        return self.next

    def pending(self) -> Advance:
        """The run goes on later."""
        if self.context.deadline_at > self.now:
            self.wake(self.context.deadline_at)
        if self.more:
            self.wake(self.now)
        acting = any(e.kind not in ("settle", "await") for e in self.next.effects)
        self.next.status = "running" if acting or self.more else "waiting"
        return self.next
