"""What the brain does with received events, in the receiver's transaction, and after its commit.

`apply` writes rows; `after_commit` refreshes the live view, starts playbooks and forwards upward.
It never acknowledges messages and never invents process state.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
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
After = Callable[[], Awaitable[None]]
MAX_TELLS = 5
"""How often somebody is told of a committed change before a lasting fault is left behind."""
_AFTER: ContextVar[list[After]] = ContextVar("after_commit")
"""What the frame in hand sets off once committed; streams are consumed side by side."""
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
        self.on_directive: list[Callable[[Transaction, str, DirectiveReport], Awaitable[None]]] = []
        """Called in the receiver's transaction."""
        self.on_system: list[Callable[[], Awaitable[None]]] = []
        self.latencies: deque[tuple[int, int]] = deque(maxlen=1000)
        """(source time, time committed here) of recent transitions, for the benchmarks."""
        self.untold = 0
        """Changes of which somebody could not be told, however often it was tried."""
        self._due: deque[After] = deque()
        self._telling = asyncio.Lock()
        self._tells = 0

    async def receive(self, frame: Frame) -> Receipt:
        """Commit one frame, then tell the rest of the brain."""
        assert self.receiver is not None
        after: list[After] = []
        _AFTER.set(after)
        receipt = await self.receiver.receive(frame)
        self._due.extend(after)
        await self._tell()
        return receipt

    async def _tell(self) -> None:
        """Run what is due, in order of commits. What fails stays first and is tried again.

        The frame is committed: nobody would ever hear of it again. The fault travels on, so that
        the frame is not acknowledged and the consumer comes back to what is due.
        """
        async with self._telling:
            while self._due:
                try:
                    await self._due[0]()
                except Exception as error:
                    self._tells += 1
                    if self._tells >= MAX_TELLS:
                        log.error("after_commit_given_up", error=repr(error), tries=self._tells)
                        self.untold += 1
                        self._done()
                    raise
                self._done()

    def _done(self) -> None:
        self._due.popleft()
        self._tells = 0

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
        after: list[After] = []
        for item in batch.events:
            body = item.event.body
            if isinstance(body, SampleBatch):
                try:
                    samples.extend(unpack(body))
                except ContractError as error:
                    log.error("samples_unreadable", source=batch.source, error=str(error))
                continue
            journal.append(_journal_row(batch, item))
            occurrence = await self._one(connection, edge, batch.received_at, item, after)
            if occurrence:
                moved = isinstance(body, AlarmTransition)
                touched[occurrence] = touched.get(occurrence, False) or moved
        if journal:
            await self._alarms.insert_events(connection, journal)
        if samples:
            await self._samples.insert(connection, samples)
        for occurrence, moved in touched.items():
            await self._refresh(connection, occurrence, moved, after)
        _AFTER.get().extend(after)

    async def _one(
        self, connection: Transaction, edge: str, now: int, item: Received, after: list[After]
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
                    await listener(connection, edge, body)
                return None
            case SystemEvent():
                await self._alarms.set_system(
                    connection, edge, body.code, body.active, body.params, now
                )
                after.extend(self.on_system)
                return None
            case _:
                return None

    async def _refresh(
        self, connection: Transaction, occurrence: str, moved: bool, after: list[After]
    ) -> None:
        merged = await self._alarms.refresh_open(connection, occurrence)
        if merged is None:
            return
        for listener in self.on_occurrence:
            after.append(lambda each=listener: each(merged, moved))


def _journal_row(batch: Batch, item: Received) -> tuple[Any, ...]:
    event, body = item.event, item.event.body
    return (
        batch.source, batch.epoch, batch.lane, item.seq, event.id, event.type, event.time,
        batch.received_at, batch.received_at - event.time > LATE_MS,
        getattr(body, "alarm", None), getattr(body, "occurrence", None),
        msgspec.to_builtins(body),
    )  # fmt: skip
