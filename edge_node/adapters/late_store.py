"""The edge's database when its disk does not let it be opened: the edge acts, the file comes later.

Called by the bootstrap in place of the store itself, then by the journal as any store. A damaged
file is not its business: that is said at the start, as the state in it must not be lost silently.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.application.records import Change, Snapshot
from shared.errors import StoreError
from shared.outbox.sqlite_outbox import SqliteOutbox
from shared.telemetry import logger

log = logger("store")
T = TypeVar("T")
MEMORY = Path("/dev/shm")
MAX_COPY = 256 << 20
Open = Callable[[Path], SqliteStore]


class LateStore:
    """Tries to open the database at every commit until it succeeds."""

    def __init__(self, path: Path, opened_by: Open, why: str) -> None:
        self._path, self._open, self._why = path, opened_by, why
        self._store: SqliteStore | None = None

    def _ready(self) -> SqliteStore:
        if self._store is None:
            self._store = self._open(self._path)
            log.info("store_opened_late", path=str(self._path))
        return self._store

    def commit(self, changes: Iterable[Change], now: int) -> None:
        """Open if need be, then write; raises StoreError."""
        self._ready().commit(changes, now)

    def set_aside(self, change: Change, reason: str, now: int) -> None:
        """As the store does."""
        self._ready().set_aside(change, reason, now)

    def run(self, call: Callable[[SqliteOutbox], Coroutine[Any, Any, T]]) -> T:
        """As the store does; raises StoreError while it is not open."""
        if self._store is None:
            raise StoreError(self._why)
        return self._store.run(call)

    def close(self) -> None:
        """Close the file if it is open."""
        if self._store is not None:
            self._store.close()


def open_or_wait(path: Path, opened_by: Open) -> tuple[SqliteStore | LateStore, Snapshot]:
    """The database with what it remembers, or one that comes late; raises StoreError if damaged."""
    try:
        store = opened_by(path)
        return store, store.load()
    except StoreError as error:
        if not isinstance(error.__cause__, sqlite3.OperationalError):
            raise
        log.error("store_not_open", error=str(error), mend="free space on the state directory")
        return LateStore(path, opened_by, str(error)), _remembered(path, opened_by)


def _remembered(path: Path, opened_by: Open) -> Snapshot:
    """What the file holds, read from a copy in memory: beside a full disk nothing can be read
    either, as reading needs an index file there."""
    parts = [path, path.with_name(path.name + "-wal")]
    if not path.exists() or sum(part.stat().st_size for part in parts if part.exists()) > MAX_COPY:
        return Snapshot()
    try:
        with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
            for part in parts:
                if part.exists():
                    shutil.copyfile(part, Path(folder) / part.name)
            copy = opened_by(Path(folder) / path.name)
            try:
                return copy.load()
            finally:
                copy.close()
    except (OSError, StoreError) as error:
        log.error("state_not_read", error=str(error))
        return Snapshot()
