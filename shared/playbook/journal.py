"""What a run's journal holds, what a run asks for next, and what its expressions see.

Values only, shared by the pure interpreter (`run.py`), the engine and its store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.expression import Environment, Unknown
from shared.playbook.model import Step

Phase = Literal["intent", "done", "failed", "unknown", "reconciled", "skipped"]
SETTLED = ("done", "reconciled", "skipped")
ROOTS = frozenset({"alarm", "inputs", "steps", "run", "error", "site"})
POLL_MS = 500
"""How often a `wait_until` looks at the plant."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the journal says of one path: its newest phase."""

    phase: Phase
    at: int
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing to do: journal it and carry it out."""

    kind: Literal["settle", "notify", "webhook", "command", "reconcile", "await"]
    path: str
    step: Step | None
    phase: Phase = "done"
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Advance:
    """What a run needs next."""

    effects: list[Effect] = field(default_factory=list)
    wake_at: int | None = None
    status: Literal["running", "waiting", "success", "failure", "needs_human"] = "running"
    asking: tuple[str, Step] | None = None
    """The human task that the run waits for: (path, step)."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, once the run has ended."""


@dataclass(frozen=True, slots=True)
class Context:
    """What expressions see, beside the journal."""

    alarm: Mapping[str, Any]
    inputs: Mapping[str, Any]
    site: Mapping[str, Any]
    run: Mapping[str, Any]
    tags: Environment
    answers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """path -> {answer, by} of a person, {phase, …} of a webhook's delivery: signals so far."""
    deadline_at: int = 0


UNSURE = ("command_unknown", "interlock", "verify_failed", "not_approved")
OUTCOME, ERROR = "/outcome", "/error"
"""Journal paths of the whole run: its verdict, and what failed it."""


class RootsOverTags:
    """An environment of plain roots over the plant's tags."""

    def __init__(self, roots: Mapping[str, Any], tags: Environment) -> None:
        self._roots, self._tags = roots, tags

    def root(self, name: str) -> object:
        """A root, or Unknown."""
        found = self._roots.get(name)
        return Unknown("missing_root", {"name": name}) if found is None else found

    def tag(self, name: str) -> Any:
        """A tag of the plant."""
        return self._tags.tag(name)

    def window(self, function: str, tag: str, seconds: float) -> object:
        """A windowed figure of the plant."""
        return self._tags.window(function, tag, seconds)
