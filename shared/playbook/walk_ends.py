"""Why a run ends before its steps do: a person ended it, its alarm has left, nobody goes on.

Called by the run as a whole. What has begun is brought to rest first, then undone if that is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from shared.playbook.journal import (
    CANCEL,
    ERROR,
    LEAD,
    LEAVE,
    RESUME,
    SETTLED,
    STALLED,
    Effect,
)
from shared.playbook.walk import Walk
from shared.playbook.walk_asks import resume
from shared.playbook.walk_past import Strand
from shared.playbook.walk_undo import order, undo, undoable

_STALLED = {
    "zh": "处置流程被暂停或等待确认，直到超过时限仍未继续，现已结束，请人工处理",
    "en": "A run stood suspended or unconfirmed until its deadline and ends: people must see to it",
}


class Ending(Walk):
    """A look that may end the run early."""

    stalled = False
    """It was held when its deadline came."""

    # people's words

    def ended_by_people(self) -> str | None:
        """A person has ended the run (empty while it comes to rest), or None: it goes on."""
        word = self.word()
        if word is None:
            self.held = "suspend" in self.context.control
            answer = resume(self)
            if answer != "abandon":
                self.held = self.held or not answer
                self.let_go()
                return None
            word = {"by": self.abandoned_by(), "reason": "abandoned"}
        if CANCEL not in self.journal:
            self.note(CANCEL, "done", word)
        self.close_resume()
        self.expired, self.hurried = False, True
        if not self.halt("cancelled", self.strands()):
            return ""
        if word.get("compensate") and not self.undo_everything():
            return ""
        return "cancelled"

    def let_go(self) -> None:
        """Past its deadline nothing holds a run: it ends for people to look at, who are told."""
        if not (self.held and self.overtime):
            return
        self.held, self.stalled = False, True
        self.close_resume("deadline")
        if STALLED in self.journal or ERROR in self.journal:
            return
        message = {"to": [LEAD], "channel": "urgent", "message": self.marked(_STALLED)}
        self.next.effects.append(Effect("notify", STALLED, None, "done", message))

    def word(self) -> Mapping[str, Any] | None:
        """What the person said who ended the run."""
        pinned = self.journal.get(CANCEL)
        return pinned.data if pinned is not None else self.context.control.get("cancel")

    def abandoned_by(self) -> str:
        """Who gave the run up after an outage."""
        asked = self.context.resume_ask or {}
        path = f"{RESUME}/{asked.get('n')}"
        record = self.journal.get(path)
        told = record.data if record is not None and record.phase == "done" else None
        return str((told or self.context.answers.get(path, {})).get("by", ""))

    def close_resume(self, reason: str = "cancelled") -> None:
        """Nobody need say any more whether the run goes on."""
        for path, record in self.journal.items():
            if path.startswith(f"{RESUME}/") and record.phase == "intent":
                self.note(path, "skipped", {**record.data, "reason": reason})

    # leaving early

    def leaving(self) -> Mapping[str, Any] | None:
        """Why the run leaves: pinned once, and holding from then on."""
        pinned = self.journal.get(LEAVE)
        if pinned is not None:
            return pinned.data
        for leave in self.document.leave_when:
            if leave.alarm not in self.context.alarm_states:
                continue
            if leave.after_step is None or self.has_ended(leave.after_step):
                found = {"alarm": leave.alarm, "then": leave.then}
                self.note(LEAVE, "done", found)
                return found
        return None

    def has_ended(self, step: str) -> bool:
        """Whether a step of this name has ended."""
        return any(
            path.endswith(f"/{step}") and record.phase in (*SETTLED, "failed")
            for path, record in self.journal.items()
        )

    def leave(self, why: Mapping[str, Any]) -> str:
        """Bring the body to rest, undo if that is said, and give the verdict."""
        self.expired = False
        if not self.halt("left", self.strands()):
            return ""
        if why["then"] == "compensate" and not self.undo_everything():
            return ""
        return self.succeeded()

    def undo_everything(self) -> bool:
        """Undo what has been done, once all of it is in the journal."""
        if any(effect.kind != "settle" or effect.step for effect in self.next.effects):
            return False
        found = undoable(self)
        before = len(self.next.effects)
        return undo(self, found, order(found)) and len(self.next.effects) == before

    def strands(self) -> Iterator[Strand]:
        """What may be going on: the body, or the handler of its failure."""
        yield self.scope, self.document.steps, "/steps"
        pinned = self.journal.get(ERROR)
        index = pinned.data.get("catch") if pinned is not None else None
        if index is not None and pinned is not None:
            self.scope.error = error_of(pinned.data)
            yield self.scope, self.document.catch[int(index)].steps, f"/catch/{index}"

    def succeeded(self) -> str:
        """The verdict over a body that has come to its end."""
        success = self.document.outcome.success
        return "success" if success is None or self.see.truth(success) is True else "failure"


def error_of(data: Mapping[str, Any]) -> dict[str, Any]:
    """What handlers see of a pinned error."""
    return {key: data.get(key, "") for key in ("path", "kind", "reason")}
