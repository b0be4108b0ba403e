"""The brain as a source towards the group: its outbox lane, registration, heartbeat, summary.

What goes up is written to the outbox in the same transaction as what it tells of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import LiveView
from factory_brain.application.ports import Alarms, Sender, Transaction
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import RetryableTransportError
from shared.ids import uuid7
from shared.messages.bodies import (
    AuditHead,
    Body,
    DirectiveReport,
    FactorySummary,
    PlaybookOutcome,
)
from shared.messages.codec import encode
from shared.messages.control import Health
from shared.messages.envelope import Event
from shared.messages.subjects import LIVE, Node
from shared.outbox.drainer import Drainer
from shared.outbox.port import Outbox
from shared.outbox.registration import register
from shared.site.model import SiteFile

SUMMARY_EVERY_S = 2.0
CLOUD_SILENT_MS = 15_000


async def _unfenced(tx: Transaction) -> None:
    """One brain alone needs none."""


class Uplink:
    """Everything this factory says to the group."""

    def __init__(
        self, info: SiteFile, epoch: str, boot: str, bus: Bus, clock: Clock, outbox: Outbox,
        sender: Sender, alarms: Alarms, live: LiveView, fleet: FleetView,
    ) -> None:  # fmt: skip
        self._info, self._epoch, self._boot = info, epoch, boot
        self._bus, self._clock, self._outbox, self._sender = bus, clock, outbox, sender
        self._alarms, self._live, self._fleet = alarms, live, fleet
        self.node = Node(info.site, "brain")
        self.drainer = Drainer(self.node, outbox, bus, (LIVE,))
        self.directive_counter = 0
        self.audit_head: Callable[[], AuditHead | None] = lambda: None
        """The newest signed head of the audit chain."""
        self._registered = asyncio.Event()
        self.leads: Callable[[], bool] = lambda: True
        """Whether this brain speaks for the factory; the others only look."""
        self.fence: Callable[[Transaction], Awaitable[None]] = _unfenced
        """Undoes a transaction of a brain that speaks for the factory no more."""

    async def forward(self, tx: Transaction, events: list[Event]) -> None:
        """Send edges' events on to the group, each under its own id and time."""
        encoded = [encode(event) for event in events]
        await self._sender.append_many(tx, LIVE, self._clock.now_ms(), encoded)
        self.drainer.wake()

    async def say(self, tx: Transaction, kind: str, body: Body) -> None:
        """Send a new event of this factory."""
        now = self._clock.now_ms()
        event = Event(id=uuid7(self._clock), type=kind, time=now, body=body)
        await self._sender.append(tx, LIVE, now, encode(event))
        self.drainer.wake()

    async def run_ended(self, outcome: PlaybookOutcome) -> None:
        """A playbook run's end."""
        async with self._alarms.transaction() as tx:
            await self.say(tx, "playbook_outcome", outcome)

    async def directive(self, report: DirectiveReport) -> None:
        """What this factory itself did with a directive."""
        async with self._alarms.transaction() as tx:
            await self.say(tx, "directive_report", report)

    async def drain(self) -> None:
        """Register, then drain for ever."""
        await register(
            self._bus, self.node, self._outbox, self._clock, epoch=self._epoch, boot=self._boot
        )
        self._registered.set()
        await self.drainer.run()

    async def heartbeat(self) -> None:
        """Say once a second that this brain lives, and watch whether the group answers."""
        while True:
            status = await self._outbox.status()
            now = self._clock.now_ms()
            health = Health(
                source=self.node.source,
                epoch=self._epoch,
                boot=self._boot,
                mono=self._clock.mono_ms(),
                at=now,
                lanes=status.lanes,
                oldest_buffered_ms=now - status.oldest_at if status.oldest_at else None,
                directive_counter=self.directive_counter,
            )
            online = (self._registered.is_set() or not self.leads()) and (
                status.oldest_at is None or now - status.oldest_at < CLOUD_SILENT_MS
            )
            if online != self._live.cloud_online:
                self._live.cloud_online = online
                self._live.touch()
            if self._fleet.changed():
                self._live.touch()
            try:
                if self.leads():
                    await self._bus.publish(self.node.health, encode(health))
            except RetryableTransportError:
                self._live.cloud_online = False
            await asyncio.sleep(1.0)

    async def summarise(self) -> None:
        """Send the factory's totals when they change, every two seconds at most."""
        last: FactorySummary | None = None
        while True:
            banner = self._live.banner()
            worst = [p for p, n in banner.by_priority.items() if n["active"] or n["unacked"]]
            summary = FactorySummary(
                site=self._info.site,
                names={"zh": self._info.name.zh, "en": self._info.name.en},
                active=sum(n["active"] for n in banner.by_priority.values()),
                unacked=banner.unacked,
                worst_priority=min(worst, default=None),
                edges_online=banner.edges_online,
                edges_total=banner.edges_total,
                audit=self.audit_head(),
            )
            if summary != last:
                async with self._alarms.transaction() as tx:
                    await self.fence(tx)
                    await self.say(tx, "factory_summary", summary)
                last = summary
            await asyncio.sleep(SUMMARY_EVERY_S)
