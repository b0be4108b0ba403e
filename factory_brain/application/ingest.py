"""What the brain does with received events, in the receiver's transaction, and after its commit.

`apply` writes rows; `after_commit` refreshes the live view, starts playbooks and forwards upward.
It never acknowledges messages and never invents process state.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from factory_brain.application.ports import Alarms, Samples, Transaction
from factory_brain.domain.arrivals import Arrived
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.samples import Row, unpack
from shared.clock import Clock
from shared.errors import ContractError
from shared.messages.bodies import (
    AlarmTransition,
    DirectiveReport,
    Fact,
    FactResult,
    FragmentStep,
    LocalAction,
    SampleBatch,
    Snippet,
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
TELL_AT_ONCE = 50
_AFTER: ContextVar[list[After]] = ContextVar("after_commit")
"""What the frame in hand sets off once committed; streams are consumed side by side."""
Forward = Callable[[Transaction, list[Event]], Awaitable[None]]


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
        self.on_fragment: list[Callable[[FragmentStep], Awaitable[None]]] = []
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
                if len(self._due) % TELL_AT_ONCE == 0:
                    await asyncio.sleep(0)  # a long frame must not keep a live alarm waiting
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
        """Write a batch's rows on the receiver's connection, in a few statements for all of them.

        Occurrences are locked first and in one go, the outbox to the group comes last: its lane is
        one row that every transaction wants, held only until the commit that follows.
        """
        edge = batch.source.partition(".")[2]
        work = _Work()
        for item in batch.events:
            body = item.event.body
            if isinstance(body, SampleBatch):
                try:
                    work.samples.extend(unpack(body))
                except ContractError as error:
                    log.error("samples_unreadable", source=batch.source, error=str(error))
                continue
            if isinstance(body, Snippet):
                await self._keep_snippet(connection, batch, body)
                continue
            work.journal.append(_journal_row(batch, item))
            work.sort(edge, batch.received_at, item)
        alarms = self._alarms
        if work.journal:
            await alarms.insert_events(connection, work.journal)
        if work.samples:
            await self._samples.insert(connection, work.samples)
        if work.touched:
            await alarms.apply_transitions(connection, work.arrived, work.touched)
        for event in work.others:
            await self._other(connection, edge, batch.received_at, event, work)
        if work.said:
            await alarms.set_local_actions(connection, work.said)
        await self._refresh(connection, work)
        if work.forward:
            await self._forward(connection, work.forward)
        self.latencies.extend(work.latencies)
        _AFTER.get().extend(work.after)

    async def _keep_snippet(self, connection: Transaction, batch: Batch, body: Snippet) -> None:
        edge = batch.source.partition(".")[2]
        try:
            unpacked = sum(1 for _ in unpack(body.samples))
        except ContractError as error:
            log.error("snippet_unreadable", source=batch.source, error=str(error))
            return
        log.debug("snippet_stored", occurrence=body.occurrence, samples=unpacked)
        await self._samples.insert_snippet(connection, edge, body)

    async def _other(
        self, connection: Transaction, edge: str, now: int, event: Event, work: _Work
    ) -> None:
        """Apply one event of the kinds that are few."""
        body = event.body
        match body:
            case Fact():
                await self._alarms.insert_fact(connection, body, edge, now, "applied")
            case FactResult():
                await self._alarms.fact_result(connection, body.fact, body.result, body.code)
            case DirectiveReport():
                for listener in self.on_directive:
                    await listener(connection, edge, body)
            case SystemEvent():
                await self._alarms.set_system(
                    connection, edge, body.code, body.active, body.params, now
                )
                work.after.extend(self.on_system)
            case FragmentStep():
                work.after.extend(partial(told, body) for told in self.on_fragment)
            case _:
                return

    async def _refresh(self, connection: Transaction, work: _Work) -> None:
        if not work.touched:
            return
        for merged in await self._alarms.refresh(connection, list(work.touched)):
            moved = work.touched[merged.occurrence]
            for listener in self.on_occurrence:
                work.after.append(partial(listener, merged, moved))


@dataclass(slots=True)
class _Work:
    """What a batch asks for, sorted by what can be written together."""

    journal: list[tuple[Any, ...]] = field(default_factory=list)
    samples: list[Row] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    others: list[Event] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    """Occurrence -> the edge's newest action on it."""
    touched: dict[str, bool] = field(default_factory=dict)
    """Occurrence -> whether a transition of it arrived."""
    forward: list[Event] = field(default_factory=list)
    after: list[After] = field(default_factory=list)
    latencies: list[tuple[int, int]] = field(default_factory=list)

    def sort(self, edge: str, now: int, item: Received) -> None:
        """Put one event where it belongs."""
        event, body = item.event, item.event.body
        match body:
            case AlarmTransition():
                late = now - (body.source_time or event.time) > LATE_MS
                self.arrived.append(Arrived(edge, event.id, event.time, now, late, body))
                if body.kind in ("raised", "returned"):
                    self.forward.append(event)
                    self.latencies.append((body.receive_time or event.time, now))
                self.touched[body.occurrence] = True
            case LocalAction():
                self.said[body.occurrence] = f"{body.device} {body.operation}: {body.outcome}"
                self.touched.setdefault(body.occurrence, False)
            case Fact() | FactResult():
                self.others.append(event)
                self.touched.setdefault(body.occurrence, False)
            case DirectiveReport():
                self.forward.append(event)
                self.others.append(event)
            case _:
                self.others.append(event)


def _journal_row(batch: Batch, item: Received) -> tuple[Any, ...]:
    event, body = item.event, item.event.body
    return (
        batch.source, batch.epoch, batch.lane, item.seq, event.id, event.type, event.time,
        batch.received_at, batch.received_at - event.time > LATE_MS,
        getattr(body, "alarm", None), getattr(body, "occurrence", None),
        body,
    )  # fmt: skip
