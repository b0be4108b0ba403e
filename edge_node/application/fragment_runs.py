"""One run of a playbook's offline part, as it is stored and as the interpreter sees it.

Used by `fragments`, which drives the runs. Pure; stores and sends nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge_node.application.actuation import Outcome
from edge_node.domain.alarm_unit import AlarmUnit
from shared.expression import StaticEnvironment, Unknown, compile_expression
from shared.playbook import fragment
from shared.playbook.journal import OUTCOME, ROOTS, Record
from shared.playbook.model import Playbook


class Entry(msgspec.Struct, frozen=True):
    """One journal entry as stored."""

    phase: str
    at: int
    data: dict[str, Any] = {}
    attempt: int = 1
    since: int = 0
    """When the path was begun."""
    n: int = 0


class Run(msgspec.Struct):
    """One fragment at work for one occurrence, or what is remembered of it."""

    playbook: str
    version: int
    alarm: str
    occurrence: str
    about: dict[str, Any]
    """The alarm as the playbook's expressions see it."""
    began: int
    journal: dict[str, Entry] = {}
    ended: bool = False

    @property
    def key(self) -> str:
        """One run of a playbook for an occurrence, ever."""
        return f"{self.occurrence}:{self.playbook}"


def inputs_of(book: Playbook) -> dict[str, Any]:
    """A playbook's inputs as they are by default."""
    return {name: given.default for name, given in book.inputs.items()}


def concurrency_of(book: Playbook, run: Run) -> str:
    """What a playbook's runs of one kind have in common; the brain tells them apart by it too."""
    env = StaticEnvironment({"alarm": run.about})
    key = compile_expression(book.concurrency.key, roots=ROOTS).evaluate(env)
    return "" if isinstance(key, Unknown) else str(key)


def about_of(unit: AlarmUnit) -> dict[str, Any]:
    """An alarm as a playbook's expressions see it."""
    definition = unit.definition
    return {
        "id": unit.id, "occurrence": unit.occurrence, "asset": definition.asset,
        "tag": definition.tag, "value": unit.value, "limit": definition.setting.limit,
        "unit": definition.unit, "quality": unit.quality, "priority": definition.priority,
        "raised_at": unit.raised_at,
    }  # fmt: skip


def records_of(run: Run) -> dict[str, Record]:
    """A run's journal as the interpreter reads it; that it goes on again is no verdict."""
    return {
        path: Record(
            entry.phase,  # type: ignore[arg-type]
            entry.at, entry.data, entry.attempt, entry.since, entry.n,
        )
        for path, entry in run.journal.items()
        if (path, entry.phase) != (OUTCOME, "intent")
    }  # fmt: skip


def entry_after(run: Run, path: str, entry: Entry) -> Entry:
    """A new entry with its place in the run's journal, and since when its path has been begun."""
    before = run.journal.get(path)
    since = (before.since or before.at) if before is not None else entry.at
    place = 1 + max((one.n for one in run.journal.values()), default=0)
    return msgspec.structs.replace(entry, since=since, n=place)


def handed_over(run: Run) -> bool:
    """Whether the brain took it over in the middle, and it has not gone on since."""
    over = run.journal.get(OUTCOME)
    return over is not None and over.data.get("status") == fragment.HANDED_OVER


def in_doubt(run: Run) -> bool:
    """Whether a command has begun and not ended: that is settled here, also after the return."""
    return any(entry.phase == "intent" and "device" in entry.data for entry in run.journal.values())


def told_of(outcome: Outcome, device: str) -> tuple[str, dict[str, Any]]:
    """Phase and data of a command's journal entry, as the brain would write them."""
    data = {
        "device": device, "outcome": outcome.outcome, "reason": outcome.reason,
        "params": outcome.params, "before": outcome.before, "readback": outcome.readback,
    }  # fmt: skip
    if outcome.outcome == "done":
        return "done", data
    if outcome.outcome == "unknown":
        return "failed", {**data, "kind": "command_unknown"}
    interlocked = outcome.reason in ("interlock", "require", "verify_failed")
    kind = "verify_failed" if outcome.reason == "verify_failed" else "interlock"
    return "failed", {**data, "kind": kind if interlocked else outcome.outcome}
