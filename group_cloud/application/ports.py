"""What the cloud's application needs of the outside; implemented in `adapters` and `learning`.

`Transaction` is opaque here: whatever is written with it stands or falls together.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from group_cloud.domain.evidence import Point, Shadow, Suggestion
from group_cloud.domain.proposal import ProposalStatus
from group_cloud.domain.rollout import Kind, Status
from group_cloud.domain.scope import Scope
from shared.alarm.point import Setting
from shared.messages.bodies import FactorySummary, OutcomeRecord

Transaction = Any
"""A running database transaction (an asyncpg connection in production)."""
Sign = Callable[[bytes], bytes]
"""The group's release signature of some bytes."""


@dataclass(frozen=True, slots=True)
class FactoryRow:
    """One factory as last summarised."""

    site: str
    names: dict[str, str]
    active: int
    unacked: int
    worst_priority: int | None
    edges_online: int
    edges_total: int
    last_seen: int | None
    events: int
    outcomes: int


@dataclass(frozen=True, slots=True)
class ProposalRow:
    """One proposal; `body` is what people read, as plain data."""

    id: str
    point: Point
    status: ProposalStatus
    created_at: int
    current: Setting
    proposed: Setting
    fingerprint: str
    nuisance: int
    body: dict[str, Any]
    decided_at: int | None = None
    decided_by: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RolloutRow:
    """One directive with where it stands."""

    directive: str
    plan: str
    """The roll-out that it is a part of."""
    stage: str
    kind: Kind
    proposals: tuple[str, ...]
    site: str
    edge: str
    counter: int
    status: Status
    changes: dict[str, Setting]
    """Alarm -> what this directive brings; it carries what was in force besides."""
    payload: bytes
    signature: bytes
    expires_at: int
    at: int
    code: str | None = None
    params: dict[str, Any] | None = None
    withdrawn: tuple[str, ...] = ()
    """Alarms whose setting the plant refused in a later bundle: left out of further ones."""


class Records(Protocol):
    """What came up from the factories."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def insert_events(self, tx: Transaction, /, rows: list[tuple[Any, ...]]) -> None:
        """Append to the group's journal."""
        ...

    async def save_summary(
        self, tx: Transaction, /, site: str, summary: FactorySummary, at: int
    ) -> None:
        """Keep a factory's newest totals."""
        ...

    async def count_events(self, tx: Transaction, /, site: str, events: int, at: int) -> None:
        """Count what a factory has sent."""
        ...

    async def save_outcome(
        self, tx: Transaction, /, site: str, record: OutcomeRecord, at: int, said_at: int
    ) -> None:
        """Keep an occurrence's newest label, by when it was said; it waits for training."""
        ...

    async def save_seen(self, seen: dict[str, int]) -> None:
        """Keep when each factory was last heard."""
        ...

    async def factories(self, scope: Scope) -> list[FactoryRow]:
        """All factories within a scope that were ever heard."""
        ...

    async def untrained(self) -> list[Point]:
        """Alarm points with outcomes that the bank has not seen."""
        ...

    async def outcomes(
        self, point: Point, limit: int, *, untrained: bool
    ) -> list[tuple[int, OutcomeRecord]]:
        """The newest outcomes of a point (or those that wait) with their revision, oldest first."""
        ...

    async def mark_trained(self, tx: Transaction, /, revisions: list[int]) -> None:
        """The bank has seen these; a label corrected meanwhile has another revision."""
        ...


class Proposals(Protocol):
    """Proposals and their decisions."""

    async def lock_point(self, tx: Transaction, /, point: Point) -> None:
        """One writer at a time for one alarm point."""
        ...

    async def newest(self, tx: Transaction, /, point: Point) -> ProposalRow | None:
        """The newest proposal of a point."""
        ...

    async def get(self, tx: Transaction, /, proposal: str) -> ProposalRow | None:
        """One proposal, locked."""
        ...

    async def save(self, tx: Transaction, /, row: ProposalRow) -> None:
        """Insert or replace."""
        ...

    async def listed(
        self, limit: int, sites: list[str] | None
    ) -> list[tuple[ProposalRow, RolloutRow | None]]:
        """Newest first, each with its rollout; of these sites, None: of all."""
        ...


class Rollouts(Protocol):
    """Directives, their counters and their life cycle."""

    async def next_counter(self, tx: Transaction, /, site: str, target: str) -> int:
        """The target's next number; never given twice."""
        ...

    async def save(self, tx: Transaction, /, row: RolloutRow) -> None:
        """Insert or replace."""
        ...

    async def get(self, tx: Transaction, /, directive: str) -> RolloutRow | None:
        """One directive, locked."""
        ...

    async def of_edge(self, tx: Transaction, /, site: str, edge: str) -> list[RolloutRow]:
        """All directives of an edge that set something, by counter."""
        ...

    async def of_plan(self, tx: Transaction, /, plan: str) -> list[RolloutRow]:
        """All directives of a roll-out; those of one edge by their numbers."""
        ...

    async def newest_of(self, tx: Transaction, /, point: Point) -> RolloutRow | None:
        """The newest directive that brought this alarm point a new setting."""
        ...

    async def planned(self, tx: Transaction, /, point: Point) -> bool:
        """Whether a roll-out that has not ended changes this alarm point."""
        ...

    async def unheard(self) -> list[RolloutRow]:
        """Directives that their factory has not decided on."""
        ...

    async def sites(self) -> list[str]:
        """Sites that ever got a directive."""
        ...

    async def newest_by_edge(self, site: str, *, dry_run: bool) -> dict[str, RolloutRow]:
        """The newest directive of each edge of a site that has been marked as sent."""
        ...


class Models(Protocol):
    """Versions of learnt models."""

    async def keep(
        self, tx: Transaction, /, model: str, evidence: str, data: dict[str, Any], at: int
    ) -> int:
        """Keep a model's state unless the evidence is that of the newest; returns its version."""
        ...


class Audit(Protocol):
    """The append-only audit chain."""

    async def __call__(
        self, tx: Transaction, at: int, actor: str, action: str, target: str, data: Any, /
    ) -> None:
        """Append one entry in the transaction."""
        ...


class Bank(Protocol):
    """The learner of one alarm point (see `learning/threshold.py`)."""

    def learn_one(self, x: Shadow, y: str) -> bool:
        """Take one judged occurrence."""
        ...

    def forget(self, occurrence: str) -> bool:
        """A judgement was withdrawn."""
        ...

    def propose(self, allowed: Callable[[Setting, Setting], bool]) -> Suggestion | None:
        """A better setting, or None."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Plain data."""
        ...
