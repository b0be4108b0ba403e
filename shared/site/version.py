"""What a site folder's version is: a digest of the files that decide what runs.

Used by the edge (what it runs), by the brain (what it wants) and to find out that nothing changed.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

PARTS = ("tags", "alarms", "states", "reflexes")
SINGLE = ("site.yaml", "bindings.yaml")
BRAIN = (
    "assets.yaml", "incidents.yaml", "kpi.yaml", "links.yaml", "notify.yaml", "process.yaml",
)  # fmt: skip
"""What only the brain reads: a change there is followed, and is no other version for an edge."""
FUNCTIONS = "functions"
"""The plant's own functions and models beside the YAML: part of the version, never parsed here."""


def site_files(folder: Path) -> dict[str, Path]:
    """Relative name -> path of every file that belongs to the site, in order."""
    found = {name: folder / name for name in SINGLE if (folder / name).is_file()}
    for part in PARTS:
        for path in sorted((folder / part).glob("*.yaml")):
            found[f"{part}/{path.name}"] = path
    for path in sorted((folder / FUNCTIONS).rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            found[path.relative_to(folder).as_posix()] = path
    return found


def site_version(folder: Path) -> str:
    """Twelve hexadecimal digits that change with any file of the site; raises OSError."""
    digest = hashlib.sha256()
    for name, path in site_files(folder).items():
        body = path.read_bytes()
        digest.update(f"{name}\0{len(body)}\0".encode())
        digest.update(body)
    return digest.hexdigest()[:12]


def site_stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, sizes and times of the files: cheap to look at, changes whenever a file may have."""
    stamp = []
    more = {name: folder / name for name in BRAIN if (folder / name).is_file()}
    for name, path in (site_files(folder) | more).items():
        info = path.stat()
        stamp.append((name, info.st_size, info.st_mtime_ns))
    return tuple(stamp)
