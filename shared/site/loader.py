"""Loads a site folder, checks every reference, and says file:line:column and a mend for each fault.

Called by the tiers at start and on change, and by `andon site check`. A bad file raises; the caller
keeps the last good version.
"""

from __future__ import annotations

from pathlib import Path

from shared.errors import ConfigError
from shared.site.definitions import definition
from shared.site.model import (
    AlarmsFile,
    BindingsFile,
    ReflexesFile,
    SiteFile,
    TagsFile,
)
from shared.site.reader import Reader, SiteFaults
from shared.site.references import check_references
from shared.site.site import Site

__all__ = ["Site", "SiteFaults", "load_site"]


def load_site(folder: Path) -> Site:
    """Load and check a site folder; raises SiteFaults with all that is wrong."""
    if not folder.is_dir():
        raise ConfigError(
            "no such site folder",
            where=str(folder),
            mend="give the folder of site.yaml",
        )
    reader = Reader()
    info = reader.file(folder / "site.yaml", SiteFile)
    tags = [reader.file(p, TagsFile) for p in sorted((folder / "tags").glob("*.yaml"))]
    alarms = [reader.file(p, AlarmsFile) for p in sorted((folder / "alarms").glob("*.yaml"))]
    reflexes = [reader.file(p, ReflexesFile) for p in sorted((folder / "reflexes").glob("*.yaml"))]
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
        {a.id: definition(a, tag_specs) for f in alarms if f for a in f.alarms},
        {r.id: r for f in reflexes if f for r in f.reflexes},
        bindings,
    )
    check_references(site, reader)
    if reader.faults:
        raise SiteFaults(reader.faults)
    return site
