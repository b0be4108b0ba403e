"""What a browser loads before the first screen stays small, and the code editor is not in it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

DIST = Path(__file__).resolve().parents[2] / "shared" / "console" / "dist"
MOST_KIB = 150
"""Compressed, scripts and styles of one entry. It was 124 when this was written."""
EDITOR = b"cm-activeLine"


def first_load(entry: str) -> list[Path]:
    page = DIST / entry
    if not page.is_file():
        pytest.fail("the console is not built: run `make console`")
    named = re.findall(r'(?:src|href)="/?(assets/[^"]+\.(?:js|css))"', page.read_text("utf-8"))
    found = [DIST / name for name in dict.fromkeys(named)]
    assert any(path.suffix == ".js" for path in found)
    return found


@pytest.mark.parametrize("entry", ["index.html", "command.html"])
def test_the_first_load_is_small(entry: str) -> None:
    size = sum(len(gzip.compress(path.read_bytes())) for path in first_load(entry))
    assert size <= MOST_KIB * 1024, f"{entry}: {size // 1024} KiB"


def test_the_code_editor_comes_only_when_a_text_is_opened() -> None:
    holders = [path.name for path in DIST.glob("assets/*.js") if EDITOR in path.read_bytes()]
    assert len(holders) == 1, holders
    for entry in ("index.html", "command.html"):
        assert holders[0] not in [path.name for path in first_load(entry)]
    screens = [path for path in DIST.glob("assets/DraftScreen-*.js")]
    assert screens, "the screen that opens it"
    assert all(path.name not in holders for path in screens)
