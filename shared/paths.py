"""Where Andon's own files and the state folder are.

Called by the command line and the tiers' bootstraps; never reads or writes a file itself.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds the top-level packages (a checkout's root or site-packages)."""


def demo_sites() -> Path:
    """Folder of the demo sites that ship with the distribution."""
    return ROOT / "deploy" / "sites" / "demo"


def console_dist() -> Path:
    """Folder of the built console."""
    return ROOT / "shared" / "console" / "dist"


def playbook_library() -> Path:
    """Folder of the shipped playbooks."""
    return ROOT / "playbooks" / "library"


def default_state_dir() -> Path:
    """State folder: one that PostgreSQL's unprivileged user can traverse when we are root."""
    if override := os.environ.get("ANDON_STATE"):
        return Path(override)
    if sys.platform != "win32" and os.geteuid() == 0:
        return Path("/var/lib/andon")
    base = os.environ.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "andon"
