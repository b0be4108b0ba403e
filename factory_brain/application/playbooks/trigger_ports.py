"""What triggers need of the outside: their own rows, runs' rows, occurrences, the journal's feed.

Implemented by `adapters/postgres/trigger_store.py`; whatever takes `tx` stands or falls with it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from factory_brain.application.playbooks.ports import NewRun
from factory_brain.application.ports import Transaction
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.triggers.firing import Firing
from factory_brain.domain.triggers.throttle import Window

Came = Literal[
    "started", "queued", "attached", "ignored", "throttled", "gone", "dipped", "missed",
    "superseded", "too_deep", "faulty",
]  # fmt: skip


class UnstorableError(Exception):
    """The store does not take such a value, now or ever."""


@dataclass(frozen=True, slots=True)
class Fired:
    """What a firing came to."""

    id: str
    playbook: str
    trigger: str
    key: str
    at: int
    outcome: Came
    run: str | None = None
    alarm: str | None = None
    occurrence: str | None = None
    why: str = ""
    """What is wrong with a faulty one."""


@dataclass(slots=True)
class Group:
    """The runs of one playbook and key that have not ended, oldest first."""

    live: list[str] = field(default_factory=list)
    queued: list[str] = field(default_factory=list)
    slots: set[int] = field(default_factory=set)
    ending: set[str] = field(default_factory=set)
    """Those of the live ones that answer nothing new: cancelled, left, failed, or at their end."""

    def slot(self) -> int:
        """The lowest free one."""
        return next(n for n in range(len(self.slots) + 1) if n not in self.slots)


@dataclass(frozen=True, slots=True)
class Held:
    """An alarm that must stand until a time."""

    id: str
    playbook: str
    trigger: str
    occurrence: str
    due: int
    firing: Firing


@dataclass(frozen=True, slots=True)
class Gathered:
    """A throttle's window with whose it is."""

    playbook: str
    trigger: str
    by: str
    window: Window


@dataclass(frozen=True, slots=True)
class Moved:
    """An incident that has changed, and what it was before."""

    id: str
    changed: int
    status: str
    priority: int
    at: int
    before: tuple[str, int] | None
    seen: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Emitted:
    """An event that a playbook has written."""

    id: str
    at: int
    event: str
    data: Mapping[str, Any]
    chain: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next queued run of a key, and the live ones before it."""

    run: str
    playbook: str
    digest: str
    key: str
    live: int
    slots: tuple[int, ...]


class TriggerStore(Protocol):
    """The rows of triggers."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """The only transaction that decides about triggers now, in any brain."""
        ...

    def apart(self, tx: Transaction) -> AbstractAsyncContextManager[None]:
        """A part of `tx` that falls alone: `UnstorableError` undoes it and nothing else."""
        ...

    async def restless(self, now: int) -> bool:
        """Whether something is due, changed or may start."""
        ...

    async def next_due(self) -> int | None:
        """When the next held or gathered firing is due."""
        ...

    async def known(self, tx: Transaction, ids: Sequence[str]) -> set[str]:
        """Those of these firings that were decided or are held."""
        ...

    async def group(self, tx: Transaction, playbook: str, key: str) -> Group:
        """The runs of a key; none of them ends before this transaction does."""
        ...

    async def create(self, tx: Transaction, run: NewRun, status: str) -> bool:
        """Write a run; False if there is one of this id."""
        ...

    async def cancel(self, tx: Transaction, runs: Sequence[str], by: str, at: int) -> None:
        """Tell live runs to end."""
        ...

    async def drop(self, tx: Transaction, runs: Sequence[str], at: int) -> None:
        """End queued runs that will not begin."""
        ...

    async def waiting(self, tx: Transaction) -> list[Waiting]:
        """The first queued run of each key."""
        ...

    async def begin(self, tx: Transaction, run: str, slot: int, at: int) -> None:
        """A queued run is due now; its deadline counts from here."""
        ...

    async def record(self, tx: Transaction, fired: Sequence[Fired], at: int) -> None:
        """Keep what firings came to."""
        ...

    async def set_runs(self, tx: Transaction, runs: Mapping[str, str]) -> None:
        """occurrence -> run, for those that have none."""
        ...

    async def told_by_hand(self, tx: Transaction, run: NewRun) -> None:
        """Audit a start by a person."""
        ...

    async def hold(self, tx: Transaction, held: Held) -> None:
        """Keep until it is due."""
        ...

    async def held(self, tx: Transaction, now: int, limit: int) -> list[Held]:
        """What is due."""
        ...

    async def let_go(self, tx: Transaction, ids: Sequence[str]) -> None:
        """These are decided."""
        ...

    async def window(self, tx: Transaction, playbook: str, trigger: str, by: str) -> Window | None:
        """What was gathered."""
        ...

    async def put_window(self, tx: Transaction, gathered: Gathered) -> None:
        """Keep what was gathered."""
        ...

    async def drop_window(self, tx: Transaction, playbook: str, trigger: str, by: str) -> None:
        """Begin anew."""
        ...

    async def due_windows(self, tx: Transaction, now: int, limit: int) -> list[Gathered]:
        """What fires by itself now."""
        ...

    async def seen(self, tx: Transaction, name: str) -> tuple[int, str] | None:
        """How far was looked, and for which words."""
        ...

    async def set_seen(self, tx: Transaction, name: str, through: int, says: str = "") -> None:
        """It was looked so far."""
        ...

    async def incidents(self, tx: Transaction, limit: int) -> list[Moved]:
        """Incidents that changed since; they count as looked at when `tx` commits."""
        ...

    async def emitted(self, tx: Transaction, limit: int) -> list[Emitted]:
        """Events of playbooks that nobody has looked at; they count as looked at with `tx`."""
        ...

    async def fired_of(self, occurrence: str, limit: int) -> list[tuple[Fired, int]]:
        """What an occurrence's firings came to, with when that was decided."""
        ...

    async def joined(self, run: str, limit: int) -> tuple[int, list[Fired]]:
        """How many alarms joined a run, and the newest of them."""
        ...

    async def counts(self) -> dict[tuple[str, str], int]:
        """(playbook, outcome) -> how many."""
        ...

    async def wake(self, occurrences: Sequence[str], at: int) -> list[str]:
        """The runs that these occurrences started or joined, which look at their alarms again."""
        ...

    async def joined_states(self, occurrence: str) -> Mapping[str, int | None] | None:
        """What all alarms are that joined this one's runs: since when; None if none has joined."""
        ...

    async def prune(self, before: int) -> None:
        """Forget what is older and of no further use."""
        ...


class OccurrenceReads(Protocol):
    """Occurrences as they are now."""

    async def several(self, occurrences: list[str]) -> list[Occurrence]:
        """These."""
        ...

    async def get(self, occurrence: str) -> Occurrence | None:
        """One."""
        ...

    async def open_occurrences(self) -> list[Occurrence]:
        """All that are open."""
        ...


class Feed(Protocol):
    """This consumer's way through the journal."""

    def wake(self) -> None:
        """Something was committed."""
        ...

    async def wait(self, timeout_s: float = 1.0) -> None:
        """Until something was committed, or the time is over."""
        ...

    async def next(self, limit: int = 500) -> list[Any]:
        """Committed events that have not been done."""
        ...

    async def done(self, tx: Transaction, events: Sequence[Any]) -> None:
        """They are done when `tx` commits."""
        ...
