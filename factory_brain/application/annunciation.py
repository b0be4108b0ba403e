"""The annunciation lease: exactly one place sounds.

The brain takes an edge's horn only while its database takes writes and someone attends a console;
without renewal the edge sounds again. An overlap of one lease is possible, a gap is not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import LiveView
from shared.bus.port import Bus
from shared.clock import Clock
from shared.errors import ContractError, TransportError
from shared.ids import uuid7
from shared.messages.codec import decode, encode
from shared.messages.control import LeaseAck, LeaseGrant
from shared.messages.subjects import Node
from shared.telemetry import logger

log = logger("annunciation")
PROBE_S = 1.0


class Annunciation:
    """Holds, renews and gives back the leases of a site's edges."""

    def __init__(
        self, site: str, holder: str, ttl_ms: int, bus: Bus, clock: Clock, fleet: FleetView,
        live: LiveView, attended: Callable[[], bool], writable: Callable[[], Awaitable[bool]],
    ) -> None:  # fmt: skip
        self._site, self._holder, self._ttl = site, holder, ttl_ms
        self._bus, self._clock, self._fleet, self._live = bus, clock, fleet, live
        self._attended, self._writable = attended, writable
        self._until: dict[str, int] = {}
        self._probe: asyncio.Future[bool] | None = None

    async def run(self) -> None:
        """Renew three times within a lease, for ever."""
        while True:
            wanted = self._attended() and await self._can_write()
            async with asyncio.TaskGroup() as group:
                for edge in self._fleet.edges:
                    if self._fleet.online(edge) and (wanted or edge in self._until):
                        group.create_task(self._ask(edge, release=not wanted))
            self._settle()
            await asyncio.sleep(self._ttl / 3000)

    async def _can_write(self) -> bool:
        """Whether the database takes writes, answered in a second.

        A database that hangs also hangs whoever waits for it: what the edges raise meanwhile would
        be heard nowhere until their leases lapse.
        """
        if self._probe is None:
            self._probe = asyncio.ensure_future(self._writable())
        done, _ = await asyncio.wait({self._probe}, timeout=PROBE_S)
        if not done:
            return False
        probe, self._probe = self._probe, None
        return probe.result()

    async def release_all(self) -> None:
        """Hand every horn down, at a clean stop."""
        async with asyncio.TaskGroup() as group:
            for edge in list(self._until):
                group.create_task(self._ask(edge, release=True))

    async def _ask(self, edge: str, *, release: bool) -> None:
        node = Node(self._site, edge)
        grant = LeaseGrant(
            id=uuid7(self._clock),
            holder=self._holder,
            ttl_ms=self._ttl,
            released=release,
            token=heard[0] if (heard := self._fleet.token(edge)) else None,
        )
        if not release:
            # From the moment the edge may fall silent this console must be ready to sound.
            self._until[edge] = self._clock.mono_ms() + self._ttl
            self._settle()
        try:
            data = await self._bus.request_down(node, node.lease, encode(grant), 2.0)
            accepted = decode(data, LeaseAck).accepted
        except (TransportError, ContractError) as error:
            log.warning("lease_unanswered", edge=edge, error=str(error))
            return  # unknown: keep sounding here until the lease has surely ended
        if release or not accepted:
            self._until.pop(edge, None)

    def _settle(self) -> None:
        now = self._clock.mono_ms()
        held = {edge for edge, until in self._until.items() if until > now}
        for edge in list(self._until):
            if edge not in held:
                del self._until[edge]
        self._fleet.annunciator = {
            edge: "brain" if edge in held else "edge" for edge in self._fleet.edges
        }
        if held != self._live.horn_edges:
            self._live.horn_edges = held
            self._live.touch()
