"""Webhooks that go out: each event once into the delivery table, from there by schedule.

Every linked system has a worker of its own, so that one that is slow or away delays no other.
Never loses a delivery: what cannot be delivered is dead, listed, and replayed by a person.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

from factory_brain.application.links.ports import (
    Answered,
    Deliveries,
    Outgoing,
    Poster,
    SetSystem,
)
from factory_brain.application.ports import Transaction
from factory_brain.domain.cloud_event import cloud_event
from factory_brain.domain.link_events import Told, event_view, run_view
from shared.clock import Clock
from shared.expression import Expression, StaticEnvironment, compile_expression
from shared.messages.bodies import PlaybookOutcome
from shared.site.links import EVENT, OutboundSpec
from shared.site.site import Site
from shared.telemetry import logger

log = logger("links")
LEASE_MS = 30_000
"""A delivery in hand is another's after this, should this brain end in the middle."""
IDLE_S = 5.0
LOOK_S = 2.0
JITTER = 0.1
FAILING = 5
"""Failed attempts in a row from which on the link counts as failed."""
DISABLED = "disabled: the receiver answered 410 Gone"


def retry_at(
    schedule: list[int], attempt: int, now: int, answered: Answered, jitter: float
) -> int | None:
    """When to try again after failed attempt number `attempt` (from 1); None: no more. Pure.

    `jitter` in [-1, 1] moves it by a tenth. A receiver that says when to come back is heard.
    """
    if attempt > len(schedule):
        return None
    wait = schedule[attempt - 1] * (1 + JITTER * jitter)
    asked = (answered.retry_after_s or 0) * 1000
    return now + max(int(wait), asked)


class Outbound:
    """All outbound links of a site."""

    def __init__(
        self, site: Site, clock: Clock, deliveries: Deliveries, poster: Poster, system: SetSystem,
        jitter: Callable[[], float] = lambda: random.uniform(-1, 1),
    ) -> None:  # fmt: skip
        self._site, self._clock, self._deliveries = site, clock, deliveries
        self._poster, self._system, self._jitter = poster, system, jitter
        self._filters: dict[str, tuple[OutboundSpec, Expression]] = {}
        self._wakes: dict[str, asyncio.Event] = {}
        self._shown: dict[str, str | None] = {}

    # what there is to tell

    async def put(self, tx: Transaction, events: list[Told]) -> None:
        """Add the deliveries of these events, in the transaction that moves the feed."""
        if not self._site.links.outbound:
            return
        views = [event_view(told, self._site.alarms) for told in events]
        await self.put_views(tx, [view for view in views if view is not None])

    async def put_views(self, tx: Transaction, views: list[dict[str, Any]]) -> None:
        """The same for what is no event of the journal."""
        specs = list(self._site.links.outbound.values())
        rows = [self._row(s, view) for view in views for s in specs if self._wants(s, view)]
        if rows:
            await self._deliveries.put(tx, rows, self._clock.now_ms())

    async def run_ended(self, outcome: PlaybookOutcome) -> None:
        """A playbook run's end; told twice after a kill, delivered once."""
        view = run_view(outcome, self._clock.now_ms())
        specs = self._site.links.outbound.values()
        rows = [self._row(spec, view) for spec in specs if self._wants(spec, view)]
        if rows:
            await self._deliveries.put(None, rows, self._clock.now_ms())
            self.wake()

    def _row(self, spec: OutboundSpec, view: dict[str, Any]) -> Outgoing:
        body = cloud_event(self._site.info.site, view)
        return Outgoing(f"{spec.id}_{view['id']}", spec.id, str(view["type"]), body)

    def _wants(self, spec: OutboundSpec, view: dict[str, Any]) -> bool:
        if spec.area:
            asset = view.get("asset")
            if not asset or not self._site.assets.within(str(asset), spec.area):
                return False
        known = self._filters.get(spec.id)
        if known is None or known[0] is not spec:
            known = (spec, compile_expression(spec.events, roots={"event": EVENT}, tags=()))
            self._filters[spec.id] = known
        return known[1].evaluate(StaticEnvironment({"event": view})) is True

    def wake(self) -> None:
        """Something is due."""
        for each in self._wakes.values():
            each.set()

    # telling it

    async def run(self) -> None:
        """Keep a worker for every outbound link of the site, for ever."""
        self._shown.clear()  # another brain may have led since
        workers: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                wanted = self._site.links.outbound
                for name in workers.keys() - wanted.keys():
                    workers.pop(name).cancel()
                for name in wanted:
                    task = workers.get(name)
                    if task is not None and task.done():
                        task.result()  # a fault of the database: the service starts us anew
                    if task is None:
                        self._wakes[name] = asyncio.Event()
                        workers[name] = asyncio.create_task(self._work(name))
                if workers:
                    await asyncio.wait(
                        workers.values(), timeout=LOOK_S, return_when=asyncio.FIRST_COMPLETED
                    )
                else:
                    await asyncio.sleep(LOOK_S)
        finally:
            for task in workers.values():
                task.cancel()
            await asyncio.gather(*workers.values(), return_exceptions=True)

    async def _work(self, name: str) -> None:
        wake = self._wakes[name]
        while True:
            wake.clear()
            spec = self._site.links.outbound.get(name)
            if spec is None or not await self._pass(spec):
                await self._idle(name, wake)

    async def _idle(self, name: str, wake: asyncio.Event) -> None:
        due = await self._deliveries.next_due(name)
        wait = IDLE_S if due is None else min(IDLE_S, (due - self._clock.now_ms()) / 1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(wait, 0.01)):
                await wake.wait()

    async def _pass(self, spec: OutboundSpec) -> bool:
        """Deliver what is due; whether there was anything."""
        now = self._clock.now_ms()
        if spec.id in await self._deliveries.disabled():
            await self._complain(spec.id, DISABLED)
            await self._deliveries.bury(spec.id, now, DISABLED)
            return False
        strict = spec.order == "strict"
        rows = await self._deliveries.claim(
            spec.id, now, now + LEASE_MS, 1 if strict else spec.concurrency, strict
        )
        await asyncio.gather(*(self._deliver(spec, row) for row in rows))
        return bool(rows)

    async def _deliver(self, spec: OutboundSpec, row: Outgoing) -> None:
        answered = await self._poster.post(spec.endpoint, row.id, row.body)
        now = self._clock.now_ms()
        error, code = answered.error, answered.status
        failing = await self._deliveries.note(spec.id, error)
        if error is None:
            await self._deliveries.settle(row, "delivered", now, now, code, None)
            await self._complain(spec.id, None)
            return
        log.warning("hook_not_delivered", link=spec.id, error=error, attempt=row.attempt + 1)
        if answered.gone:
            await self._deliveries.settle(row, "dead", now, now, code, error)
            await self._deliveries.disable(spec.id, now, DISABLED)
            await self._complain(spec.id, DISABLED)
            return
        due = retry_at(spec.schedule, row.attempt + 1, now, answered, self._jitter())
        status = "dead" if due is None else "due"
        await self._deliveries.settle(row, status, due or now, now, code, error)
        if due is None or failing >= FAILING:
            await self._complain(spec.id, error)

    async def _complain(self, link: str, error: str | None) -> None:
        """Show or take back the condition, when that is a change (or not known after a start)."""
        if link in self._shown and self._shown[link] == error:
            return
        self._shown[link] = error
        params = {} if error is None else {"subject": error}
        await self._system(link, error is not None, params)

    # what a person does

    async def enable(self, link: str, actor: str) -> bool:
        """Tell a disabled one again; False for one that is not there."""
        if link not in self._site.links.outbound:
            return False
        await self._deliveries.enable(link, actor, self._clock.now_ms())
        await self._complain(link, None)
        self.wake()
        return True

    async def replay(self, link: str | None, one: str | None, actor: str) -> int:
        """Deliver dead ones again; how many."""
        number = await self._deliveries.replay(link, one, actor, self._clock.now_ms())
        self.wake()
        return number

    async def prune_for_ever(self) -> None:
        """Forget what ended long ago, once an hour."""
        while True:
            now = self._clock.now_ms()
            for link, spec in list(self._site.links.outbound.items()):
                await self._deliveries.prune(link, now - spec.keep)
            await asyncio.sleep(3600)
