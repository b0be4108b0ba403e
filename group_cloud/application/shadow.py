"""What comes up from shadow counting: counts, verdicts, faults, each kept in its newest revision.

Called in the receiver's transaction. What does not fit its own grid is refused and logged: a
counter that belongs to no candidate would teach the wrong one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from group_cloud.application.ports import Transaction
from group_cloud.domain.evidence import Point
from shared.alarm.grid import Grid
from shared.messages.bodies import FaultRecord, ShadowCounts, ShadowVerdicts
from shared.telemetry import logger

log = logger("ingest")
ShadowBody = ShadowCounts | ShadowVerdicts | FaultRecord
BYTES_EACH = 4


@dataclass(frozen=True, slots=True)
class DayCounts:
    """One counted day of an alarm point."""

    day: int
    since: int
    until: int
    coverage: float
    grid: Grid
    activations: bytes
    """int32, little-endian, by candidate."""
    standing: bytes
    """float32 seconds, little-endian, by candidate."""
    named: dict[str, list[float]]
    settings: dict[str, dict[str, float | None]]
    mean: float | None
    sigma: float | None


@dataclass(frozen=True, slots=True)
class FaultRow:
    """A fault as its factory recorded it."""

    id: str
    revision: int
    asset: str
    line: str
    start: int
    end: int
    cause: str
    alarms: tuple[str, ...]
    incident: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """When each candidate of a point would have told of a fault."""

    fault: str
    alarm: str
    edge: str
    grid: Grid
    delays: bytes
    """float32 seconds, little-endian, by candidate, -1: not at all; empty: nothing is known."""
    named: dict[str, float]
    coverage: float


@dataclass(frozen=True, slots=True)
class EngineerOnly:
    """An episode that the engineer's own set told inside a recorded fault, and the live one not."""

    edge: str
    alarm: str
    fault: str
    raised_at: int
    cleared_at: int | None


class ShadowReads(Protocol):
    """What the trainer, the nominator and the health gate ask (see `shadow_store.py`)."""

    async def counts(self, point: Point, since: int) -> list[DayCounts]:
        """The counted days of a point that end after `since`, oldest first."""
        ...

    async def verdicts(self, site: str, alarms: list[str], since: int) -> list[Verdict]:
        """What these points would have said of faults that ended after `since`."""
        ...

    async def faults(self, site: str, since: int) -> list[FaultRow]:
        """Standing faults that ended after `since`, oldest first."""
        ...

    async def engineer_only_hits(
        self, site: str, alarms: list[str], since: int
    ) -> list[EngineerOnly]:
        """Recorded faults that the engineer's sets told and the live ones did not."""
        ...


class ShadowRows(Protocol):
    """Where it is kept."""

    async def save_counts(self, tx: Transaction, /, body: ShadowCounts, at: int) -> None:
        """Keep a day's counts unless a newer revision is there."""
        ...

    async def save_verdicts(self, tx: Transaction, /, body: ShadowVerdicts, at: int) -> None:
        """Keep verdicts unless a newer revision is there."""
        ...

    async def save_fault(self, tx: Transaction, /, body: FaultRecord, at: int) -> None:
        """Keep a fault unless a newer revision is there."""
        ...


class ShadowIntake:
    """Takes what factories counted."""

    def __init__(self, rows: ShadowRows) -> None:
        self._rows = rows

    async def take(self, tx: Transaction, body: ShadowBody, at: int) -> None:
        """Keep one record of the factory that sent it."""
        why = fault_of(body)
        if why:
            log.error("shadow_record_refused", site=body.site, kind=type(body).__name__, why=why)
            return
        match body:
            case ShadowCounts():
                await self._rows.save_counts(tx, body, at)
            case ShadowVerdicts():
                await self._rows.save_verdicts(tx, body, at)
            case FaultRecord():
                await self._rows.save_fault(tx, body, at)


def fault_of(body: ShadowBody) -> str:
    """Why a record can be of no use; empty if it can."""
    if isinstance(body, FaultRecord):
        return "" if body.start <= body.end else "it ends before it begins"
    columns: list[tuple[str, bytes]] = []
    if isinstance(body, ShadowCounts):
        columns = [("activations", body.activations), ("standing", body.standing)]
    elif body.delays:
        columns = [("delays", body.delays)]
    if not columns and not body.grid:
        return ""  # a fault of which nothing is known any more
    grid = _grid(body.grid)
    if isinstance(grid, str):
        return grid
    size = len(grid) * BYTES_EACH
    return next((f"{name}: {len(data)} bytes for {len(grid)}" for name, data in columns
                 if len(data) != size), "")  # fmt: skip


def _grid(data: dict[str, Any]) -> Grid | str:
    try:
        return Grid.from_dict(data)
    except ValueError as error:
        return str(error)
