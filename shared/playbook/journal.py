"""What a run's journal holds, what a run asks for next, and what its expressions see.

Values only, shared by the pure interpreter (`run.py`), the engine and its store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from shared.expression import Environment, Unknown
from shared.playbook.model import Playbook, Step

Phase = Literal["intent", "done", "failed", "unknown", "reconciled", "skipped", "compensated"]
SETTLED = ("done", "reconciled", "skipped", "compensated")
ROOTS = frozenset({"alarm", "inputs", "steps", "run", "error", "site", "item", "index"})
POLL_MS = 500
"""How often a `wait_until` looks at what no tag tells of by itself: the time, ages, windows."""
WATCHED_MS = 1_800_000
"""How often one looks all the same whose tags wake it."""
LEAD = "role:shift-lead"
"""Whom the engine's own questions go to."""


@dataclass(frozen=True, slots=True)
class Record:
    """What the journal says of one path: its newest phase."""

    phase: Phase
    at: int
    data: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1
    """Which try this is of; a wait or a block counts what it has pinned so far."""
    since: int = 0
    """When the path's first record was written; see `noted`."""
    n: int = 0
    """The record's place in the run's journal; see `noted`."""

    @property
    def began(self) -> int:
        """When the path was begun."""
        return self.since or self.at


def noted(journal: dict[str, Record], path: str, record: Record) -> None:
    """Add a record to a run's journal, in the order of its rows, as every keeper of one does."""
    newest = next(reversed(journal.values())) if journal else None
    before = journal.pop(path, None)
    since = before.began if before is not None else record.at
    place = record.n or (newest.n + 1 if newest is not None else 1)
    journal[path] = Record(record.phase, record.at, record.data, record.attempt, since, place)


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing to do: journal it and carry it out.

    `settle` and `await` are journalled only. The others act: `notify`, `webhook`, `emit` and
    `incident` ride in the journal's own commit; `http` and `command` are sent after their intent
    is committed, and end in a record of their own; `reconcile` asks what became of a command.
    """

    kind: Literal[
        "settle", "await", "notify", "webhook", "emit", "incident", "http", "command", "reconcile"
    ]
    path: str
    step: Step | None
    phase: Phase = "done"
    data: Mapping[str, Any] = field(default_factory=dict)
    attempt: int = 1
    book: str = ""
    """The called playbook whose devices and endpoints it means; empty: the run's own."""


@dataclass(frozen=True, slots=True)
class Asking:
    """A question that the run waits for: an `ask` step, or one that the engine itself has."""

    path: str
    step: str
    """The step's id; for a question of the engine what it is about: `resume`, `unknown`."""
    to: tuple[str, ...]
    question: Mapping[str, str]
    options: tuple[str, ...]
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    until: int | None = None
    quorum: int = 1
    deny: tuple[str, ...] = ()
    """`user:NAME` and `role:NAME` that may not answer, templates filled in."""
    engine: bool = False
    """The engine itself asks: `step` is no step of the document."""


Ended = Literal["success", "failure", "needs_human", "cancelled"]


@dataclass(slots=True)
class Advance:
    """What a run needs next."""

    effects: list[Effect] = field(default_factory=list)
    wake_at: int | None = None
    status: Literal["running", "waiting"] | Ended = "running"
    watch: frozenset[str] = frozenset()
    """Logical tags whose change may end a wait: the run is woken by them, not by polling."""
    asks: list[Asking] = field(default_factory=list)
    """Every question that is open now."""
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
    """Signals so far by path: of people {answer, by}, or {votes: [{answer, by, …}, …]} in the order
    in which they came where several must agree; of a webhook's delivery {phase, data}."""
    deadline_at: int = 0
    alarm_states: Mapping[str, int] = field(default_factory=dict)
    """What the run's alarm is now (cleared, acknowledged, shelved, suppressed), since when."""
    control: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """What people told it: `cancel` {by, at, reason, compensate}, `suspend` {by, at, reason}."""
    books: Mapping[str, Playbook] = field(default_factory=dict)
    """The documents that `call` steps run, pinned when the run began."""
    resume_ask: Mapping[str, Any] | None = None
    """{n, since, ms}: after an outage of `ms` a person is asked, the run's nth such question."""
    watched_since: int = 0
    """Since when every change of the run's tags has woken it: a `for` counts no earlier."""


UNSURE = ("command_unknown", "interlock", "verify_failed", "not_approved")
OUTCOME, ERROR, LEAVE, CANCEL, RESUME = "/outcome", "/error", "/leave", "/cancel", "/resume"
"""Journal paths of the whole run: its verdict, what failed it, why it left, who ended it, asked."""

STALLED = f"{ERROR}/remind/0"
"""That people were told of a run which was held until its deadline."""


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
