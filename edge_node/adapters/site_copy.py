"""The edge's own copies of its site: the last good one, and a candidate made of what is desired.

Called by the bootstrap at start and by `site_watch` at a change. A faulty file is replaced by its
last good version, so that it stops its own change and nothing else.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ConfigError, StoreError
from shared.site.version import site_files, site_version

NAME = "site-last-good"
CANDIDATE = "site-candidate"
MOST_ROUNDS = 12
Check = Callable[[Path], list[ConfigError]]
"""The faults of a site folder; empty when it may run."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a desired site has come to."""

    desired: str
    """Version of the folder as people left it."""
    runs: str
    """Version of what may run of it; empty when nothing new may."""
    folder: Path | None
    """Where that is; None when nothing new may run."""
    faults: tuple[ConfigError, ...] = ()
    held_back: tuple[str, ...] = ()
    """Files whose last good version stands in for them."""


def last_good(state_dir: Path) -> Path | None:
    """The folder of the last good site, if one was kept."""
    for name in (NAME, f"{NAME}.old"):
        if (state_dir / name / "site.yaml").is_file():
            return state_dir / name
    return None


def compose(desired: Path, state_dir: Path, check: Check) -> Candidate:
    """A candidate from `desired`, with last good versions for faulty files.

    Raises StoreError when the state folder does not take a copy, OSError when `desired` cannot be
    read.
    """
    version = site_version(desired)
    folder = state_dir / CANDIDATE
    _copy(desired, folder)
    good = last_good(state_dir)
    told: dict[str, ConfigError] = {}
    held: set[str] = set()
    for _ in range(MOST_ROUNDS):
        faults = check(folder)
        if not faults:
            return Candidate(
                version, site_version(folder), folder, tuple(told.values()), tuple(sorted(held))
            )
        for fault in faults:
            told.setdefault(str(fault), fault)
        moved = {name for name in map(_file, faults) if _hold_back(name, folder, good)}
        if not moved:  # the fault lies in what has not changed: the change as a whole is refused
            break
        held |= moved
    return Candidate(version, "", None, tuple(told.values()), tuple(sorted(held)))


def _file(fault: ConfigError) -> str:
    return fault.where.partition(":")[0]


def _hold_back(name: str, folder: Path, good: Path | None) -> bool:
    """Put the last good version of a file in its place; False when that changes nothing."""
    path = folder / name
    if not name or not path.is_file() or good is None:
        return False
    kept = good / name
    if not kept.is_file():
        path.unlink()
        return True
    if kept.read_bytes() == path.read_bytes():
        return False
    shutil.copy2(kept, path)
    return True


def _copy(folder: Path, target: Path) -> None:
    try:
        shutil.rmtree(target, ignore_errors=True)
        for name, path in site_files(folder).items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, target / name)
    except (OSError, shutil.Error) as error:
        raise StoreError(f"cannot copy the site to {target}: {error}") from error


def keep(folder: Path, state_dir: Path) -> Path:
    """Keep a copy of `folder` as the last good one; raises StoreError.

    A crash leaves either the new or the old one.
    """
    new, present, old = (state_dir / f"{NAME}{end}" for end in (".new", "", ".old"))
    _copy(folder, new)
    try:
        shutil.rmtree(old, ignore_errors=True)
        if present.exists():
            present.rename(old)
        new.rename(present)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"cannot keep a copy of the site in {state_dir}: {error}") from error
    return present
