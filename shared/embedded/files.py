"""Small files of the state folder: private, written atomically, with errors that name the mend.

Called by the embedded engines; never touches anything outside the path it is given.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from shared.errors import ConfigError, StoreError

PRIVATE = 0o700
LEAST_FREE = 256 * 1024 * 1024
"""Below this free space nothing is started: a full disk in mid-write costs more."""


def explain(error: OSError, path: Path) -> StoreError:
    """The operating system's refusal as a fault that names the place and the mend."""
    mends = {
        errno.ENOSPC: "the disk is full: free some space or give another folder with --state",
        errno.EDQUOT: "the quota is used up: free some space or give another folder with --state",
        errno.EROFS: "the file system is read-only: give another folder with --state",
        errno.EACCES: "no permission: give a folder of your own with --state",
        errno.EPERM: "no permission: give a folder of your own with --state",
    }
    mend = mends.get(error.errno or 0, "give another folder with --state")
    return StoreError(f"{path}: {error.strerror or error}\n  mend: {mend}")


def make_folder(path: Path, mode: int = 0o755) -> Path:
    """Make `path` with `mode`; an existing folder is only ever closed, never opened up."""
    try:
        existed = path.exists()
        path.mkdir(parents=True, exist_ok=True)
        if not existed or mode == PRIVATE:
            path.chmod(mode)
    except OSError as error:
        raise explain(error, path) from error
    return path


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    """Write `text` so that a reader sees the old or the new whole; raises StoreError."""
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise explain(error, path) from error


def check_space(path: Path, least: int = LEAST_FREE) -> int:
    """Free bytes at `path`; raises ConfigError when they are fewer than `least`."""
    free = shutil.disk_usage(path).free
    if free < least:
        raise ConfigError(
            f"only {free >> 20} MiB free, {least >> 20} MiB are needed",
            where=str(path),
            mend="free some space or give another folder with --state",
        )
    return free
