"""Newest tag values for a playbook's conditions, from the historian.

Called by the engine; a value is good only while its edge is heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from factory_brain.application.fleet import FleetView
from shared.clock import Clock
from shared.expression import Reading, TagReading
from shared.site.model import SourceSpec, TagSpec


class Newest(Protocol):
    """The historian's newest rows."""

    async def newest(self, tags: list[str]) -> dict[str, tuple[int, float | None, int]]:
        """(time, value, quality) of each tag that has one."""
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

    async def readings(self, tags: list[str]) -> dict[str, TagReading]:
        """Newest reading of each tag that has one."""
        now = self._clock.now_ms()
        found: dict[str, TagReading] = {}
        for tag, (at, value, quality) in (await self._newest.newest(tags)).items():
            spec = self._tags[tag]
            online = self._fleet.online(self._sources[spec.source].edge)
            good = online and quality == 0 and value is not None
            typed = bool(value) if spec.type == "boolean" and value is not None else value
            found[tag] = Reading(typed, good, max(0, now - at) / 1000, "" if online else "stale")
        return found
