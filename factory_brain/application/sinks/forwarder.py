"""Forwards to one sink: reads behind its position, writes, and only then moves the position.

Run as a task of its own by `forwarding.py`, so that a slow target delays nobody else. Never drops
anything by itself: what a target refuses for good is recorded, what it does not answer waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import msgspec

from factory_brain.application.sinks.port import (
    Counts,
    EventRow,
    PositionMoved,
    Refused,
    Sink,
    SinkBatch,
    SinkEvents,
    SinkRefusal,
    SinkStore,
    SinkUnreachable,
)
from factory_brain.domain.link_events import event_view
from shared.clock import Clock
from shared.errors import StoreError
from shared.expression import Expression, StaticEnvironment, compile_expression
from shared.site.links import EVENT
from shared.site.sinks import SinkSpec
from shared.site.site import Site
from shared.telemetry import logger

log = logger("sinks")
OWN_MS = 20_000
ELSEWHERE_S = 5.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
SHOWN = 300


@dataclass(slots=True)
class SinkState:
    """Where one sink stands, for people."""

    level_at: int
    """When it last had everything; at first, when it was opened."""
    level: bool = False
    """It has had everything since it was opened."""
    last_ok_at: int | None = None
    failing_since: int | None = None
    error: str = ""
    here: bool = True
    """This brain forwards; else another one of the site does."""
    attempts: int = field(default=0)
    """Failed ones in a row."""


class Forwarder:
    """One sink's work."""

    def __init__(
        self, spec: SinkSpec, sink: Sink, events: SinkEvents, store: SinkStore, site: Site,
        clock: Clock, owner: str,
    ) -> None:  # fmt: skip
        self.spec, self._sink, self._events, self._store = spec, sink, events, store
        self._site, self._clock, self._owner = site, clock, owner
        self._filter: Expression | None = None
        if spec.events:
            self._filter = compile_expression(spec.events, roots={"event": EVENT}, tags=())
        self._owned_until = 0.0
        self.state = SinkState(clock.now_ms())

    async def run(self) -> None:
        """For ever."""
        wait = FIRST_WAIT_S
        while True:
            try:
                more = await self.round()
            except SinkUnreachable as error:
                self._failed(error)
                await asyncio.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT_S)
                continue
            wait = FIRST_WAIT_S
            if not more:
                await asyncio.sleep(self.spec.period / 1000)

    async def close(self) -> None:
        """Let go of the target, and of the right to forward to it."""
        await self._store.release(self.spec.id, self._owner)
        await self._sink.close()

    async def round(self) -> bool:
        """One batch of events and one of samples; whether more may wait."""
        if not await self._ours():
            self.state.here = False
            self.state.level_at, self.state.level = self._clock.now_ms(), True
            self._well()
            await asyncio.sleep(ELSEWHERE_S)
            return False
        self.state.here = True
        begun = self._clock.now_ms()
        more = False
        try:
            if self._filter is not None:
                more = await self._forward_events()
            if self.spec.wants_samples:
                more = await self._forward_samples() or more
        except (PositionMoved, StoreError):
            return True  # another brain was faster; the targets know what they have
        if not more:
            self.state.level_at, self.state.level = begun, True
            self._well()  # what failed no longer waits, though nothing was written since
        return more

    async def _ours(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now < self._owned_until:
            return True
        if not await self._store.own(self.spec.id, self._owner, OWN_MS):
            return False
        self._owned_until = now + OWN_MS / 2000
        return True

    async def _forward_events(self) -> bool:
        found = await self._events.next(self.spec.batch)
        if not found:
            return False
        rows = await asyncio.to_thread(self._rows, found)
        refused = await self._write(SinkBatch(events=rows)) if rows else []
        async with self._store.transaction() as tx:
            await self._events.done(tx, found)
            given = Counts(events=len(rows) - len(refused), refused=len(refused))
            await self._store.count(tx, self.spec.id, given, refused, self._clock.now_ms())
        return len(found) >= self.spec.batch

    async def _forward_samples(self) -> bool:
        waiting = await self._store.samples(self.spec.id, self.spec.batch)
        if waiting is None:
            return False
        spec, site, tags = self.spec, self._site, dict[str, bool]()
        rows = [
            row for row in waiting.samples
            if (tags[row.tag] if row.tag in tags else tags.setdefault(
                row.tag, spec.takes(row.tag, site)
            ))
        ]  # fmt: skip
        refused: list[Refused] = []
        for first in range(0, len(rows), spec.batch):
            refused += await self._write(SinkBatch(samples=rows[first : first + spec.batch]))
        async with self._store.transaction() as tx:
            await self._store.moved(tx, spec.id, waiting)
            given = Counts(samples=len(rows) - len(refused), refused=len(refused))
            await self._store.count(tx, spec.id, given, refused, self._clock.now_ms())
        return len(waiting.samples) >= spec.batch

    def _rows(self, found: Sequence[Any]) -> list[EventRow]:
        """In a thread: of a large batch this takes longer than an alarm may wait."""
        return [row for told in found if (row := self._row(told)) is not None]

    def _row(self, told: Any) -> EventRow | None:
        view = event_view(told, self._site.alarms)
        if view is None or self._filter is None:
            return None
        if self._filter.evaluate(StaticEnvironment({"event": view})) is not True:
            return None
        return EventRow(
            told.source, told.epoch, told.lane, told.seq, told.id, told.time, told.received_at,
            view, msgspec.json.encode(told.body),
        )  # fmt: skip

    async def _write(self, batch: SinkBatch) -> list[Refused]:
        """Write; what is refused for good is found by halving, and told."""
        refused: list[Refused] = []
        waiting = [batch]
        while waiting:
            part = waiting.pop()
            try:
                async with asyncio.timeout(self.spec.timeout / 1000):
                    await self._sink.write(part)
            except TimeoutError:
                raise SinkUnreachable(f"no answer in {self.spec.timeout / 1000:g} s") from None
            except SinkRefusal as fault:
                if len(part) > 1:
                    waiting += reversed(part.halves())
                    continue
                refused += _told(part, str(fault))
                log.warning("sink_refused", sink=self.spec.id, reason=str(fault)[:SHOWN])
        self.state.last_ok_at = self._clock.now_ms()
        self._well()
        return refused

    def _well(self) -> None:
        state = self.state
        state.failing_since, state.error, state.attempts = None, "", 0

    def _failed(self, error: SinkUnreachable) -> None:
        state = self.state
        if state.failing_since is None:
            state.failing_since = self._clock.now_ms()
            log.warning("sink_unreachable", sink=self.spec.id, error=str(error)[:SHOWN])
        state.attempts += 1
        state.error = str(error)[:SHOWN]


def _told(batch: SinkBatch, reason: str) -> Iterator[Refused]:
    for event in batch.events:
        item = {"source": event.source, "id": event.id, "time": event.time}
        yield Refused("event", item, reason[:SHOWN])
    for sample in batch.samples:
        yield Refused("sample", asdict(sample), reason[:SHOWN])
