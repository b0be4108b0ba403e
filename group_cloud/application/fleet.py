"""The factories as the group sees them: heartbeats in memory, totals from the store.

Called by the bus (health) and the web; it shows, and never sounds.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from group_cloud.application.ports import Records
from group_cloud.domain.scope import Scope
from shared.clock import Clock
from shared.errors import ContractError
from shared.messages import subjects
from shared.messages.codec import decode
from shared.messages.control import Counts, Health
from shared.telemetry import logger
from shared.web.dto import Factory, FactoryList, LaneCounts, Text

log = logger("fleet")
OFFLINE_AFTER_MS = 5_000
SAVE_EVERY_S = 30.0
MAX_SITES = 1_000
"""Sites that heartbeats may bring into memory."""


@dataclass(slots=True)
class _Seen:
    lanes: dict[str, Counts]
    at: int
    at_mono: int
    told_until: int = 0
    """By its own clock: what happened before has left it."""


class FactoryView:
    """Newest heartbeat and totals of every factory."""

    def __init__(self, records: Records, clock: Clock) -> None:
        self._records, self._clock = records, clock
        self._seen: dict[str, _Seen] = {}

    async def on_health(self, subject: str, data: bytes) -> None:
        """One heartbeat of a brain."""
        node, _, _ = subjects.parse(subject)
        try:
            health = decode(data, Health)
        except ContractError as error:
            log.error("health_unreadable", node=node.source, error=str(error))
            return
        if not node.is_brain or health.source != node.source:
            log.error("health_forged", node=node.source, claims=health.source)
            return
        if node.site in self._seen or len(self._seen) < MAX_SITES:
            until = health.at - (health.oldest_buffered_ms or 0)
            now, mono = self._clock.now_ms(), self._clock.mono_ms()
            self._seen[node.site] = _Seen(health.lanes, now, mono, until)

    def online(self, site: str) -> bool:
        """Whether a heartbeat came within the last five seconds."""
        seen = self._seen.get(site)
        return seen is not None and self._clock.mono_ms() - seen.at_mono < OFFLINE_AFTER_MS

    def told_until(self, site: str) -> int | None:
        """Up to when a factory had told all that its brain knew, by that brain's clock."""
        seen = self._seen.get(site)
        return seen.told_until if seen else None

    def seen_at(self, site: str) -> int | None:
        """When a heartbeat came last since this process began."""
        seen = self._seen.get(site)
        return seen.at if seen else None

    def online_sites(self) -> frozenset[str]:
        """Sites that are heard now."""
        return frozenset(site for site in self._seen if self.online(site))

    async def as_dto(self, scope: Scope) -> FactoryList:
        """For the group's overview: the factories within a scope."""
        factories = []
        for row in await self._records.factories(scope):
            seen = self._seen.get(row.site)
            factories.append(
                Factory(
                    site=row.site,
                    name=Text(zh=row.names.get("zh", ""), en=row.names.get("en", "")),
                    online=self.online(row.site),
                    last_seen=seen.at if seen else row.last_seen,
                    active=row.active,
                    unacked=row.unacked,
                    worst_priority=row.worst_priority,
                    events=row.events,
                    outcomes=row.outcomes,
                    edges_online=row.edges_online,
                    edges_total=row.edges_total,
                    lanes={name: _lane(c) for name, c in (seen.lanes if seen else {}).items()},
                )
            )
        return FactoryList(factories=factories)

    async def save_for_ever(self) -> None:
        """Keep when each factory was last heard, so that a restart does not forget it."""
        while True:
            await asyncio.sleep(SAVE_EVERY_S)
            if self._seen:
                await self._records.save_seen({site: s.at for site, s in self._seen.items()})


def _lane(counts: Counts) -> LaneCounts:
    return LaneCounts(
        produced=counts.produced,
        delivered=counts.delivered,
        buffered=counts.buffered,
        dropped=counts.dropped,
        quarantined=counts.quarantined,
    )
