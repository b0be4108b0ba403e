"""Has a large site parsed by processes of their own, before the engine loads it.

Called by the bootstrap at start. Whatever goes wrong here costs time only: the engine then parses
by itself what is missing, and says what is wrong with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from edge_node.adapters.child_pipes import child_env
from shared.site.documents import Documents
from shared.site.version import site_files
from shared.telemetry import logger

log = logger("site")
LARGE_BYTES = 256 * 1024
"""Smaller sites are parsed sooner than a process has started."""
MOST_CHILDREN = 4
PARSE_S = 120.0


def parse_apart(folder: Path, documents: Path) -> int:
    """Parse into the cache what it does not hold of a large site; how many files that were."""
    try:
        sizes = _missing(folder, documents)
    except OSError:
        return 0
    if sum(sizes.values()) < LARGE_BYTES:
        return 0
    shares = _shares(sizes, min(os.cpu_count() or 1, MOST_CHILDREN))
    command = [sys.executable, "-m", "edge_node.parse_child", "--documents", str(documents)]
    started: list[subprocess.Popen[bytes]] = []
    try:
        for share in shares:
            started.append(subprocess.Popen([*command, *map(str, share)], env=child_env()))
        for child in started:
            child.wait(PARSE_S)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("site_not_parsed_apart", error=str(error))
    finally:
        for child in started:
            if child.poll() is None:
                child.kill()
                child.wait()
    return len(sizes)


def _missing(folder: Path, documents: Path) -> dict[Path, int]:
    kept = Documents(documents)
    yaml = [path for path in site_files(folder).values() if path.suffix == ".yaml"]
    return {path: path.stat().st_size for path in yaml if not kept.holds(path)}


def _shares(sizes: dict[Path, int], count: int) -> list[list[Path]]:
    """The files in so many shares of about the same size."""
    shares: list[tuple[int, list[Path]]] = [(0, []) for _ in range(count)]
    for path in sorted(sizes, key=lambda path: -sizes[path]):
        place = min(range(count), key=lambda index: shares[index][0])
        shares[place] = (shares[place][0] + sizes[path], [*shares[place][1], path])
    return [share for _, share in shares if share]
