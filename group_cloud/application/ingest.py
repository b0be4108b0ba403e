"""What the cloud does with received events: rows in the receiver's transaction, then wake-ups.

Called by the receiving loop. A factory may speak of itself only: what names another is refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import msgspec

from group_cloud.application.ports import Records, Transaction
from shared.clock import Clock
from shared.messages.bodies import (
    AlarmPoints,
    DirectiveReport,
    FactorySummary,
    FaultRecord,
    FleetReport,
    IncidentRecord,
    OutcomeRecord,
    ShadowCounts,
    ShadowVerdicts,
    WarningWindows,
)
from shared.messages.control import Hello, Welcome
from shared.messages.envelope import Frame
from shared.messages.subjects import BRAIN
from shared.outbox.receiving import Batch, Receipt, Received, Receiver
from shared.telemetry import logger

log = logger("ingest")


class TakesReports(Protocol):
    """See `reports.py`."""

    async def take(self, tx: Transaction, site: str, report: DirectiveReport) -> None:
        """Move a rollout."""
        ...


class TakesTotal(Protocol):
    """See `total.py`."""

    async def take(self, tx: Transaction, site: str, batch: Batch) -> None:
        """Fold a batch into the total set."""
        ...


class TakesShadow(Protocol):
    """See `shadow.py`."""

    async def take(
        self, tx: Transaction, body: ShadowCounts | ShadowVerdicts | FaultRecord, at: int
    ) -> None:
        """Keep what a factory counted."""
        ...


_STATES = (
    FactorySummary, ShadowCounts, ShadowVerdicts, FleetReport, AlarmPoints, WarningWindows,
)  # fmt: skip
"""A state, not history: the newest of each is kept in a table of its own."""


async def _nobody(_: str) -> None:
    """Nobody listens to registrations."""


class Ingest:
    """Applies the factories' events to the group's store."""

    def __init__(
        self, clock: Clock, records: Records, reports: TakesReports, total: TakesTotal,
        shadow: TakesShadow | None = None,
    ) -> None:  # fmt: skip
        self._clock, self._records, self._reports = clock, records, reports
        self._total, self._shadow = total, shadow
        self.receiver: Receiver | None = None
        """Set by the bootstrap: commits frames through `apply`."""
        self.on_outcome: Callable[[], None] = lambda: None
        self.on_report: Callable[[], None] = lambda: None
        self.on_shadow: Callable[[], None] = lambda: None
        """Counts or faults have come: what the health gate of the roll-outs looks at."""
        self.on_incident: Callable[[], None] = lambda: None
        self.on_factory: Callable[[], None] = lambda: None
        self.on_hello: Callable[[str], Awaitable[None]] = _nobody
        self._kinds: set[type] = set()

    async def receive(self, frame: Frame) -> Receipt:
        """Commit one frame, then wake whoever has work from it."""
        return (await self.receive_many([frame]))[0]

    async def receive_many(self, frames: list[Frame]) -> list[Receipt]:
        """Commit frames together, then wake whoever has work from them."""
        assert self.receiver is not None
        self._kinds = set()
        receipts = await self.receiver.receive_many(frames)
        if any(receipt.applied for receipt in receipts):
            self.on_factory()
            if OutcomeRecord in self._kinds:
                self.on_outcome()
            if DirectiveReport in self._kinds:
                self.on_report()
            if IncidentRecord in self._kinds:
                self.on_incident()
            if self._kinds & {ShadowCounts, FaultRecord}:
                self.on_shadow()
        return receipts

    async def hello(self, hello: Hello) -> Welcome:
        """Register a brain's epoch; nobody but brains speaks to the group."""
        assert self.receiver is not None
        if hello.source.rpartition(".")[2] != BRAIN:
            return Welcome(accepted=False, code="not_a_brain", at=self._clock.now_ms())
        welcome = await self.receiver.hello(hello)
        if welcome.accepted:
            await self.on_hello(hello.source.partition(".")[0])
        return welcome

    async def watermarks(self, source: str) -> tuple[dict[str, int], dict[str, int]]:
        """Newest watermarks of a source."""
        assert self.receiver is not None
        return await self.receiver.watermarks(source)

    async def apply(self, connection: Transaction, batch: Batch) -> None:
        """Write a batch's rows on the receiver's connection."""
        site = batch.source.partition(".")[0]
        journal: list[tuple[Any, ...]] = []
        for item in batch.events:
            await self._one(connection, site, batch, item)
            self._kinds.add(type(item.event.body))
            if not isinstance(item.event.body, _STATES):
                journal.append(_journal_row(site, batch, item))
        if journal:
            await self._records.insert_events(connection, journal)
        await self._records.count_events(connection, site, len(journal), batch.received_at)
        await self._total.take(connection, site, batch)

    async def _one(self, tx: Transaction, site: str, batch: Batch, item: Received) -> None:
        body = item.event.body
        match body:
            case (
                OutcomeRecord()
                | FactorySummary()
                | ShadowCounts()
                | ShadowVerdicts()
                | FaultRecord()
            ) if body.site != site:
                log.error("foreign_record", source=batch.source, claims=body.site, seq=item.seq)
            case ShadowCounts() | ShadowVerdicts() | FaultRecord():
                assert self._shadow is not None, "given by whoever receives from factories"
                await self._shadow.take(tx, body, batch.received_at)
            case OutcomeRecord():
                at = item.event.time
                await self._records.save_outcome(tx, site, body, batch.received_at, at)
            case FactorySummary():
                await self._records.save_summary(tx, site, body, batch.received_at)
            case DirectiveReport():
                await self._reports.take(tx, site, body)
            case _:
                return


def _journal_row(site: str, batch: Batch, item: Received) -> tuple[Any, ...]:
    event, body = item.event, item.event.body
    return (
        batch.source, batch.epoch, batch.lane, item.seq, site, event.id, event.type, event.time,
        batch.received_at, getattr(body, "alarm", None), getattr(body, "occurrence", None),
        msgspec.to_builtins(body),
    )  # fmt: skip
