"""A checked site as a value, and the part of it that one edge runs.

Made by `loader`, read by the tiers; no IO.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.alarm.definition import AlarmDefinition
from shared.site.assets import AssetSpec, AssetTree
from shared.site.incidents import IncidentsFile
from shared.site.kpi import KPI_FILE, KpiFile
from shared.site.life_cycle import FirstOutGroupSpec, SuppressionGroupSpec
from shared.site.links import Links
from shared.site.model import BindingsFile, ReflexSpec, SiteFile, SourceSpec, TagSpec
from shared.site.notify import NOTIFY_FILE, NotifyFile
from shared.site.process import StationSpec
from shared.site.sinks import SinkSpec
from shared.site.states import ChartSpec

NO_INCIDENTS_FILE = IncidentsFile()
NO_KPI_FILE = KpiFile()
NO_NOTIFY_FILE = NotifyFile()


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
    asset_specs: dict[str, AssetSpec] = field(default_factory=dict)
    incident_files: dict[str, IncidentsFile] = field(default_factory=dict)
    """One at most, by name; a dictionary as all that is taken over."""
    links: Links = field(default_factory=Links)
    stations: dict[str, StationSpec] = field(default_factory=dict)
    """The process's steps, in the order of `process.yaml`."""
    kpi_files: dict[str, KpiFile] = field(default_factory=dict)
    notify_files: dict[str, NotifyFile] = field(default_factory=dict)
    sinks: dict[str, SinkSpec] = field(default_factory=dict)
    _said: dict[str, bool] = field(init=False, default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._said["simulated"] = self.info.simulated

    @property
    def simulated(self) -> bool:
        """Whether all devices are simulators, as the version in force says: a drill may move them.

        Devices are taken over while a tier runs; what it may do with them must be, too.
        """
        return self._said["simulated"]

    @property
    def incidents(self) -> IncidentsFile:
        """How alarms are understood together."""
        return next(iter(self.incident_files.values()), NO_INCIDENTS_FILE)

    @property
    def kpi(self) -> KpiFile:
        """Thresholds of the alarm figures."""
        return self.kpi_files.get(KPI_FILE, NO_KPI_FILE)

    @property
    def notify(self) -> NotifyFile:
        """Who is told of which alarms."""
        return self.notify_files.get(NOTIFY_FILE, NO_NOTIFY_FILE)

    @property
    def assets(self) -> AssetTree:
        """What lies in what."""
        return AssetTree.of(self)

    def become(self, other: Site) -> None:
        """Take over the content of another version, for all who hold this one's dictionaries."""
        pairs: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (self._said, other._said),
            (self.sources, other.sources), (self.tags, other.tags), (self.alarms, other.alarms),
            (self.reflexes, other.reflexes), (self.charts, other.charts),
            (self.bindings.devices, other.bindings.devices),
            (self.bindings.endpoints, other.bindings.endpoints),
            (self.bindings.alarms, other.bindings.alarms),
            (self.bindings.inputs, other.bindings.inputs),
            (self.asset_specs, other.asset_specs),
            (self.incident_files, other.incident_files),
            (self.kpi_files, other.kpi_files),
            (self.notify_files, other.notify_files),
            (self.stations, other.stations),
            (self.sinks, other.sinks),
            (self.links.inbound, other.links.inbound),
            (self.links.outbound, other.links.outbound),
            (self.links.devices, other.links.devices),
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
            asset_specs=self.asset_specs,
        )
