"""Lines for the end of the test run; workers of a parallel run hand theirs over by files.

Written by tests, read by the hook in `conftest.py` of the process that prints.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

_KEY = "ANDON_TEST_SUMMARY"


_made = False
"""Whether this very process has made the folder; a run that a test starts inherits it too."""


def _folder() -> Path:
    # The first process of the run makes it; its workers inherit the environment.
    global _made
    if _KEY not in os.environ:
        os.environ[_KEY], _made = tempfile.mkdtemp(prefix="andon-summary-"), True
    return Path(os.environ[_KEY])


def say(topic: str, line: str) -> None:
    """Have `line` printed at the end, once for its topic."""
    (_folder() / topic).write_text(f"{topic.replace('-', ' ')}: {line}")


def lines() -> list[str]:
    """What was said in all processes of this run; said once, by the process that began it."""
    if not _made:
        return []
    told = [file.read_text() for file in sorted(_folder().glob("*"))]
    shutil.rmtree(_folder(), ignore_errors=True)
    return told


_folder()
