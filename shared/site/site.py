"""A checked site as a value, and the part of it that one edge runs.

Made by `loader`, read by the tiers; no IO.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from shared.alarm.definition import AlarmDefinition
from shared.site.model import BindingsFile, ReflexSpec, SiteFile, SourceSpec, TagSpec
from shared.site.states import ChartSpec


@dataclass(frozen=True, slots=True)
class Site:
    """A checked site."""

    folder: Path
    info: SiteFile
    sources: dict[str, SourceSpec]
    tags: dict[str, TagSpec]
    alarms: dict[str, AlarmDefinition]
    reflexes: dict[str, ReflexSpec]
    bindings: BindingsFile
    charts: dict[str, ChartSpec] = field(default_factory=dict)

    def of_edge(self, edge: str) -> Site:
        """The part of the site that one edge runs."""
        sources = {k: v for k, v in self.sources.items() if v.edge == edge}
        alarms = {k: v for k, v in self.alarms.items() if v.edge == edge}
        devices = {k: v for k, v in self.bindings.devices.items() if v.edge == edge}
        return Site(
            self.folder,
            self.info,
            sources,
            {k: v for k, v in self.tags.items() if v.source in sources},
            alarms,
            {k: v for k, v in self.reflexes.items() if v.alarm in alarms},
            BindingsFile(devices=devices, endpoints=self.bindings.endpoints),
            {k: v for k, v in self.charts.items() if v.edge == edge},
        )
