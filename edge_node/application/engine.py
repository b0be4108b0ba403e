"""The engine's heart: what a batch, a timer or a person sets off, stored as one change and shown.

Called by the driver children (samples), its own timer and the uplink; owns no rule of alarms. It
never waits for a disk, a device or the network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from edge_node.application.actuation import Actuation, Order
from edge_node.application.alarm_service import AlarmService
from edge_node.application.board import Board
from edge_node.application.ipc import (
    DriverState,
    FromChild,
    OperatorAction,
    OperatorResult,
    Samples,
    Texts,
)
from edge_node.application.journal import Journal
from edge_node.application.modes import STATES
from edge_node.application.pipeline import Pipeline
from edge_node.application.records import (
    AlarmRecord,
    Change,
    Emit,
    PutAlarm,
    PutCommand,
    PutMeta,
    event,
)
from edge_node.application.reflexes import Reflexes
from edge_node.application.relay import Relay
from edge_node.application.system_events import SystemEvents
from edge_node.application.telemetry import Telemetry
from edge_node.application.transition_log import TransitionLog
from edge_node.domain.alarm_unit import Transition
from shared.clock import Clock
from shared.errors import ContractError
from shared.ids import uuid7
from shared.messages.bodies import StateChange
from shared.messages.codec import encode
from shared.messages.control import SampleAnswer, SampleRequest
from shared.telemetry import logger
from shared.tracing import OFF, Beginnings, Traces

log = logger("engine")
SECOND_S = 1.0
PUSH_S = 0.25
SILENT_MS = 15_000
"""A driver that says it is connected and sends nothing for so long hangs."""
STORE_WAIT_S = 5.0
BEACON_RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the engine plays together."""

    pipeline: Pipeline
    journal: Journal
    alarms: AlarmService
    reflexes: Reflexes
    actuation: Actuation
    telemetry: Telemetry
    board: Board
    system: SystemEvents
    relay: Relay


class Engine:
    """One edge's live loop."""

    def __init__(self, parts: Parts, clock: Clock) -> None:
        self._p, self._clock = parts, clock
        self._log = TransitionLog(clock)
        self.traces: Traces = OFF
        self._beginnings = Beginnings(clock)
        self._traced: list[tuple[str, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._pushing: asyncio.TimerHandle | None = None
        self._shown_all = 0
        """How often everything has been shown."""
        self._beacon: bool | None = None
        self._beacon_task: asyncio.Task[None] | None = None
        self.push: Callable[[bytes], object] = lambda body: None
        self.restart_driver: Callable[[str], None] = lambda source: None
        self.clock_offset: tuple[float, float] | None = None
        """Measured offset of this edge's clock and its uncertainty, ms."""
        parts.journal.on_health = self._on_journal_health
        parts.reflexes.on_result = lambda alarm: self.dirty()

    def use(self, pipeline: Pipeline, relay: Relay) -> None:
        """Go on with another version of the site."""
        self._p = replace(self._p, pipeline=pipeline, relay=relay)

    # samples and time

    def take(self, source: str, message: FromChild) -> None:
        """A batch from a driver child."""
        began = asyncio.get_running_loop().time()
        tags = self._p.pipeline.tags.sources.get(source)
        if tags is None:  # the last words of a source that has left the site
            return
        tags.last_frame = self._clock.mono_ms()
        try:
            if isinstance(message, Samples):
                transitions = self._p.pipeline.take(source, message)
                self._p.telemetry.take(source, message)
            elif isinstance(message, Texts):
                transitions = self._p.pipeline.take_texts(source, message)
            else:
                raise ContractError(f"a driver does not send {type(message).__name__}")
        except ContractError as error:
            tags.malformed += 1
            log.error("batch_refused", source=source, error=str(error), count=tags.malformed)
            return
        self._p.relay.take(source, message)
        self._p.actuation.news()
        self.store([], transitions, began)

    def on_driver(self, source: str, state: DriverState) -> None:
        """A driver's own state: its tags are good only while it is connected."""
        tags = self._p.pipeline.tags.sources.get(source)
        if tags is None:
            return
        tags.up = state.state == "connected"
        tags.last_frame = self._clock.mono_ms()
        if not tags.up:
            self._p.relay.lost(source)
        if state.state != "connecting":
            failed = state.state == "failed"
            self._p.system.set("driver_failed", failed, source, detail=state.detail)
        self.dirty()

    def start(self) -> None:
        """After recovery: arm the timers, show what stands."""
        self.store([], self._p.pipeline.start())
        self.show_all()
        self.dirty()

    def show_all(self) -> None:
        """Show what is in memory, stored or not."""
        self._shown_all += 1
        self._p.board.show_all()

    def _arm(self) -> None:
        wait = self._p.pipeline.next_due_in_ms()
        if wait is None:
            return
        loop = asyncio.get_running_loop()
        at = loop.time() + wait / 1000
        if self._timer is not None and self._timer_at <= at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = loop.call_at(at, self._tick), at

    def _tick(self) -> None:
        self._timer = None
        self.store([], self._p.pipeline.tick())

    # changes

    def store(
        self, rows: Change, transitions: list[Transition] | None = None, began: float = 0.0
    ) -> asyncio.Future[None] | None:
        """Rows and transitions as one change, with the intents of the reflexes they set off."""
        if transitions is None:
            transitions = self._p.pipeline.settle()
        self._arm()
        rows = [*rows, *self._states()]
        if not rows and not transitions:
            return None
        change, records, reflexes = rows, [], []
        for transition in transitions:
            record = AlarmRecord.of_transition(transition)
            records.append(record)
            change.append(PutAlarm(record))
            if transition.told:
                change.append(self._emit(transition))
            change += self._p.telemetry.note(transition)
            if record.closed:
                self._p.alarms.note_closed(record)
            late = transition.late_ms / 1000
            since = began or asyncio.get_running_loop().time() - late
            reflexes += self._p.reflexes.intents(transition, since)
        change += [PutCommand(entry) for _, _, entry in reflexes]
        stored = self._p.journal.write(change, urgent=bool(reflexes))
        if self._traced:
            self._trace_outbox(stored)
        for spec, order, entry in reflexes:
            self._p.reflexes.start(spec, order, entry, stored)
        if records:
            self._show(records, stored)
        return stored

    def _states(self) -> Change:
        """What the state charts have to tell, with where they stand now."""
        modes = self._p.pipeline.modes
        rows: Change = []
        for change in modes.take():
            log.info("state_changed", chart=change.chart, before=change.before, after=change.after)
            body = StateChange(
                chart=change.chart, asset=change.asset, before=change.before, after=change.after
            )
            kind = "state.changed"
            rows.append(Emit(event(uuid7(self._clock), kind, self._clock.now_ms(), body)))
        if rows:
            rows.append(PutMeta(STATES, encode(modes.charts.remember())))
        return rows

    def _emit(self, transition: Transition) -> Emit:
        body = transition.body
        if self.clock_offset is not None:
            offset, uncertainty = self.clock_offset
            body = msgspec.structs.replace(
                body, clock_offset_ms=offset, clock_uncertainty_ms=uncertainty
            )
        self._log.note(body)
        kind, trace = f"alarm.{body.kind}", ""
        if self.traces.on and self._beginnings.may():
            now, received = self._clock.now_ms(), body.receive_time or body.source_time
            trace = self.traces.span(
                "edge.evaluate", "", received, now, alarm=body.alarm, kind=body.kind
            )
            self._traced.append((trace, now))
        return Emit(event(uuid7(self._clock), kind, body.source_time, body, trace))

    def _trace_outbox(self, stored: asyncio.Future[None]) -> None:
        """Spans of the wait for the common commit."""
        traced, self._traced = self._traced, []

        def durable(_: object) -> None:
            now = self._clock.now_ms()
            for trace, since in traced:
                self.traces.span("edge.outbox", trace, since, now)

        stored.add_done_callback(durable)

    def _show(self, records: list[AlarmRecord], stored: asyncio.Future[None]) -> None:
        shown_all = self._shown_all

        def show(_: object = None) -> None:
            # What everything in memory has been shown over since is old.
            if shown_all == self._shown_all and (_ is None or not self._p.journal.degraded):
                for record in records:
                    self._p.board.show(record)
            self.dirty()

        if self._p.journal.degraded:  # people come before the disk
            show()
        else:
            stored.add_done_callback(show)

    def _on_journal_health(self, degraded: bool, reason: str) -> None:
        self._p.board.around.journal_degraded = degraded
        self._p.system.set("journal_degraded", degraded, reason=reason)
        self.show_all()
        self.dirty()

    async def facts(self, rows: Change) -> bool:
        """Store facts with the transitions they caused; whether they are durable."""
        stored = self.store(rows) or self._p.journal.write([])
        return await self._p.journal.durable(stored, STORE_WAIT_S)

    async def act(self, action: OperatorAction) -> OperatorResult:
        """What a person did here; answered when it is stored."""
        rows, result = self._p.alarms.act(action)
        if rows and not await self.facts(rows):
            # It is in force here and will be stored; the person is told that the disk fails.
            return OperatorResult(id=action.id, accepted=True, code="journal_degraded")
        return result

    def ask(self, request: SampleRequest) -> SampleAnswer:
        """The factory wants a tag's every sample for a time."""
        return self._p.telemetry.ask(request)

    # showing

    def dirty(self) -> None:
        """Something shown has changed: tell the page, at most four times a second."""
        if self._pushing is None:
            self._pushing = asyncio.get_running_loop().call_later(PUSH_S, self._push)
        self._sound()

    def _push(self) -> None:
        self._pushing = None
        body = self._p.board.changed()
        if body is not None:
            self.push(body)

    def status_now(self) -> bytes:
        """The status for a page that has just started."""
        self._p.board.changed()
        return self._p.board.encoded()

    def _sound(self) -> None:
        lamps = self._p.actuation.devices_of_type("beacon")
        idle = self._beacon_task is None or self._beacon_task.done()
        if lamps and idle and self._p.board.horn != self._beacon:
            self._beacon_task = asyncio.create_task(self._set_beacons(lamps, self._p.board.horn))

    async def _set_beacons(self, lamps: list[str], on: bool) -> None:
        outcomes = []
        for lamp in lamps:
            order = Order(uuid7(self._clock), lamp, "set", {"on": on}, "beacon")
            outcomes.append(await self._p.actuation.perform(order))
        if all(outcome.outcome == "done" for outcome in outcomes):
            self._beacon = on
        else:
            await asyncio.sleep(BEACON_RETRY_S)

    # every second

    async def run(self) -> None:
        """What is due once a second: samples upward, silent drivers, the horn."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            self._p.telemetry.second()
            self._watch_drivers()
            self.dirty()
            await asyncio.sleep(max(0.05, SECOND_S - (loop.time() - began)))

    def _watch_drivers(self) -> None:
        now = self._clock.mono_ms()
        for name, source in self._p.pipeline.tags.sources.items():
            if source.up and source.tags and now - source.last_frame > SILENT_MS:
                log.error("driver_hangs", source=name, silent_ms=now - source.last_frame)
                source.up = False
                self.restart_driver(name)
