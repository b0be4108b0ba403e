"""How far a table has been read, kept on disk: written whole or not at all.

Used by `sql_reader`. Holds no values of the plant.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from shared.errors import ConfigError, StoreError

FILE = "checkpoint.json"


Index = int | float | str | datetime


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last value of the index, and which of the newest ones have been read."""

    last: Index
    seen: tuple[int | float, ...] = ()


class CheckpointFile:
    """One source's checkpoint."""

    def __init__(self, folder: str, query: str) -> None:
        self._path = Path(folder) / FILE if folder else None
        self._query = query

    def read(self) -> Checkpoint | None:
        """What was kept; None on the first run or when the query is another one now."""
        if self._path is None or not self._path.exists():
            return None
        try:
            kept: Any = json.loads(self._path.read_text(encoding="utf-8"))
            if kept["query"] != self._query:
                return None
            last = datetime.fromisoformat(kept["time"]) if "time" in kept else kept["last"]
            return Checkpoint(last, tuple(kept["seen"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{self._path} cannot be read: {error}",
                mend="remove it to begin anew (options.start says where), or restore it",
            ) from error

    def write(self, checkpoint: Checkpoint) -> None:
        """Keep it, so that neither a crash nor a power cut leaves half of it."""
        if self._path is None:
            return
        last = checkpoint.last
        place = {"time": last.isoformat()} if isinstance(last, datetime) else {"last": last}
        body = {"query": self._query, "seen": list(checkpoint.seen), **place}
        fresh = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with fresh.open("w", encoding="utf-8") as file:
                json.dump(body, file)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
        except OSError as error:
            raise StoreError(
                f"cannot write {self._path}: {error.strerror}\n"
                "  mend: free space, and give the edge's user write access to its state_dir"
            ) from error
