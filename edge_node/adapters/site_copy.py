"""A copy of the last good site folder, so that a bad edit never keeps an edge from running.

Called by the bootstrap at start; judges nothing itself.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from shared.errors import StoreError

NAME = "site-last-good"


def last_good(state_dir: Path) -> Path | None:
    """The folder of the last good site, if one was kept."""
    for name in (NAME, f"{NAME}.old"):
        if (state_dir / name / "site.yaml").is_file():
            return state_dir / name
    return None


def keep(folder: Path, state_dir: Path) -> None:
    """Keep a copy of `folder`; raises StoreError. A crash leaves either the new or the old one."""
    new, present, old = (state_dir / f"{NAME}{end}" for end in (".new", "", ".old"))
    try:
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(folder, new, ignore=shutil.ignore_patterns(".git"))
        shutil.rmtree(old, ignore_errors=True)
        if present.exists():
            present.rename(old)
        new.rename(present)
        shutil.rmtree(old, ignore_errors=True)
    except (OSError, shutil.Error) as error:
        raise StoreError(f"cannot keep a copy of the site in {state_dir}: {error}") from error
