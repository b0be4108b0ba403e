"""Loads a site folder, checks every reference, and says file:line:column and a mend for each fault.

Called by the tiers at start and on change, and by `andon site check`. A bad file raises; the caller
keeps the last good version.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.alarm.definition import AlarmDefinition
from shared.errors import ConfigError
from shared.site.condition_checks import check_conditions
from shared.site.definitions import definition
from shared.site.documents import Documents
from shared.site.expressions import check_expressions
from shared.site.life_cycle import with_groups
from shared.site.life_cycle_checks import check_life_cycle
from shared.site.model import (
    AlarmsFile,
    BindingsFile,
    ReflexesFile,
    SiteFile,
    TagsFile,
    TagSpec,
)
from shared.site.reader import Reader, SiteFaults
from shared.site.references import check_references
from shared.site.site import Site
from shared.site.spread import spread_alarms
from shared.site.states import StatesFile
from shared.site.yaml_file import read_yaml

__all__ = ["Site", "SiteFaults", "load_site"]


Check = Callable[[Site, Reader], None]


def load_site(
    folder: Path, documents: Documents | None = None, checks: Sequence[Check] = ()
) -> Site:
    """Load and check a site folder; raises SiteFaults with all that is wrong.

    `checks` add faults that only others can tell: those of the tiers' plug-ins.
    With `documents`, files that were parsed before are not parsed again; faults have their places
    all the same.
    """
    if documents is not None:
        with suppress(SiteFaults):
            return _load(folder, documents.read, checks)
    return _load(folder, read_yaml, checks)


def _load(folder: Path, read: Callable[[Path], Any], checks: Sequence[Check]) -> Site:
    if not folder.is_dir():
        raise ConfigError(
            "no such site folder",
            where=str(folder),
            mend="give the folder of site.yaml",
        )
    reader = Reader(folder, read)
    info = reader.file(folder / "site.yaml", SiteFile)
    tags = [reader.file(p, TagsFile) for p in sorted((folder / "tags").glob("*.yaml"))]
    alarms = [reader.file(p, AlarmsFile) for p in sorted((folder / "alarms").glob("*.yaml"))]
    reflexes = [reader.file(p, ReflexesFile) for p in sorted((folder / "reflexes").glob("*.yaml"))]
    states = [reader.file(p, StatesFile) for p in sorted((folder / "states").glob("*.yaml"))]
    path = folder / "bindings.yaml"
    bindings = (reader.file(path, BindingsFile) if path.exists() else None) or BindingsFile()
    if info is None or reader.faults:
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
    )
    site.alarms.update(spread_alarms(info.spread, site.tags, site.sources, site.alarms))
    check_references(site, reader)
    check_life_cycle(site, reader)
    check_expressions(site, reader)
    check_conditions(site, reader)
    for check in checks:
        check(site, reader)
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
