"""Parsed YAML files kept as JSON by content, so that an unchanged large site loads at once.

Positions are lost on the way: whoever finds a fault reads the file itself again. Used by `loader`
when it is given a folder for it; a cache that cannot be read or written is only slow.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.site.yaml_file import read_yaml

KEEP = 400
"""Documents kept; the oldest go first."""


class Documents:
    """A folder of parsed documents, each named by the digest of its text."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, path: Path) -> Any:
        """The document of `path`, without positions; raises ConfigError as `read_yaml` does."""
        try:
            text = path.read_bytes()
        except OSError:
            return read_yaml(path)
        kept = self._file(text)
        with suppress(OSError, ValueError):
            return json.loads(kept.read_bytes())
        document = read_yaml(path)
        with suppress(OSError, TypeError, ValueError):  # dates are not JSON: that file stays slow
            self._keep(kept, json.dumps(document, ensure_ascii=False))
        return document

    def holds(self, path: Path) -> bool:
        """Whether the document of `path` has been parsed before; raises OSError."""
        return self._file(path.read_bytes()).exists()

    def _file(self, text: bytes) -> Path:
        return self._folder / f"{hashlib.sha256(text).hexdigest()}.json"

    def _keep(self, kept: Path, body: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = kept.with_suffix(".new")
        new.write_text(body, encoding="utf-8")
        new.replace(kept)
        present = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        for old in present[:-KEEP]:
            old.unlink(missing_ok=True)
