"""The edge's database: SQLite in WAL mode with a full sync at every commit, one writer thread.

Called by the journal only, always on its thread. Alarm state, occurrence, outbox row and action
intent of a change stand or fall together; it never decides what to store.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from edge_node.adapters.wal_checkpoints import FALLBACK_PAGES, Checkpoints
from edge_node.application.records import (
    AlarmRecord,
    Change,
    CommandEntry,
    Emit,
    PutAlarm,
    PutCommand,
    PutFact,
    PutFence,
    PutGap,
    PutMark,
    PutMeta,
    Row,
    Snapshot,
)
from shared.errors import StoreError, UnstorableError
from shared.messages.bodies import GapRecord
from shared.messages.codec import encode
from shared.messages.envelope import Event
from shared.outbox.port import Caps
from shared.outbox.sqlite_outbox import SqliteOutbox

T = TypeVar("T")
KEEP_CLOSED = 10_000
KEEP_COMMANDS = 10_000
KEEP_FACTS = 50_000
PRUNE_EVERY = 2_000
DROP_AT_ONCE = 5_000
KEEP_REFUSED = 1_000
MAX_TOLD = 20_000
MAX_EVENT_BYTES = 900_000
_CONTENT = (
    sqlite3.DataError, sqlite3.IntegrityError, sqlite3.InterfaceError, TypeError, ValueError,
    OverflowError, LookupError, msgspec.MsgspecError,
)  # fmt: skip
"""What only the content of a change can be to blame for."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS alarm (alarm TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS occurrence (
  occurrence TEXT PRIMARY KEY, alarm TEXT NOT NULL, raised_at INTEGER NOT NULL,
  closed INTEGER NOT NULL, record BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS command (id TEXT PRIMARY KEY, at INTEGER NOT NULL, entry BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS fence (
  epoch TEXT NOT NULL, device TEXT NOT NULL, fence INTEGER NOT NULL, PRIMARY KEY (epoch, device)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS fact (
  id TEXT PRIMARY KEY, occurrence TEXT NOT NULL, hlc TEXT NOT NULL, fact BLOB NOT NULL,
  result TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS fact_mark (
  source TEXT NOT NULL, epoch TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL,
  PRIMARY KEY (source, epoch, lane)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS refused (
  id INTEGER PRIMARY KEY, at INTEGER NOT NULL, reason TEXT NOT NULL, change TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
"""


class SqliteStore:
    """One edge's database file."""

    def __init__(
        self,
        path: Path,
        epoch: str,
        lane: Callable[[Event | None], str],
        gap_event: Callable[[GapRecord], Event],
        caps: Caps | None = None,
    ) -> None:
        self.path = path
        self._lane, self._gap_event = lane, gap_event
        try:
            self._db = sqlite3.connect(path, timeout=2.0, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute(f"PRAGMA wal_autocheckpoint = {FALLBACK_PAGES}")
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.executescript(SCHEMA)
            self.outbox = SqliteOutbox(self._db, epoch, caps)
            self._db.commit()
        except sqlite3.Error as error:
            if hasattr(self, "_db"):
                self._db.close()
            raise StoreError(f"cannot open {path}: {error}") from error
        self._epoch = epoch
        self._changes = self._now = self._written = 0
        self._checkpoints = Checkpoints(path)

    def load(self) -> Snapshot:
        """Everything that must survive a restart."""
        try:
            return self._load()
        except (sqlite3.Error, msgspec.MsgspecError) as error:
            raise StoreError(f"cannot read {self.path}: {error}") from error

    def _load(self) -> Snapshot:
        rows = self._db.execute
        record = msgspec.msgpack.Decoder(AlarmRecord).decode
        entry = msgspec.msgpack.Decoder(CommandEntry).decode
        closed = rows(
            "SELECT occurrence, record FROM (SELECT rowid AS r, * FROM occurrence "
            "WHERE closed = 1 ORDER BY r DESC LIMIT 1000) ORDER BY r"
        )
        # Oldest first: whoever keeps these in memory forgets from the front.
        commands = rows(
            "SELECT id, entry FROM (SELECT rowid AS r, * FROM command ORDER BY r DESC LIMIT 2000) "
            "ORDER BY r"
        )
        facts = rows(
            "SELECT id, result FROM (SELECT rowid AS r, * FROM fact ORDER BY r DESC LIMIT 5000) "
            "ORDER BY r"
        )
        marks = rows("SELECT source, epoch, lane, seq FROM fact_mark")
        return Snapshot(
            alarms={name: record(blob) for name, blob in rows("SELECT * FROM alarm")},
            closed={name: record(blob) for name, blob in closed},
            commands={name: entry(blob) for name, blob in commands},
            facts=dict(facts.fetchall()),
            marks={(source, epoch, lane): seq for source, epoch, lane, seq in marks},
            meta=dict(rows("SELECT key, value FROM meta").fetchall()),
            last_hlc=rows("SELECT coalesce(max(hlc), '') FROM fact").fetchone()[0],
        )

    def commit(self, changes: Iterable[Change], now: int) -> None:
        """Write changes in one transaction; on any fault none of them.

        Raises UnstorableError when what is written is to blame, else StoreError.
        """
        self._now = now
        try:
            for change in changes:
                for row in change:
                    _WRITERS[type(row)](self, row)
                self._changes += 1
            self._keep_bounds(now)
            self._db.commit()
            self._checkpoints.wrote(self._written)
            self._written = 0
        except _CONTENT as error:
            self._rollback()
            raise UnstorableError(f"cannot be stored: {error!r}") from error
        except sqlite3.Error as error:
            self._rollback()
            if "binding parameter" in str(error):
                raise UnstorableError(f"cannot be stored: {error!r}") from error
            raise StoreError(f"cannot write {self.path}: {error}") from error
        except BaseException:
            # Whatever it is: half a group left open would be written again, doubled, by the next.
            self._rollback()
            raise

    def set_aside(self, change: Change, reason: str, now: int) -> None:
        """Keep, for people, what could not be stored as what it is; raises StoreError."""
        told = repr(change)[:MAX_TOLD].encode("ascii", "backslashreplace").decode()
        try:
            self._db.execute(
                "INSERT INTO refused (at, reason, change) VALUES (?, ?, ?)",
                (now, reason[:500].encode("ascii", "backslashreplace").decode(), told),
            )
            self._db.execute(
                "DELETE FROM refused WHERE id <= (SELECT max(id) FROM refused) - ?", (KEEP_REFUSED,)
            )
            self._db.commit()
        except sqlite3.Error as error:
            self._rollback()
            raise StoreError(f"cannot write {self.path}: {error}") from error

    def _rollback(self) -> None:
        try:
            self._db.rollback()
        except sqlite3.Error as error:
            raise StoreError(f"cannot roll back {self.path}: {error}") from error

    def _put_alarm(self, row: PutAlarm) -> None:
        record, blob = row.record, encode(row.record)
        self._db.execute("INSERT OR REPLACE INTO alarm VALUES (?, ?)", (record.alarm, blob))
        if record.occurrence:
            self._db.execute(
                "INSERT INTO occurrence VALUES (?, ?, ?, ?, ?) ON CONFLICT (occurrence) DO UPDATE "
                "SET raised_at = excluded.raised_at, closed = excluded.closed, "
                "record = excluded.record",
                (record.occurrence, record.alarm, record.raised_at, record.closed, blob),
            )

    def _emit(self, row: Emit) -> None:
        data = encode(row.event)
        if len(data) > MAX_EVENT_BYTES:
            raise ValueError(f"an event of {len(data)} bytes, more than any broker takes")
        self.outbox.append(row.lane or self._lane(row.event), row.event.time, data)
        self._written += len(data)

    def _put_gap(self, row: PutGap) -> None:
        lane = row.lane or self._lane(None)

        def told(first: int, last: int) -> bytes:
            return self._gap(lane, first, last, "memory")

        self.outbox.skip(lane, row.count, self._now, told)

    def _put_command(self, row: PutCommand) -> None:
        self._db.execute(
            "INSERT INTO command VALUES (?, ?, ?) "
            "ON CONFLICT (id) DO UPDATE SET entry = excluded.entry",
            (row.entry.id, row.entry.at, encode(row.entry)),
        )

    def _put_fence(self, row: PutFence) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO fence VALUES (?, ?, ?)", (self._epoch, row.device, row.fence)
        )

    def _put_fact(self, row: PutFact) -> None:
        fact = row.fact
        self._db.execute(
            "INSERT OR IGNORE INTO fact VALUES (?, ?, ?, ?, ?)",
            (fact.id, fact.occurrence, fact.hlc, encode(fact), row.result),
        )

    def _put_mark(self, row: PutMark) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO fact_mark VALUES (?, ?, ?, ?)",
            (row.source, row.epoch, row.lane, row.seq),
        )

    def _put_meta(self, row: PutMeta) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (row.key, row.value))

    def _keep_bounds(self, now: int) -> None:
        """Caps of the outbox become gap records; old closed history goes."""
        reason = self.outbox.over_caps(now)
        if reason is not None:
            self.outbox.drop_oldest(reason, now, self._gap, DROP_AT_ONCE)
        if self._changes < PRUNE_EVERY:
            return
        self._changes = 0
        for table, keep, extra in (
            ("occurrence", KEEP_CLOSED, " AND closed = 1"),
            ("command", KEEP_COMMANDS, ""),
            ("fact", KEEP_FACTS, ""),
        ):
            self._db.execute(
                f"DELETE FROM {table} WHERE rowid <= (SELECT max(rowid) FROM {table}) - ?{extra}",
                (keep,),
            )

    def _gap(self, lane: str, first: int, last: int, reason: str) -> bytes:
        return encode(self._gap_event(GapRecord(lane=lane, first=first, last=last, reason=reason)))

    def run(self, call: Callable[[SqliteOutbox], Coroutine[Any, Any, T]]) -> T:
        """Run one of the outbox's coroutines to its end; raises StoreError.

        On SQLite they never wait, so that stepping once is running.
        """
        coroutine = call(self.outbox)
        try:
            coroutine.send(None)
        except StopIteration as done:
            self._checkpoints.wrote(0)
            return done.value
        except sqlite3.Error as error:
            self._rollback()
            raise StoreError(f"{self.path}: {error}") from error
        coroutine.close()
        raise StoreError("the outbox waited on something")

    def close(self) -> None:
        """Close the file."""
        self._checkpoints.close()
        self._db.close()


_WRITERS: dict[type[Row], Callable[[SqliteStore, Any], None]] = {
    PutAlarm: SqliteStore._put_alarm,
    Emit: SqliteStore._emit,
    PutGap: SqliteStore._put_gap,
    PutCommand: SqliteStore._put_command,
    PutFence: SqliteStore._put_fence,
    PutFact: SqliteStore._put_fact,
    PutMark: SqliteStore._put_mark,
    PutMeta: SqliteStore._put_meta,
}
