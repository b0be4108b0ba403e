"""Webhooks of a rehearsal on their way: tried by their schedule, their answers told to the run.

The outbox outlives every kill; nothing is sent while the brain is down.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.playbook.journal import Effect
from shared.playbook.rehearsal.receivers import Receivers
from shared.playbook.rehearsal.told import Happened, Told

GONE = 410


@dataclass(slots=True)
class Letter:
    """One webhook."""

    effect: Effect
    at: int
    due: int
    tried: int = 0


@dataclass(slots=True)
class Post:
    """The outbox of one run."""

    receivers: Receivers
    told: Told
    begin: int
    answers: dict[str, dict[str, Any]]
    letters: list[Letter] = field(default_factory=list)

    def hand_over(self, effect: Effect, now: int) -> None:
        """Take a webhook over in the journal's own commit."""
        self.letters.append(Letter(effect, now, now))

    def next_at(self) -> int | None:
        """When the next try is made."""
        return min((letter.due for letter in self.letters), default=None)

    def deliver(self, now: int) -> bool:
        """Make the tries that are due; whether there were any."""
        due = [letter for letter in self.letters if letter.due <= now]
        for letter in due:
            self._try(letter, now)
        return bool(due)

    def _try(self, letter: Letter, now: int) -> None:
        effect, data = letter.effect, letter.effect.data
        letter.tried += 1
        mock = self.receivers.mock(effect.path.rsplit("/", 1)[-1], letter.tried)
        error = mock.outcome if mock.outcome in ("timeout", "connect") else ""
        status = 202 if mock.status is None else mock.status
        error = error or ("" if 200 <= status < 300 else f"answered {status}")
        self.told.happened.append(Happened(now - self.begin, "webhook", effect.path, {
            "endpoint": data["endpoint"], "type": data["type"], "try": letter.tried,
            "data": data.get("data"), "error": error,
        }))  # fmt: skip
        schedule: list[int] = list(data.get("schedule") or [0])
        if error and status != GONE and letter.tried < len(schedule):
            letter.due = max(letter.at + schedule[letter.tried], now)
            return
        self.letters.remove(letter)
        if not error:
            self.receivers.plant.put(mock.sets, now)
        if not data.get("detach"):
            why: Mapping[str, Any] = {"kind": "webhook_failed", "reason": error} if error else {}
            self.answers[effect.path] = {"phase": "failed" if error else "done", "data": why}
