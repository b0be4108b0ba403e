"""Copies the write-ahead log back into the database beside the writer, not in one of its commits.

Called by the store after each commit; works on a thread and a connection of its own. A commit that
came upon a full log took ten times as long, and a reflex may wait for that commit.
"""

from __future__ import annotations

import sqlite3
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from shared.telemetry import logger

log = logger("store")
EVERY_BYTES = 4 << 20
COMMIT_BYTES = 32 << 10
"""About what a commit writes beside its events."""
FALLBACK_PAGES = 8_000
"""The writer does it itself when the log has grown so long all the same."""
ROUNDS = 5
"""What was committed meanwhile is copied too; only a log that is copied whole begins anew."""


class Checkpoints:
    """The checkpoints of one database."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._work = 0
        self._thread: ThreadPoolExecutor | None = None
        self._db: sqlite3.Connection | None = None
        self._running: Future[None] | None = None

    def wrote(self, size: int) -> None:
        """A commit of about so many bytes of events has been made."""
        self._work += size + COMMIT_BYTES
        idle = self._running is None or self._running.done()
        if self._work >= EVERY_BYTES and idle:
            self._work = 0
            if self._thread is None:
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
            self._running = self._thread.submit(self._copy)

    def _copy(self) -> None:
        try:
            if self._db is None:
                self._db = sqlite3.connect(self._path, timeout=0, check_same_thread=False)
            for _ in range(ROUNDS):
                row = self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
                busy, in_log, copied = row
                if busy or copied >= in_log:
                    return
        except sqlite3.Error as error:
            # Nothing is lost: the log only grows, until the writer meets and tells the same fault.
            log.warning("checkpoint_failed", error=str(error))

    def close(self) -> None:
        """End the thread and its connection."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)
        if self._db is not None:
            self._db.close()
