"""Loads a site folder, checks every reference, and says file:line:column and a mend for each fault.

Called by the tiers at start and on change, and by `andon site check`. A bad file raises; the caller
keeps the last good version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from shared.alarm.definition import AlarmDefinition
from shared.errors import ConfigError
from shared.site.assets import AssetsFile, check_assets
from shared.site.condition_checks import check_conditions
from shared.site.definitions import definition
from shared.site.documents import Documents
from shared.site.expressions import check_expressions
from shared.site.filter_checks import check_filters
from shared.site.incidents import IncidentsFile, check_incidents
from shared.site.kpi import KPI_FILE, KpiFile
from shared.site.life_cycle import with_groups
from shared.site.life_cycle_checks import check_life_cycle
from shared.site.links import Links, LinksFile, check_links
from shared.site.model import (
    AlarmsFile,
    BindingsFile,
    ReflexesFile,
    SiteFile,
    TagsFile,
    TagSpec,
)
from shared.site.notify import NOTIFY_FILE, NotifyFile, check_notify
from shared.site.process import ProcessFile, check_process
from shared.site.reader import M, Reader, SiteFaults
from shared.site.references import check_references
from shared.site.sinks import SINKS_FILE, SinksFile, check_sinks
from shared.site.site import Site
from shared.site.spread import spread_alarms
from shared.site.states import StatesFile
from shared.site.yaml_file import read_yaml

__all__ = ["Site", "SiteFaults", "load_site"]


Check = Callable[[Site, Reader], None]


def load_site(
    folder: Path, documents: Documents | None = None, checks: Sequence[Check] = (),
    *, thorough: bool = False, brain: bool = True,
) -> Site:  # fmt: skip
    """Load and check a site folder; raises SiteFaults with all that is wrong.

    `checks` add faults that only others can tell: those of the tiers' plug-ins.
    With `documents`, files that were parsed before are not parsed again; faults have their places
    all the same. With `thorough`, what can be read is checked though something else cannot: for
    people who mend a site, since which file a fault is put down to decides what an edge holds back.
    Without `brain`, the files that only a brain reads are left alone: a fault there stops no edge.
    """
    if documents is not None:
        with suppress(SiteFaults):
            return _load(Reader(folder, documents.read), folder, checks, brain)
    return _load(Reader(folder, read_yaml, thorough=thorough), folder, checks, brain)


@dataclass(frozen=True, slots=True)
class _Optional:
    """Files that only a brain reads, and that a site need not have."""

    reader: Reader
    folder: Path
    wanted: bool

    def file(self, name: str, model: type[M]) -> M | None:
        path = self.folder / name
        return self.reader.file(path, model) if self.wanted and path.exists() else None


def _load(reader: Reader, folder: Path, checks: Sequence[Check], brain: bool) -> Site:
    if not folder.is_dir():
        raise ConfigError(
            "no such site folder",
            where=str(folder),
            mend="give the folder of site.yaml",
        )
    info = reader.file(folder / "site.yaml", SiteFile)
    tags = [reader.file(p, TagsFile) for p in sorted((folder / "tags").glob("*.yaml"))]
    alarms = [reader.file(p, AlarmsFile) for p in sorted((folder / "alarms").glob("*.yaml"))]
    reflexes = [reader.file(p, ReflexesFile) for p in sorted((folder / "reflexes").glob("*.yaml"))]
    states = [reader.file(p, StatesFile) for p in sorted((folder / "states").glob("*.yaml"))]
    path = folder / "bindings.yaml"
    bindings = (reader.file(path, BindingsFile) if path.exists() else None) or BindingsFile()
    mine = _Optional(reader, folder, brain)
    assets = mine.file("assets.yaml", AssetsFile) or AssetsFile()
    links = mine.file("links.yaml", LinksFile) or LinksFile()
    incidents = mine.file("incidents.yaml", IncidentsFile)
    process = mine.file("process.yaml", ProcessFile) or ProcessFile()
    kpi = mine.file(KPI_FILE, KpiFile)
    notify = mine.file(NOTIFY_FILE, NotifyFile)
    sinks = mine.file(SINKS_FILE, SinksFile) or SinksFile()
    if info is None or (reader.faults and not reader.thorough):
        raise SiteFaults(reader.faults)
    tag_specs = {t.id: t for f in tags if f for t in f.tags}
    site = Site(
        folder,
        info,
        {s.id: s for f in tags if f for s in f.sources},
        tag_specs,
        _definitions(info, [f for f in alarms if f], tag_specs),
        {r.id: r for f in reflexes if f for r in f.reflexes},
        bindings,
        {c.id: c for f in states if f for c in f.charts},
        {g.id: g for f in alarms if f for g in f.suppression_groups},
        {g.id: g for f in alarms if f for g in f.first_out_groups},
        asset_specs={a.id: a for a in assets.assets},
        incident_files={"incidents.yaml": incidents} if incidents else {},
        links=Links.of(links),
        stations={s.id: s for s in process.stations},
        kpi_files={KPI_FILE: kpi} if kpi else {},
        notify_files={NOTIFY_FILE: notify} if notify else {},
        sinks={s.id: s for s in sinks.sinks},
    )
    site.alarms.update(spread_alarms(info.spread, site.tags, site.sources, site.alarms))
    read = len(reader.faults)
    check_references(site, reader)
    check_assets(site, reader)
    check_incidents(site, reader)
    check_links(site, reader)
    check_process(site, reader)
    check_notify(site, reader)
    check_sinks(site, reader)
    check_life_cycle(site, reader)
    check_expressions(site, reader)
    check_conditions(site, reader)
    check_filters(site, reader)
    for check in checks:
        check(site, reader)
    reader.drop_consequences(read)
    if reader.faults:
        raise SiteFaults(reader.faults)
    return site


def _definitions(
    info: SiteFile, files: list[AlarmsFile], tags: dict[str, TagSpec]
) -> dict[str, AlarmDefinition]:
    chosen, matrix = info.alarm_policy, info.priority_matrix.matrix
    return with_groups(
        {a.id: definition(a, tags, info.timezone, chosen, matrix) for f in files for a in f.alarms},
        [group for file in files for group in file.suppression_groups],
        [group for file in files for group in file.first_out_groups],
    )
