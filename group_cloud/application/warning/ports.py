"""What early warning at the group needs of the outside: tables, and a process that learns.

`WarningRows` is implemented by `adapters/postgres/warning_store.py`, `Learns` by
`adapters/warning_process.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.scope import Scope
from shared.messages.warning import WarningWindows


@dataclass(frozen=True, slots=True)
class Window:
    """One labelled window."""

    at: int
    site: str
    label: int
    fault: str
    vector: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Family:
    """The factories of one owner with the same plant: they learn together."""

    tenant: str
    plant: str
    tags: tuple[str, ...]
    sites: tuple[str, ...]
    line: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """A learner as it was kept, after the whole of a day."""

    day: int
    state: bytes
    figures: dict[str, float]
    sites: tuple[str, ...]
    """The factories whose windows are in it."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be learnt, in the order in which it is."""

    tags: tuple[str, ...]
    windows: tuple[Window, ...]
    state: bytes = b""
    """Empty: from the beginning."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What came of it."""

    state: bytes
    figures: dict[str, float]
    model: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Proposed:
    """A frozen model and what people made of it."""

    id: str
    tenant: str
    plant: str
    tags: tuple[str, ...]
    status: str
    model: dict[str, Any]
    figures: dict[str, float]
    created_at: int
    first_by: str = ""
    decided_by: str = ""
    decided_at: int | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Pushed:
    """What was signed for one factory."""

    id: str
    model: str
    site: str
    plant: str
    counter: int
    kind: str
    status: str
    payload: bytes
    signature: bytes
    expires_at: int
    at: int
    code: str = ""
    params: dict[str, Any] = field(default_factory=dict)


class Learns(Protocol):
    """Off the event loop, in a process of its own."""

    async def learn(self, task: Task) -> Learnt:
        """Learn window by window; raises StoreError if the process ends."""
        ...

    async def rest(self) -> None:
        """There is nothing to learn for a while."""
        ...


class WarningRows(Protocol):
    """The tables."""

    async def keep_windows(self, tx: Transaction, /, body: WarningWindows, at: int) -> bool:
        """Keep windows whose revision is newer; False if a site has too many plants."""
        ...

    async def families(self) -> list[Family]:
        """Plants with windows, by owner."""
        ...

    async def first_new(self, family: Family, until: int) -> int | None:
        """The end of the oldest window that was not learnt, of those that end by `until`."""
        ...

    async def windows(self, family: Family, after: int, until: int, most: int) -> list[Window]:
        """The newest `most` windows that end within (after, until], oldest first, by time and
        site."""
        ...

    async def mark_learnt(
        self, tx: Transaction, /, family: Family, windows: Sequence[Window], too_old: int | None
    ) -> None:
        """These revisions were learnt; with `too_old` also what came before then and lies before
        the first of them."""
        ...

    async def learner(self, family: Family) -> Held | None:
        """A learner as kept."""
        ...

    async def keep_learner(
        self, tx: Transaction, /, family: Family, held: Held, at: int
    ) -> None:  # fmt: skip
        """Keep its state."""
        ...

    async def newest(
        self, tx: Transaction, /, tenant: str, plant: str, statuses: Sequence[str]
    ) -> Proposed | None:
        """The newest model in one of these states, locked."""
        ...

    async def model(self, tx: Transaction, /, model: str) -> Proposed | None:
        """One model, locked."""
        ...

    async def save_model(self, tx: Transaction, /, model: Proposed) -> None:
        """Insert or replace."""
        ...

    async def next_counter(self, tx: Transaction, /, site: str) -> int:
        """A factory's next number; nobody else gets it."""
        ...

    async def save_push(self, tx: Transaction, /, push: Pushed) -> None:
        """Insert or replace."""
        ...

    async def push(self, tx: Transaction, /, push: str) -> Pushed | None:
        """One push, locked."""
        ...

    async def pushes_of(self, tx: Transaction, /, models: Sequence[str]) -> list[Pushed]:
        """What was signed for these models, by number."""
        ...

    async def newest_pushes(
        self, tx: Transaction, /, model: Proposed, sites: Sequence[str]
    ) -> dict[str, str]:
        """Site -> the model of the newest push for this plant that the factory may be running."""
        ...

    async def unheard(self, site: str | None = None) -> list[Pushed]:
        """What no factory has answered, by number."""
        ...

    async def prune(self, before: int) -> None:
        """Delete windows that ended before."""
        ...


class WarningReads(Protocol):
    """Asked for people, within their scope (see `adapters/postgres/warning_reads.py`)."""

    async def learners(self, scope: Scope) -> Sequence[Any]:
        """Plants with what was learnt of them."""
        ...

    async def models(self, scope: Scope, limit: int) -> Sequence[Any]:
        """Models, newest first, with their sites within the scope."""
        ...

    async def where(self, scope: Scope, models: Sequence[str]) -> Sequence[Any]:
        """What became of them at the factories within the scope."""
        ...
