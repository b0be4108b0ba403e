"""The annunciation lease: exactly one place sounds.

The brain takes an edge's horn only while its database takes writes and someone attends a console or
a confirmed channel is alive; without renewal the edge sounds again. An overlap of one lease is
possible. A horn is taken only once the edge's backlog is here: what was acknowledged down there
must not sound a second time. It is handed down when what the edge raises comes late or not at all.
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
ANSWER_S = 2.0
LATE_MS = 5_000
"""A horn is handed down when a live event of its edge waits for so long: whether it is the intake,
the bus or the consumer that stands still, nobody hears here of what is raised there. More than a
lost report of what was committed costs, which comes again after three seconds."""
IN_TIME_MS = 2_000
"""And taken only when none waits for longer than this."""


Claim = Callable[[set[str]], Awaitable[bool]]


async def _alone(edges: set[str]) -> bool:
    """There is no other brain."""
    return True


class Annunciation:
    """Holds, renews and gives back the leases of a site's edges."""

    def __init__(
        self, site: str, holder: str, ttl_ms: int, bus: Bus, clock: Clock, fleet: FleetView,
        live: LiveView, attended: Callable[[], bool], writable: Callable[[], Awaitable[bool]],
    ) -> None:  # fmt: skip
        self._site, self._holder, self._ttl = site, holder, ttl_ms
        self._bus, self._clock, self._fleet, self._live = bus, clock, fleet, live
        self.attendance: list[Callable[[], bool]] = [attended]
        """Who hears it here: attended consoles; one of them is enough."""
        self.attended_elsewhere: Callable[[], int | None] = lambda: None
        """How long ago (ms) another brain told of an attended console; None: there is none."""
        self.confirmed: Callable[[str], bool] = lambda _: False
        """Whether people are surely reached about an edge though no console is attended."""
        self.claim: Claim = _alone
        """Tells the other brains whose horn this factory holds, before an edge falls silent."""
        self.elsewhere: Callable[[], set[str]] = set
        """Edges whose horn another brain holds: consoles here sound for them as well."""
        self.settled: Callable[[str], None] = lambda _: None
        """Told the edge that has answered."""
        self._writable = writable
        self._answer_s = min(ANSWER_S, ttl_ms / 3000)
        """An edge that does not answer must not cost the others their renewal."""
        self._until: dict[str, int] = {}
        self._probe: asyncio.Future[bool] | None = None

    async def run(self) -> None:
        """Renew three times within a lease, for ever."""
        while True:
            wanted = {edge for edge in self._heard() if self._reached(edge) and self._in_time(edge)}
            if wanted and not await self._can_write():
                wanted = set()
            claimed = {edge for edge in wanted if self._concerns(edge, True)}
            if not await self.claim(claimed | self._until.keys()):
                wanted = set()
            async with asyncio.TaskGroup() as group:
                for edge in self._fleet.edges:
                    if self._reached(edge) and self._concerns(edge, edge in wanted):
                        group.create_task(self._ask(edge, release=edge not in wanted))
            self.settle()
            await asyncio.sleep(self._ttl / 3000)

    def _heard(self) -> set[str]:
        """Edges whose alarms somebody hears of here."""
        attended = self._here() or self.attended_elsewhere() is not None
        return {edge for edge in self._fleet.edges if attended or self.confirmed(edge)}

    def _reached(self, edge: str) -> bool:
        """Whether a lease could still begin there: it counts from the newest heartbeat. What is
        not reached is not claimed either, or other brains would sound for it beside the edge."""
        unheard = self._fleet.unheard_ms(edge)
        return unheard is not None and unheard < self._ttl and self._fleet.online(edge)

    def _in_time(self, edge: str) -> bool:
        """Whether what this edge raises comes here while it matters."""
        held = edge in self._until
        late = self._fleet.late_ms(edge)
        if late <= (LATE_MS if held else IN_TIME_MS):
            return True
        if held:
            log.warning("live_lane_stands", edge=edge, late_ms=late)
        return False

    def _here(self) -> bool:
        return any(hears() for hears in self.attendance)

    def _ttl_of(self, edge: str) -> int:
        """For how long to take a horn: what was only heard of counts from when it was so."""
        if self._here() or self.confirmed(edge):
            return self._ttl
        return max(self._ttl - (self.attended_elsewhere() or 0), 1)

    def _concerns(self, edge: str, wanted: bool) -> bool:
        """Whether to ask this edge now: to renew, to hand down, or to take what is caught up."""
        mine = edge in self._until or edge in self.elsewhere()  # left by who led before
        return mine or (wanted and self._fleet.caught_up(edge))

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
        if (fault := probe.exception()) is not None:
            # Whatever it is, nothing can be promised: the edges sound, and this loop goes on.
            log.error("write_probe_failed", error=repr(fault))
            return False
        return probe.result()

    async def release_all(self) -> None:
        """Hand every horn down, at a clean stop."""
        async with asyncio.TaskGroup() as group:
            for edge in list(self._until):
                group.create_task(self._ask(edge, release=True))

    async def _ask(self, edge: str, *, release: bool) -> None:
        node, ttl = Node(self._site, edge), self._ttl_of(edge)
        grant = LeaseGrant(
            id=uuid7(self._clock),
            holder=self._holder,
            ttl_ms=ttl,
            released=release,
            token=heard[0] if (heard := self._fleet.token(edge)) else None,
        )
        if not release:
            # From the moment the edge may fall silent this console must be ready to sound: until
            # the lease ends there, which counts from the heartbeat that its token came with.
            heard = self._clock.mono_ms() - (self._fleet.unheard_ms(edge) or 0)
            self._until[edge] = max(self._until.get(edge, 0), heard + ttl)
            self.settle()
        try:
            data = await self._bus.request_down(node, node.lease, encode(grant), self._answer_s)
            accepted = decode(data, LeaseAck).accepted
        except (TransportError, ContractError) as error:
            log.warning("lease_unanswered", edge=edge, error=str(error))
            return  # unknown: keep sounding here until the lease has surely ended
        self.settled(edge)
        if release or not accepted:
            self._until.pop(edge, None)

    def settle(self) -> None:
        """Bring what sounds here to the leases as they stand."""
        now = self._clock.mono_ms()
        held = {edge for edge, until in self._until.items() if until > now}
        for edge in list(self._until):
            if edge not in held:
                del self._until[edge]
        held |= self.elsewhere()
        self._fleet.annunciator = {
            edge: "brain" if edge in held else "edge" for edge in self._fleet.edges
        }
        if held != self._live.horn_edges:
            self._live.horn_edges = held
            self._live.touch()
