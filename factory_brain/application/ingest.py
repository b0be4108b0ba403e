"""What the brain does with received events, in the receiver's transaction, and after its commit.

`apply` writes rows; `after_commit` refreshes the live view, starts playbooks and forwards upward.
It never acknowledges messages and never invents process state.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from factory_brain.application.ports import Alarms, Samples, Transaction
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.samples import Row, unpack
from shared.clock import Clock
from shared.errors import ContractError
from shared.messages.bodies import (
    AlarmTransition,
    DirectiveReport,
    Fact,
    FactResult,
    LocalAction,
    SampleBatch,
    SystemEvent,
)
from shared.messages.control import Hello, Welcome
from shared.messages.envelope import Event, Frame
from shared.outbox.receiving import Batch, Receipt, Received, Receiver
from shared.telemetry import logger

log = logger("ingest")
LATE_MS = 30_000
"""An event older than this on arrival is marked late."""

OnOccurrence = Callable[[Occurrence, bool], Awaitable[None]]
"""(merged occurrence, whether a transition of it arrived)."""
Forward = Callable[[Transaction, str, Event], Awaitable[None]]


class Ingest:
    """Applies the edges' events to the factory's store."""

    def __init__(self, clock: Clock, alarms: Alarms, samples: Samples, forward: Forward) -> None:
        self._clock, self._alarms, self._samples, self._forward = (
            clock,
            alarms,
            samples,
            forward,
        )
        self.receiver: Receiver | None = None
        """Set by the bootstrap: commits frames through `apply`."""
        self.on_occurrence: list[OnOccurrence] = []
        self.on_directive: list[Callable[[str, DirectiveReport], Awaitable[None]]] = []
        self.on_system: list[Callable[[], Awaitable[None]]] = []
        self.latencies: deque[tuple[int, int]] = deque(maxlen=1000)
        """(source time, time committed here) of recent transitions, for the benchmarks."""
        self._after: list[Callable[[], Awaitable[None]]] = []

    async def receive(self, frame: Frame) -> Receipt:
        """Commit one frame, then tell the rest of the brain."""
        assert self.receiver is not None
        self._after = []
        receipt = await self.receiver.receive(frame)
        after, self._after = self._after, []
        for action in after:
            await action()
        return receipt

    async def hello(self, hello: Hello) -> Welcome:
        """Register an edge's epoch."""
        assert self.receiver is not None
        return await self.receiver.hello(hello)

    async def watermarks(self, source: str) -> tuple[dict[str, int], dict[str, int]]:
        """Newest watermarks of a source."""
        assert self.receiver is not None
        return await self.receiver.watermarks(source)

    async def apply(self, connection: Transaction, batch: Batch) -> None:
        """Write a batch's rows on the receiver's connection."""
        edge = batch.source.partition(".")[2]
        journal: list[tuple[Any, ...]] = []
        samples: list[Row] = []
        touched: dict[str, bool] = {}
        for item in batch.events:
            body = item.event.body
            if isinstance(body, SampleBatch):
                try:
                    samples.extend(unpack(body))
                except ContractError as error:
                    log.error("samples_unreadable", source=batch.source, error=str(error))
                continue
            journal.append(_journal_row(batch, item))
            occurrence = await self._one(connection, edge, batch.received_at, item)
            if occurrence:
                moved = isinstance(body, AlarmTransition)
                touched[occurrence] = touched.get(occurrence, False) or moved
        if journal:
            await self._alarms.insert_events(connection, journal)
        if samples:
            await self._samples.insert(connection, samples)
        for occurrence, moved in touched.items():
            await self._refresh(connection, occurrence, moved)

    async def _one(
        self, connection: Transaction, edge: str, now: int, item: Received
    ) -> str | None:
        """Apply one event; returns the occurrence that it touches."""
        event, body = item.event, item.event.body
        match body:
            case AlarmTransition():
                late = now - (body.source_time or event.time) > LATE_MS
                await self._alarms.upsert_transition(
                    connection, edge, event.id, event.time, now, late, body
                )
                if body.kind in ("raised", "returned"):
                    await self._forward(connection, edge, event)
                    self.latencies.append((body.receive_time or event.time, now))
                return body.occurrence
            case Fact():
                await self._alarms.insert_fact(connection, body, edge, now, "applied")
                return body.occurrence
            case FactResult():
                await self._alarms.fact_result(connection, body.fact, body.result, body.code)
                return body.occurrence
            case LocalAction():
                await self._alarms.set_local_action(
                    connection,
                    body.occurrence,
                    f"{body.device} {body.operation}: {body.outcome}",
                )
                return body.occurrence
            case DirectiveReport():
                await self._forward(connection, edge, event)
                for listener in self.on_directive:
                    self._after.append(lambda each=listener: each(edge, body))
                return None
            case SystemEvent():
                await self._alarms.set_system(
                    connection, edge, body.code, body.active, body.params, now
                )
                self._after.extend(self.on_system)
                return None
            case _:
                return None

    async def _refresh(self, connection: Transaction, occurrence: str, moved: bool) -> None:
        merged = await self._alarms.refresh_open(connection, occurrence)
        if merged is None:
            return
        for listener in self.on_occurrence:
            self._after.append(lambda each=listener: each(merged, moved))


def _journal_row(batch: Batch, item: Received) -> tuple[Any, ...]:
    event, body = item.event, item.event.body
    return (
        batch.source, batch.epoch, batch.lane, item.seq, event.id, event.type, event.time,
        batch.received_at, batch.received_at - event.time > LATE_MS,
        getattr(body, "alarm", None), getattr(body, "occurrence", None),
        msgspec.to_builtins(body),
    )  # fmt: skip
