"""Watches Andon itself: silent edges, backlog, clocks, disk, database, bus, consumers.

Reads figures every few seconds and switches system conditions with hysteresis; what they mean is in
`domain/system_words.py`. It repairs nothing and must go on whatever fails.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from factory_brain.application.fleet import FleetView
from factory_brain.domain.watches import Watch, Watched, look
from shared.clock import Clock
from shared.telemetry import logger

log = logger("health")
EVERY_S = 5.0
PROBE_S = 3.0
"""A probe that takes longer says nothing this time; the others are not kept waiting."""
UNHEARD_MS = 30_000
"""At its start the brain gives an edge so much longer to be heard."""
UNTOLD_MS = 600_000
"""For so long after the last one it is shown that a change was not told on."""
WATCHES = {
    watch.code: watch
    for watch in (
        Watch("edge_silent", 30_000, 5_000),
        Watch("backlog_growing", 60_000, 10_000, 10_000),
        Watch("clock_drift", 2_000, 1_000, 10_000),
        Watch("disk_full", 95, 92),
        Watch("consumer_behind", 10_000, 1_000, 30_000),
        Watch("database_slow", 1_000, 300, 10_000),
        Watch("database_unwritable", 1, 0, 4_000),
        Watch("bus_cut", 1, 0, 4_000),
        Watch("change_untold", 1, 0),
    )
}
"""Figures in ms, percent, positions; 1 and 0 for yes and no."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One figure of one source; None: could not be read."""

    source: str
    code: str
    value: float | None
    params: dict[str, Any] = field(default_factory=dict)


Probe = Callable[[], Awaitable[Sequence[Reading]]]
SetCondition = Callable[[str, str, bool, dict[str, Any]], Awaitable[None]]
Gone = Callable[[], Sequence[tuple[str, str]]]
"""Conditions that are on, of what the site no longer has: (source, code)."""


class Health:
    """Runs the probes and switches conditions."""

    def __init__(
        self, clock: Clock, probes: Sequence[Probe], switch: SetCondition, gone: Gone = tuple
    ) -> None:
        self._clock, self._probes, self._switch, self._gone = clock, probes, switch, gone
        self._watched: dict[tuple[str, str], Watched] = {}
        self._told: dict[tuple[str, str], bool] = {}

    async def run(self) -> None:
        """For ever."""
        self._watched.clear()  # another brain may have led since, and switched them
        self._told.clear()
        while True:
            await self.once()
            await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        """One round; a probe that fails says nothing this time."""
        for found in await asyncio.gather(*(self._ask(probe) for probe in self._probes)):
            for reading in found:
                await self._judge(reading)
        for source, code in self._gone():
            await self._switch(source, code, False, {})

    async def _ask(self, probe: Probe) -> Sequence[Reading]:
        try:
            async with asyncio.timeout(PROBE_S):
                return await probe()
        except TimeoutError:
            log.warning("probe_slow", probe=getattr(probe, "__name__", repr(probe)))
            return ()

    async def _judge(self, reading: Reading) -> None:
        key = (reading.source, reading.code)
        before = self._watched.get(key, Watched())
        after = look(WATCHES[reading.code], before, reading.value, self._clock.mono_ms())
        self._watched[key] = after
        # Also told once after a start: what was on when the last process ended may be over. What
        # looks bad again is not over: it would come on anew, and sound, when the patience ends.
        waits = not after.active and after.bad_since is not None and key not in self._told
        if self._told.get(key) != after.active and reading.value is not None and not waits:
            await self._switch(*key, after.active, {"value": reading.value, **reading.params})
            self._told[key] = after.active


def untold_probe(site: str, untold: Callable[[], int], clock: Clock) -> Probe:
    """Committed changes that somebody could not be told of within the last minutes."""
    known, since = 0, 0

    async def changes() -> list[Reading]:
        nonlocal known, since
        count, now = untold(), clock.mono_ms()
        if count > known:
            known, since = count, now
        recent = known > 0 and now - since < UNTOLD_MS
        return [Reading(f"{site}.brain", "change_untold", int(recent), {"count": count})]

    return changes


def edge_probe(fleet: FleetView, site: str, clock: Clock) -> Probe:
    """Silence, backlog and clock of every edge."""
    began = clock.mono_ms()

    async def edges() -> list[Reading]:
        readings: list[Reading] = []
        for edge in fleet.as_dto().edges:
            source = f"{site}.{edge.edge}"
            unheard = fleet.unheard_ms(edge.edge)
            silent = clock.mono_ms() - began - UNHEARD_MS if unheard is None else unheard
            readings.append(Reading(source, "edge_silent", max(0, silent)))
            if not edge.online:
                continue
            readings.append(Reading(source, "backlog_growing", edge.oldest_buffered_ms or 0))
            offset = edge.clock_offset_ms
            drift = None if offset is None else abs(offset)
            readings.append(Reading(source, "clock_drift", drift, {"offset_ms": offset}))
        return readings

    return edges
