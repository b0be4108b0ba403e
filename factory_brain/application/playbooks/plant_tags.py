"""Newest tag values for a playbook's conditions, from the historian.

Called by the engine; a value is good only while its edge is heard (right
after a start it is first listened for). What was read is kept for a
moment, and dropped when a newer sample is committed here: many runs look at the same furnace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from factory_brain.application.fleet import FleetView
from shared.clock import Clock
from shared.expression import Reading, TagReading
from shared.site.model import SourceSpec, TagSpec

KEEP_MS = 200
"""Samples that another brain commits are seen after so long at the latest."""
MOST_PEAKS = 5_000


class Newest(Protocol):
    """The historian's newest rows."""

    async def newest(self, tags: list[str]) -> dict[str, tuple[int, float | None, int]]:
        """(time, value, quality) of each tag that has one."""
        ...

    async def highest(self, tags: list[str], since: int) -> dict[str, float]:
        """The highest good value of each tag since a time, the one standing then included."""
        ...


class PlantTags:
    """Implements the engine's `TagSource`.

    Only changes are stored, so an old sample of a living edge is still the present value.
    """

    def __init__(
        self, tags: Mapping[str, TagSpec], sources: Mapping[str, SourceSpec], newest: Newest,
        fleet: FleetView, clock: Clock,
    ) -> None:  # fmt: skip
        self._tags, self._sources, self._newest = tags, sources, newest
        self._fleet, self._clock = fleet, clock
        self._kept: dict[str, tuple[int, tuple[int, float | None, int] | None]] = {}
        self._peaks: dict[tuple[int, str], tuple[int, float | None]] = {}

    async def readings(self, tags: list[str]) -> dict[str, TagReading]:
        """Newest reading of each tag that has one; edges not heard yet are listened for first."""
        await self._fleet.hear(self._edges(tags).values())
        return await self.stored(tags)

    async def stored(self, tags: list[str]) -> dict[str, TagReading]:
        """The same at once, for who only compares: what no edge was heard for counts as stale."""
        edges = self._edges(tags)
        now = self._clock.now_ms()
        found: dict[str, TagReading] = {}
        for tag, (at, value, quality) in (await self._rows(tags)).items():
            spec = self._tags.get(tag)
            if spec is None:
                continue
            online = self._fleet.online(edges[tag])
            good = online and quality == 0 and value is not None
            typed = bool(value) if spec.type == "boolean" and value is not None else value
            found[tag] = Reading(typed, good, max(0, now - at) / 1000, "" if online else "stale")
        return found

    def _edges(self, tags: Iterable[str]) -> dict[str, str]:
        return {t: self._sources[self._tags[t].source].edge for t in tags if t in self._tags}

    def forget(self, tags: Iterable[str]) -> None:
        """Newer samples of these are committed."""
        for tag in tags:
            self._kept.pop(tag, None)
        self._peaks.clear()

    async def peaks(self, tags: list[str], since: int) -> dict[str, float]:
        """The highest good value of each tag since a time."""
        now = self._clock.mono_ms()
        kept = self._peaks
        missing = [
            t for t in tags if (since, t) not in kept or now - kept[since, t][0] > KEEP_MS
        ]  # fmt: skip
        if missing:
            if len(self._peaks) >= MOST_PEAKS:
                self._peaks.clear()
            found = await self._newest.highest(missing, since)
            self._peaks.update({(since, tag): (now, found.get(tag)) for tag in missing})
        peaks = ((tag, self._peaks.get((since, tag), (0, None))[1]) for tag in tags)
        return {tag: peak for tag, peak in peaks if peak is not None}

    async def _rows(self, tags: list[str]) -> dict[str, tuple[int, float | None, int]]:
        now = self._clock.mono_ms()
        missing = [t for t in tags if t not in self._kept or now - self._kept[t][0] > KEEP_MS]
        if missing:
            found = await self._newest.newest(missing)
            self._kept.update({tag: (now, found.get(tag)) for tag in missing})
        rows = ((tag, self._kept.get(tag, (0, None))[1]) for tag in tags)
        return {tag: row for tag, row in rows if row is not None}
