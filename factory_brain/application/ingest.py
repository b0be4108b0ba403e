"""What the brain does with received events, in the receiver's transaction, and after its commit.

`apply` writes rows; `after_commit` refreshes the live view, starts playbooks and forwards upward.
It never acknowledges messages and never invents process state.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

import msgspec

from factory_brain.application.ports import Alarms, Samples, Transaction
from factory_brain.application.telling import Doubts, Tell, Telling
from factory_brain.domain.arrivals import Arrived
from factory_brain.domain.projection import said_of_action
from factory_brain.domain.rows import Occurrence
from factory_brain.domain.samples import Columns, columns
from shared.clock import Clock
from shared.errors import ContractError
from shared.messages.bodies import (
    AlarmTransition,
    CommandRecord,
    DirectiveReport,
    Fact,
    FactResult,
    FragmentStep,
    GapRecord,
    LocalAction,
    SampleBatch,
    Snippet,
    StateChange,
    SystemEvent,
)
from shared.messages.control import Hello, Welcome
from shared.messages.envelope import Event, Frame
from shared.metrics import Histogram
from shared.outbox.receiving import Batch, Receipt, Received, Receiver
from shared.telemetry import logger
from shared.tracing import OFF, Recent, Traces

log = logger("ingest")
LATE_MS = 30_000
"""An event older than this on arrival is marked late."""

RECORDED_ONLY = frozenset((StateChange, CommandRecord, GapRecord))
"""Kinds that the journal keeps and nothing else asks for: floods of them cost no more than that."""

OnOccurrence = Callable[[Occurrence, bool], Awaitable[None]]
"""(merged occurrence, whether a transition of it arrived)."""
_AFTER: ContextVar[list[Tell]] = ContextVar("after_commit")
"""What the frame in hand sets off once committed; streams are consumed side by side."""
Forward = Callable[[Transaction, list[Event]], Awaitable[None]]
OnFact = Callable[[Transaction, str, Fact | FactResult], Awaitable[None]]


@dataclass(slots=True)
class IngestMeters:
    """What came in since the start, for the counters."""

    events: Counter[str] = field(default_factory=Counter)
    frames: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    commit_lag: Histogram = field(default_factory=Histogram)

    def took(self, lane: str, receipts: list[Receipt]) -> None:
        """Frames of one kind of lane were committed."""
        self.frames[lane] += len(receipts)
        self.events[lane] += sum(receipt.applied for receipt in receipts)
        self.quarantined[lane] += sum(receipt.quarantined for receipt in receipts)


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
        self._turns: dict[str, asyncio.Lock] = {}
        self.on_occurrence: list[OnOccurrence] = []
        self.on_directive: list[Callable[[Transaction, str, DirectiveReport], Awaitable[None]]] = []
        """Called in the receiver's transaction."""
        self.on_system: list[Callable[[], Awaitable[None]]] = []
        self.on_fragment: list[Callable[[FragmentStep], Awaitable[None]]] = []
        self.on_fact: list[OnFact] = []
        """Called in the receiver's transaction with what people said and edges answered."""
        self.on_said: list[Callable[[str], Awaitable[None]]] = []
        """Told after the commit of the alarm about which something was said."""
        self.on_annunciated: list[Callable[[list[int]], Awaitable[None]]] = []
        """Told after the commit of the times of what was annunciated."""
        self.on_samples: list[Callable[[Transaction, list[Columns]], Awaitable[None]]] = []
        """Called in the receiver's transaction, behind the samples that it has stored."""
        self.on_commit: list[Callable[[], None]] = []
        """Called after each commit that brought events: wakes who reads the journal's feed."""
        self.latencies: deque[tuple[int, int]] = deque(maxlen=1000)
        """(source time, time committed here) of recent transitions, for the benchmarks."""
        self.telling = Telling()
        self._doubts = Doubts()
        self.meters = IngestMeters()
        self.traces: Traces = OFF
        self.recent = Recent()
        """Traces of occurrences, for what follows: notices and the like."""
        self.on_traced: list[Callable[[str, str, int], None]] = []
        """Told after the commit of (alarm, trace context, when it was committed)."""

    async def receive(self, frame: Frame) -> Receipt:
        """Commit one frame, then tell the rest of the brain."""
        return (await self.receive_many([frame]))[0]

    async def receive_many(self, frames: list[Frame]) -> list[Receipt]:
        """Commit frames of one kind of lane together, then tell the rest of the brain."""
        assert self.receiver is not None
        after: list[Tell] = []
        _AFTER.set(after)
        # However many edges: one transaction for a kind of lane, so that samples and backlogs
        # leave connections for what is live.
        async with self._turns.setdefault(frames[0].lane, asyncio.Lock()):
            try:
                receipts = await self.receiver.receive_many(frames)
            except BaseException:
                self._doubts.add(frames, after)
                raise
        after[:0] = self._doubts.believed(frames, receipts)
        self.meters.took(frames[0].lane, receipts)
        if any(receipt.applied for receipt in receipts):
            for wake in self.on_commit:
                wake()
        await self.telling.tell(frames[0].lane, after)
        return receipts

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
                    work.samples.append(columns(body))
                except ContractError as error:
                    log.error("samples_unreadable", source=batch.source, error=str(error))
                continue
            if isinstance(body, Snippet):
                await self._keep_snippet(connection, batch, body)
                continue
            work.journal.append(item)
            if type(body) not in RECORDED_ONLY:
                work.sort(edge, batch.received_at, item)
        alarms = self._alarms
        if work.journal:
            await alarms.insert_events(connection, batch, work.journal, LATE_MS)
        if work.samples:
            await self._samples.insert(connection, work.samples)
            for listener in self.on_samples:
                await listener(connection, work.samples)
        if work.touched:
            await alarms.apply_transitions(connection, work.arrived, work.touched)
        for event in work.others:
            await self._other(connection, edge, batch.received_at, event, work)
        if work.said:
            await alarms.set_local_actions(connection, work.said)
        await self._refresh(connection, work)
        if sounded := [a.body.source_time or a.time for a in work.arrived if a.body.annunciate]:
            work.after.extend(Tell(partial(told, sounded)) for told in self.on_annunciated)
        if work.forward:
            await self._forward(connection, work.forward)
        if work.traced and self.traces.on:
            told = partial(self._trace, batch.received_at, work.traced)
            work.after.insert(0, Tell(told))
        if work.latencies:
            self.latencies.extend(work.latencies)
            oldest = min(at for at, _ in work.latencies)
            work.after.append(Tell(partial(self._committed, oldest)))
        _AFTER.get().extend(work.after)

    async def _trace(self, since: int, traced: list[tuple[str, AlarmTransition]]) -> None:
        now = self._clock.now_ms()
        for trace, body in traced:
            context = self.traces.span("brain.ingest", trace, since, now, alarm=body.alarm)
            self.recent.note(body.occurrence, context)
            for told in self.on_traced:
                told(body.alarm, context, now)

    async def _committed(self, oldest: int) -> None:
        self.meters.commit_lag.observe(max(0, self._clock.now_ms() - oldest) / 1000)

    async def _keep_snippet(self, connection: Transaction, batch: Batch, body: Snippet) -> None:
        edge = batch.source.partition(".")[2]
        try:
            unpacked = len(columns(body.samples).times)
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
                await self._said(connection, edge, body, work)
            case FactResult():
                await self._alarms.fact_result(connection, body.fact, body.result, body.code)
                await self._said(connection, edge, body, work)
            case DirectiveReport():
                for listener in self.on_directive:
                    await listener(connection, edge, body)
            case SystemEvent():
                await self._alarms.set_system(
                    connection, edge, body.code, body.active, body.params, now
                )
                work.after.extend(Tell(told) for told in self.on_system)
            case FragmentStep():
                work.after.extend(Tell(partial(told, body)) for told in self.on_fragment)
            case _:
                return

    async def _said(
        self, connection: Transaction, edge: str, body: Fact | FactResult, work: _Work
    ) -> None:
        for listener in self.on_fact:
            await listener(connection, edge, body)
        work.after.extend(Tell(partial(told, body.alarm)) for told in self.on_said)

    async def _refresh(self, connection: Transaction, work: _Work) -> None:
        if not work.touched:
            return
        for merged in await self._alarms.refresh(connection, list(work.touched)):
            moved = work.touched[merged.occurrence]
            for listener in self.on_occurrence:
                work.after.append(Tell(partial(listener, merged, moved), merged.occurrence))


@dataclass(slots=True)
class _Work:
    """What a batch asks for, sorted by what can be written together."""

    journal: list[Received] = field(default_factory=list)
    samples: list[Columns] = field(default_factory=list)
    arrived: list[Arrived] = field(default_factory=list)
    others: list[Event] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    """Occurrence -> the edge's newest action on it."""
    touched: dict[str, bool] = field(default_factory=dict)
    """Occurrence -> whether a transition of it arrived."""
    forward: list[Event] = field(default_factory=list)
    after: list[Tell] = field(default_factory=list)
    latencies: list[tuple[int, int]] = field(default_factory=list)
    traced: list[tuple[str, AlarmTransition]] = field(default_factory=list)

    def sort(self, edge: str, now: int, item: Received) -> None:
        """Put one event where it belongs."""
        event, body = item.event, item.event.body
        match body:
            case AlarmTransition():
                late = now - (body.source_time or event.time) > LATE_MS
                self.arrived.append(Arrived(edge, event.id, event.time, now, late, body))
                self.forward.append(event)  # the group folds the same view: every change goes up
                if body.kind in ("raised", "returned"):
                    self.latencies.append((body.receive_time or event.time, now))
                self.touched[body.occurrence] = True
                if event.trace:
                    self.traced.append((event.trace, body))
            case LocalAction():
                self.said[body.occurrence] = said_of_action(body)
                self.touched.setdefault(body.occurrence, False)
            case Fact() | FactResult():
                self.forward.append(event)
                self.others.append(event)
                self.touched.setdefault(body.occurrence, False)
            case DirectiveReport():
                # The source says whose report it is, not the report: no edge speaks for another.
                said = msgspec.structs.replace(body, edge=edge)
                self.forward.append(msgspec.structs.replace(event, body=said))
                self.others.append(event)
            case _:
                self.others.append(event)
