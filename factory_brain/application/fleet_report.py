"""Tells the group what the brain and the edges run and how they are: versions, backlog, clock.

A state, not history: sent when it has changed in what matters, and once a minute. Run by the
leading brain.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from factory_brain.application.fleet import FleetView
from shared.clock import Clock
from shared.messages.bodies import Body, FleetReport
from shared.outbox.port import Outbox

LOOK_S = 5.0
AGAIN_MS = 60_000
STEADY = (
    "edge", "online", "site_version", "site_desired", "settings_version", "fragments", "drivers",
    "annunciator", "journal_degraded",
)  # fmt: skip
"""What matters at once; figures that move all the time go with the minute."""


class FleetReporter:
    """Reports the fleet of one factory."""

    def __init__(
        self, site: str, fleet: FleetView, outbox: Outbox, clock: Clock,
        send: Callable[[Body], Awaitable[None]], console: str = "",
    ) -> None:  # fmt: skip
        self._site, self._fleet, self._outbox, self._clock = site, fleet, outbox, clock
        self._send, self._console = send, console
        self._last: tuple[Any, int] | None = None

    async def run(self) -> None:
        """For ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> bool:
        """Send the picture if it is due; whether it was."""
        report = await self.report()
        steady = (
            report.site_here, [{name: edge[name] for name in STEADY} for edge in report.edges]
        )  # fmt: skip
        mono = self._clock.mono_ms()
        if self._last is not None and self._last[0] == steady and mono - self._last[1] < AGAIN_MS:
            return False
        await self._send(report)
        self._last = (steady, mono)
        return True

    async def report(self) -> FleetReport:
        """What is known now."""
        now = self._clock.now_ms()
        status = await self._outbox.status()
        edges = []
        for seen in self._fleet.as_dto().edges:
            edges.append({
                "edge": seen.edge, "names": {"zh": seen.name.zh, "en": seen.name.en},
                "online": seen.online, "last_seen": seen.last_seen,
                "site_version": seen.site_version, "site_desired": seen.site_desired,
                "settings_version": seen.settings_version,
                "fragments": self._fleet.fragments(seen.edge) or "",
                "buffered": sum(lane.buffered for lane in seen.lanes.values()),
                "oldest_buffered_ms": seen.oldest_buffered_ms,
                "clock_offset_ms": seen.clock_offset_ms, "drivers": seen.drivers,
                "annunciator": seen.annunciator, "journal_degraded": seen.journal_degraded,
            })  # fmt: skip
        return FleetReport(
            site=self._site, at=now, site_here=self._fleet.site_version, edges=edges,
            brain={
                "buffered": sum(counts.buffered for counts in status.lanes.values()),
                "oldest_buffered_ms": now - status.oldest_at if status.oldest_at else None,
                # Where people of the group find this factory's console; empty: nobody said.
                "console": self._console,
            },
        )  # fmt: skip
