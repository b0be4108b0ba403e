"""Samples beside the alarms: what is reported, what is remembered here, what a raise takes along.

Called by the engine with every checked batch, every transition and once a second; stores through
the journal what goes up. Never an alarm, never a wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from edge_node.application.history import History
from edge_node.application.ipc import Samples
from edge_node.application.journal import Journal
from edge_node.application.records import Change, Emit, event
from edge_node.application.sampler import Sampler
from edge_node.application.snippets import Around, Snippets
from edge_node.application.status import TelemetryStatus
from edge_node.domain.alarm_unit import Transition
from edge_node.domain.tags import TagTable
from shared.clock import Clock
from shared.ids import uuid7
from shared.messages.bodies import SampleBatch
from shared.messages.control import SampleAnswer, SampleRequest
from shared.messages.subjects import HISTORY

PAUSE_S = 0.002
"""Between two parts of what goes up: an alarm needs several turns of the loop."""


class Telemetry:
    """One edge's samples."""

    def __init__(
        self, sampler: Sampler, history: History, snippets: Snippets, journal: Journal,
        clock: Clock, steady: Callable[[], int],
    ) -> None:  # fmt: skip
        self.sampler, self.history, self.snippets = sampler, history, snippets
        self._journal, self._clock, self._steady = journal, clock, steady
        self._making: asyncio.Task[None] | None = None
        self._reporting: asyncio.Task[None] | None = None

    def renew(self, tags: TagTable, around: Around) -> None:
        """Another site: report what is waiting, then go on with the new tags."""
        for body in self.sampler.flush():
            self._store(body)
        self.sampler = self.sampler.renewed(tags)
        self.history.renew(tags)
        self.snippets.renew(around)

    def take(self, source: str, batch: Samples) -> None:
        """A batch that the pipeline has checked."""
        if batch.qualities:
            first, last = self.sampler.take(source, batch)
            self.history.add(source, batch, first, last)

    def note(self, transition: Transition) -> Change:
        """Rows to store with a transition."""
        return self.snippets.note(transition, self._steady())

    def ask(self, request: SampleRequest) -> SampleAnswer:
        """The factory's wish for a tag's every sample."""
        return self.sampler.ask(request)

    def status(self) -> TelemetryStatus:
        """What the local page shows of it."""
        sampler, history, snippets = self.sampler, self.history, self.snippets
        mono = self._clock.mono_ms()
        return TelemetryStatus(
            reported=sampler.reported, dropped=sampler.dropped,
            asked={tag: max(0, until - mono) // 1000 for tag, until in sampler.asked.items()},
            history_mb=round(history.bytes / 2**20, 1), history_span_s=history.span_ms // 1000,
            history_disk=history.disk_state, unspilled=history.unspilled,
            snippets_pending=snippets.pending, snippets_sent=snippets.sent,
            snippets_skipped=snippets.skipped,
        )  # fmt: skip

    def second(self) -> None:
        """What is due once a second."""
        if _idle(self._reporting):
            self._reporting = asyncio.create_task(self._report())
        self.history.tick()
        if _idle(self._making) and self.snippets.pending:
            self._making = asyncio.create_task(self._make())

    async def _report(self) -> None:
        """Hand on what has gathered, in parts: a live alarm need not wait for all of them."""
        for body in self.sampler.flush():
            self._store(body)
            await asyncio.sleep(PAUSE_S)

    def _store(self, body: SampleBatch) -> None:
        row = Emit(event(uuid7(self._clock), "samples", self._clock.now_ms(), body), HISTORY)
        self._journal.write([row], droppable=True)

    async def _make(self) -> None:
        for change in await self.snippets.due(self._steady()):
            self._journal.write(change)


def _idle(task: asyncio.Task[None] | None) -> bool:
    """Whether another may begin; a fault in the last one ends the engine's loop, which says so."""
    if task is None:
        return True
    if task.done() and not task.cancelled():
        task.result()
    return task.done()
