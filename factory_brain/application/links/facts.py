"""People's facts about the alarms of linked systems: the brain answers where an edge would.

Reads the same outbox lane that would go down to an edge; the answer goes into the journal as an
edge's would. Never changes whether a condition is present.
"""

from __future__ import annotations

import asyncio
import contextlib

import msgspec

from factory_brain.application.links.inbound import Inbound
from factory_brain.application.links.ports import Hooks, Lanes
from factory_brain.domain.link_alarms import LinkAlarm, answer_fact
from shared.clock import Clock
from shared.errors import ContractError
from shared.ids import uuid7
from shared.messages.bodies import Body, Fact, FactResult
from shared.messages.codec import decode, encode
from shared.messages.envelope import Event
from shared.site.site import Site
from shared.telemetry import logger

log = logger("links")
EDGE = "link-"
IDLE_S = 5.0


class LinkFacts:
    """Applies facts to linked systems' alarms."""

    def __init__(
        self, site: Site, clock: Clock, hooks: Hooks, lanes: Lanes, inbound: Inbound
    ) -> None:
        self._site, self._clock, self._hooks, self._lanes = site, clock, hooks, lanes
        self._inbound = inbound
        self._wake = asyncio.Event()

    def on_sent(self, edge: str) -> None:
        """The desk has recorded something for `edge`."""
        if edge.startswith(EDGE):
            self._wake.set()

    async def run(self) -> None:
        """Apply what is recorded, for ever."""
        while True:
            self._wake.clear()
            for link in {*self._site.links.inbound, *await self._hooks.links()}:
                await self._pass(link)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_S):
                    await self._wake.wait()

    async def _pass(self, link: str) -> None:
        outbox = self._lanes(EDGE + link)
        for epoch, lane, first, _ in await outbox.pending():
            segment = await outbox.read(epoch, lane, first)
            if segment is None:
                continue
            for raw in segment.events:
                await self._one(link, raw)
            await outbox.committed(epoch, lane, segment.first + len(segment.events) - 1)
            self._inbound.wake()

    async def _one(self, link: str, raw: msgspec.Raw) -> None:
        try:
            fact = decode(bytes(raw), Event).body
        except ContractError as error:
            log.error("fact_unreadable", link=link, error=str(error))
            return
        if not isinstance(fact, Fact):
            return
        now = self._clock.now_ms()
        async with self._hooks.transaction(link) as tx:
            if not await self._hooks.new_fact(tx, fact.id, now):
                return
            before: LinkAlarm | None = await self._hooks.alarm(tx, fact.alarm)
            done = answer_fact(before, fact, now)
            bodies: list[tuple[str, Body]] = []
            if done.transition is not None:
                await self._hooks.put_alarm(tx, done.alarm)
                bodies.append(("alarm", done.transition))
            answer = FactResult(
                fact=fact.id, alarm=fact.alarm, occurrence=fact.occurrence, result=done.result,
                code=done.code,
            )  # fmt: skip
            bodies.append((f"fact.{done.result}", answer))
            events = [
                encode(Event(id=uuid7(self._clock), type=kind, time=now, body=body))
                for kind, body in bodies
            ]
            await self._hooks.append(tx, link, events)
