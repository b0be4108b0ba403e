"""What incidents need of the outside, and the values that go in and out of the store.

Implemented by `adapters/postgres/incident_store.py` and `incident_reads.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from factory_brain.application.ports import Transaction
from factory_brain.domain.incidents.grouping import Place
from factory_brain.domain.incidents.life_cycle import Status
from factory_brain.domain.incidents.seen import Seen

MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Told:
    """What a transition says of the clock that stamped it."""

    version: int
    offset: int
    uncertainty: int | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An occurrence that something happened to, and what was stored of it before."""

    occurrence: str
    alarm: str
    asset: str
    edge: str
    raised_at: int
    at: int | None = None
    """None: it is in no incident yet."""
    told: Told | None = None
    incident: str = ""

    @property
    def now_at(self) -> int:
        """When it was raised, by the clock as it is known now."""
        return self.raised_at + (self.told.offset if self.told else 0)


@dataclass(frozen=True, slots=True)
class Shown:
    """What an alarm's row shows of incidents."""

    first_out: str = ""
    hidden_behind: str = ""
    hidden_rule: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """One occurrence in its incident."""

    seen: Seen
    place: Place | None
    incident: str
    shown: Shown
    label: str | None = None
    run: str | None = None
    local_action: str | None = None


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident as stored; `status` may be `merged` too."""

    id: str
    status: Status | str = "open"
    merged_into: str | None = None
    first_at: int = 0
    last_at: int = 0
    first_out: tuple[str, ...] = ()
    asset: str = ""
    priority: int = 4
    alarms: int = 0
    standing: int = 0
    unacked: int = 0
    returned_at: int | None = None
    settled: bool = False
    flood: bool = False
    owner: str = ""
    opened_at: int = 0
    acknowledged_at: int | None = None
    acknowledged_by: str = ""
    contained_at: int | None = None
    contained_by: str = ""
    closed_at: int | None = None
    closed_by: str = ""
    cause: str = ""
    outcome: str = ""
    reopened: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of an incident's own time line."""

    incident: str
    at: int
    lane: str
    kind: str
    params: dict[str, Any] = field(default_factory=dict)
    actor: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An incident as lists show it."""

    incident: Incident
    first_alarms: tuple[str, ...]
    changed: int


@dataclass(frozen=True, slots=True)
class ToLabel:
    """An occurrence that gets the outcome of its closed incident."""

    occurrence: str
    outcome: str
    cause: str
    actor: str


class Incidents(Protocol):
    """The store, inside a transaction whose caller has the lock."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def try_lock(self, tx: Transaction, /) -> bool:
        """Whether this transaction is now the only one that changes incidents."""
        ...

    async def lock(self, tx: Transaction, /) -> None:
        """Wait until it is."""
        ...

    async def strangers(self, tx: Transaction, /) -> list[str]:
        """Open occurrences that are in no incident: they were there before incidents were."""
        ...

    async def candidates(self, tx: Transaction, /, names: Sequence[str]) -> list[Candidate]:
        """What is known of these occurrences; unknown ones are left out."""
        ...

    async def keep(self, tx: Transaction, /, found: Sequence[Candidate]) -> None:
        """Store when they were raised; those that are new belong nowhere yet."""
        ...

    async def since(self, tx: Transaction, /, at: int, until: int | None) -> list[Member]:
        """All that were raised at or after `at`, and not after `until`."""
        ...

    async def of(self, tx: Transaction, /, incidents: Iterable[str]) -> list[Member]:
        """All members of these incidents."""
        ...

    async def of_groups(self, tx: Transaction, /, groups: Iterable[str]) -> list[Member]:
        """All members of these groups."""
        ...

    async def those(self, tx: Transaction, /, names: Iterable[str]) -> list[Member]:
        """These occurrences."""
        ...

    async def standing(self, tx: Transaction, /, alarms: Iterable[str]) -> list[Member]:
        """The open occurrences of these alarms, and whatever is shown behind another."""
        ...

    async def ageing(self, tx: Transaction, /, before: int) -> list[Member]:
        """What is marked, and what stands since before `before`: time may change their marks."""
        ...

    async def raises(
        self, tx: Transaction, /, alarms: Iterable[str], since: int
    ) -> dict[str, list[int]]:
        """alarm -> when it was raised, sorted."""
        ...

    async def annunciated(self, tx: Transaction, /, since: int, until: int) -> list[int]:
        """When alarms were annunciated in that time, sorted."""
        ...

    async def closings(self, tx: Transaction, /, names: Iterable[str]) -> dict[str, int]:
        """occurrence -> when people closed the incident of which it is the first."""
        ...

    async def joins(self, tx: Transaction, /) -> list[tuple[str, str]]:
        """Pairs of occurrences whose incidents people made one."""
        ...

    async def join(self, tx: Transaction, /, one: str, other: str, actor: str, at: int) -> None:
        """Note such a pair."""
        ...

    async def place(self, tx: Transaction, /, places: Mapping[str, tuple[Place, str]]) -> None:
        """occurrence -> its group and its incident."""
        ...

    async def show(self, tx: Transaction, /, shown: Mapping[str, Shown]) -> None:
        """occurrence -> what its row shows."""
        ...

    async def get(self, tx: Transaction, /, names: Iterable[str]) -> dict[str, Incident]:
        """These incidents, as far as they exist."""
        ...

    async def put(self, tx: Transaction, /, incident: Incident) -> None:
        """Write one incident."""
        ...

    async def move_entries(self, tx: Transaction, /, one: str, other: str) -> None:
        """What was said of one incident is now said of the other."""
        ...

    async def note(self, tx: Transaction, /, entries: Sequence[Entry]) -> None:
        """Append to time lines."""
        ...

    async def set_closed(
        self, tx: Transaction, /, incident: str, at: int | None, label: bool
    ) -> None:
        """Note on its groups that people closed it (or not any more); label its occurrences."""
        ...


class IncidentReads(Protocol):
    """What is read without the lock."""

    async def page(self, state: str, limit: int, before: tuple[int, str] | None) -> list[Listed]:
        """Newest first, from `before` (first_at, id) on; `state`: open, closed, all."""
        ...

    async def get(self, name: str) -> Listed | None:
        """One incident; of one that is part of another, the other."""
        ...

    async def those(self, names: Iterable[str]) -> list[Listed]:
        """These incidents."""
        ...

    async def members(self, names: Iterable[str], limit: int) -> list[Member]:
        """Their occurrences in the order of their raises."""
        ...

    async def entries(self, name: str) -> list[Entry]:
        """What was said and done about it."""
        ...

    async def alike(self, name: str, alarms: list[str], limit: int) -> list[str]:
        """Closed incidents with the most of these alarms."""
        ...

    async def runs(self, names: list[str]) -> list[dict[str, Any]]:
        """Playbook runs: id, playbook, status, started_at, ended_at."""
        ...

    async def directives(self, edges: list[str], since: int, until: int) -> list[dict[str, Any]]:
        """What the group had changed on these edges in that time."""
        ...

    async def newest_change(self) -> int:
        """Where a reader of changes begins."""
        ...

    async def open_members(self) -> list[Member]:
        """All that may stand in the operators' list."""
        ...

    async def changed_members(self, after: int, limit: int) -> list[tuple[int, Member]]:
        """What changed after that, in order, with its number."""
        ...

    async def changed_incidents(self, after: int, limit: int) -> list[Listed]:
        """The same of incidents."""
        ...

    def to_label(
        self, limit: int, without: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[list[ToLabel]]:
        """Occurrences to be labelled, but for some; they are, when the block ends."""
        ...
