"""Where a site's own functions and models lie: below its `functions` folder, nowhere else.

Used by the drivers that load such files; reads nothing itself.
"""

from __future__ import annotations

from pathlib import Path

from edge_node.adapters.sources.port import Source
from shared.errors import ConfigError

FOLDER = "functions"


def site_file(source: Source, name: str) -> Path:
    """The file `name` (as written in the site, `functions/…`); ConfigError when it is not there."""
    root = Path(source.settings.get("site_dir", ".")).resolve()
    path = (root / name).resolve()
    if not path.is_relative_to(root / FOLDER):
        raise ConfigError(
            f"{name!r} does not lie in the site's {FOLDER} folder",
            mend=f"put the file there and write {FOLDER}/{Path(name).name}",
        )
    if not path.is_file():
        raise ConfigError(
            "no such file", where=name, mend=f"put it into {root / FOLDER}, or correct the name"
        )
    return path


def state_file(source: Source, name: str) -> Path:
    """A file of the source's own folder on the edge's disk; the folder is made when it is used."""
    return Path(source.settings.get("state_dir", ".")) / name
