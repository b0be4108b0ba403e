"""A checked site as a value, and the part of it that one edge runs.

Made by `loader`, read by the tiers; no IO.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.alarm.definition import AlarmDefinition
from shared.site.life_cycle import FirstOutGroupSpec, SuppressionGroupSpec
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
    suppression_groups: dict[str, SuppressionGroupSpec] = field(default_factory=dict)
    """For the checks; what they say is in the definitions already. So are the first-out groups."""
    first_out_groups: dict[str, FirstOutGroupSpec] = field(default_factory=dict)

    def become(self, other: Site) -> None:
        """Take over the content of another version, for all who hold this one's dictionaries."""
        pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (self.sources, other.sources), (self.tags, other.tags), (self.alarms, other.alarms),
            (self.reflexes, other.reflexes), (self.charts, other.charts),
            (self.bindings.devices, other.bindings.devices),
            (self.bindings.endpoints, other.bindings.endpoints),
        ]  # fmt: skip
        for mine, theirs in pairs:
            for gone in mine.keys() - theirs.keys():
                del mine[gone]
            mine.update(theirs)

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
