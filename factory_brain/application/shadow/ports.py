"""What shadow counting needs of the outside; implemented in `adapters/postgres/shadow_*.py`.

`Transaction` is opaque here: whatever is written with it stands or falls together.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

from factory_brain.application.ports import Transaction
from factory_brain.application.shadow.tasks import DayCount, FaultCount, Question
from factory_brain.domain.faults import Case, Fault
from factory_brain.domain.shadow import LEAD_MS, Signal
from shared.alarm.point import Setting
from shared.messages.bodies import Body
from shared.messages.nominations import Nomination


class Group(Protocol):
    """The way up (see `application/uplink.py`)."""

    @property
    def fence(self) -> Callable[[Transaction], Awaitable[None]]:
        """Undoes a transaction of a brain that speaks for the factory no more."""
        ...

    async def say(self, tx: Transaction, kind: str, body: Body) -> None:
        """Send a new event of this factory with the transaction."""
        ...


@dataclass(frozen=True, slots=True)
class Point:
    """One nominated alarm point."""

    edge: str
    alarm: str
    source: str
    """group, or site: chosen here while the group is silent."""
    reason: str
    since: int
    candidate: Setting | None = None
    given: dict[str, Any] = field(default_factory=dict)
    """The grid that the group asks for; empty: one of our own."""
    grid: dict[str, Any] = field(default_factory=dict)
    """Our own, made when it was first counted; kept, so that days add up."""
    base: str = ""
    """What our own grid was made around: another base makes another grid."""


@dataclass(frozen=True, slots=True)
class Done:
    """What was counted of one alarm point on one day."""

    revision: int
    rows: int
    until: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What was said about one fault by one alarm point."""

    fault_revision: int
    revision: int
    rows: int
    coverage: float


class Points(Protocol):
    """Nominations as they stand."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def order(self, edge: str) -> tuple[int, int] | None:
        """(counter, expiry) of the newest nominations of the group that were accepted."""
        ...

    async def accept(
        self, tx: Transaction, /, edge: str, counter: int, expires_at: int, payload: bytes, at: int
    ) -> bool:
        """Note that these were accepted; False if newer ones were."""
        ...

    async def replace(
        self, tx: Transaction, /, edge: str, source: str, items: list[Nomination], at: int
    ) -> None:
        """Nominate these and no others of the edge; what is known of a point stays."""
        ...

    async def points(self) -> list[Point]:
        """All that are nominated now."""
        ...

    async def chosen_at(self, edge: str) -> int | None:
        """When this edge's points were last chosen here."""
        ...

    async def raised(self, since: int) -> dict[str, int]:
        """alarm -> how often it was raised since then."""
        ...

    async def keep_grid(
        self, tx: Transaction, /, alarm: str, grid: dict[str, Any], base: str
    ) -> None:
        """Keep the grid that a point was first counted with."""
        ...


class Days(Protocol):
    """What was counted, and the stored samples."""

    async def done(self, since_day: int) -> dict[tuple[str, int], Done]:
        """(alarm, day) -> what was counted."""
        ...

    async def put_day(
        self, tx: Transaction, /, alarm: str, day: int, was: Done | None, done: Done, at: int
    ) -> bool:
        """Note a count; False if somebody has noted another one since it was `was`."""
        ...

    async def stored(self, tags: list[str], since: int, until: int) -> dict[str, int]:
        """tag -> how many samples are stored in [since, until)."""
        ...

    async def signal(
        self, tag: str, since: int, until: int, lead_ms: int = LEAD_MS
    ) -> Signal:  # fmt: skip
        """The samples of a tag from a while before `since` up to `until`."""
        ...

    async def judged(self, fault_ids: list[str]) -> dict[tuple[str, str], Judged]:
        """(fault, alarm) -> what was said."""
        ...

    async def put_verdict(
        self, tx: Transaction, /, fault: str, alarm: str, was: Judged | None, said: Judged, at: int
    ) -> bool:
        """Note a verdict; False if somebody has noted another one since it was `was`."""
        ...

    async def forget(self, before_day: int, before: int) -> None:
        """Delete what was noted of days and faults long past."""
        ...


class Faults(Protocol):
    """The record of faults."""

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction that commits at the end of the block."""
        ...

    async def lock(self, tx: Transaction, /, fault: str) -> None:
        """One writer at a time for one fault."""
        ...

    async def case(self, tx: Transaction, /, occurrence: str) -> Case | None:
        """The incident that an occurrence is in, or the occurrence alone."""
        ...

    async def overtaken(self, tx: Transaction, /, case: Case) -> list[Fault]:
        """Standing faults of occurrences or incidents that have become part of this case."""
        ...

    async def get(self, fault: str, tx: Transaction = None) -> Fault | None:
        """One fault; as `tx` sees it if one is given."""
        ...

    async def put(self, tx: Transaction, /, fault: Fault) -> None:
        """Insert or replace."""
        ...

    async def listed(
        self, limit: int, before: tuple[int, str] | None, withdrawn: bool
    ) -> list[Fault]:
        """Newest first by their beginning, from `before` (start, id) on."""
        ...

    async def recent(self, recorded_since: int, limit: int) -> list[Fault]:
        """Standing faults recorded since then, oldest first."""
        ...


class Counters(Protocol):
    """Where the counting runs: off the event loop."""

    async def count_day(self, signal: Signal, questions: list[Question]) -> list[DayCount]:
        """See `work.count_day`."""
        ...

    async def judge(
        self, signal: Signal, start: int, end: int, questions: list[Question]
    ) -> list[FaultCount]:
        """See `work.judge`."""
        ...
