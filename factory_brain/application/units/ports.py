"""What units need of the store, and the values that go in and out of it.

Implemented by `adapters/postgres/unit_store.py` and `unit_reads.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from factory_brain.application.ports import Transaction
from factory_brain.domain.units.spans import Limits, Span


@dataclass(frozen=True, slots=True)
class Passage:
    """One stay of a unit in a station."""

    unit: str
    station: str
    asset: str
    entered_at: int
    left_at: int | None = None
    batch: str = ""
    source: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    reported_at: int | None = None

    @property
    def key(self) -> tuple[int, str, str]:
        """Its place in a list."""
        return self.entered_at, self.station, self.unit


@dataclass(frozen=True, slots=True)
class Relation:
    """A child was assembled into its parent, or split from it."""

    parent: str
    child: str
    kind: str
    at: int
    station: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which passages a list is of; None: any."""

    since: int
    until: int
    stations: Sequence[str] | None = None
    batch: str | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class BatchStay:
    """What a station says of a batch."""

    station: str
    units: int
    first_at: int
    last_at: int | None
    """None: units of it are still there."""


@dataclass(frozen=True, slots=True)
class Active:
    """An occurrence that stood during a stay."""

    occurrence: str
    alarm: str
    edge: str
    raised_at: int
    returned_at: int | None
    unsure: int | None
    """How far its clock may be off; None: nobody knows."""
    offset: int = 0


class UnitWrites(Protocol):
    """Where passages go; all of one transaction."""

    def transaction(self) -> Any:
        """A transaction that commits at the end of the block."""
        ...

    async def put(self, tx: Transaction, passages: Sequence[Passage], at: int) -> int:
        """Record what was reported; how many were new or said more than was known."""
        ...

    async def relate(self, tx: Transaction, relations: Sequence[Relation]) -> int:
        """Record genealogy; how many were new."""
        ...


class UnitReads(Protocol):
    """Passages as they are asked for."""

    async def during(
        self, spans: Sequence[Span], wanted: Wanted, after: tuple[int, str, str] | None, limit: int
    ) -> list[Passage]:
        """Stays that overlap any of the spans (widened by their unsureness), in order."""
        ...

    async def listed(
        self, wanted: Wanted, after: tuple[int, str, str] | None, limit: int
    ) -> list[Passage]:
        """Stays that begin in the period, in order."""
        ...

    async def of_unit(self, unit: str, limit: int) -> list[Passage]:
        """A unit's whole way."""
        ...

    async def of_batch(self, batch: str) -> list[BatchStay]:
        """Where a batch was, by station."""
        ...

    async def relations(self, unit: str) -> list[Relation]:
        """The genealogy of a unit, up and down."""
        ...

    async def occurrences(self, alarms: Sequence[str], since: int, until: int) -> list[Active]:
        """Occurrences of these alarms that stood at some moment in [since, until]."""
        ...

    async def minutes_out(
        self, tag: str, limits: Limits, since: int, until: int, most: int
    ) -> tuple[list[tuple[int, int]], int | None]:
        """(stretches [from, to) that hold samples out of limits, by the roll-ups; from when on
        nothing is rolled up yet, None without any sample).
        """
        ...

    async def samples(
        self, tag: str, since: int, until: int, limit: int
    ) -> tuple[list[tuple[int, float | None]], bool]:
        """(samples of [since, until), whether there are more than `limit`); None where the
        quality is not good. If those are all, the one behind them is the last.
        """
        ...
