"""The outbox in SQLite: rows appended in the caller's transaction, deleted when committed above.

Called by the edge's store (append) and by the drainer (read, committed). It opens no connection of
its own and never commits for `append`: state and message stand or fall together.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import msgspec

from shared.messages.control import Counts
from shared.outbox.port import (
    MAX_FRAME_BYTES,
    MAX_FRAME_EVENTS,
    Caps,
    OutboxStatus,
    Segment,
)

KEEP_EPOCHS = 20
SCHEMA = """
CREATE TABLE IF NOT EXISTS outbox (
  epoch TEXT NOT NULL, lane TEXT NOT NULL, seq INTEGER NOT NULL,
  at INTEGER NOT NULL, event BLOB NOT NULL,
  PRIMARY KEY (epoch, lane, seq)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox_lane (
  epoch TEXT NOT NULL, lane TEXT NOT NULL, born INTEGER NOT NULL,
  produced INTEGER NOT NULL DEFAULT 0, delivered INTEGER NOT NULL DEFAULT 0,
  dropped INTEGER NOT NULL DEFAULT 0, quarantined INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (epoch, lane)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outbox_size (
  one INTEGER PRIMARY KEY CHECK (one = 1), events INTEGER NOT NULL, bytes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS outbox_hole (
  epoch TEXT NOT NULL, lane TEXT NOT NULL, last INTEGER NOT NULL, count INTEGER NOT NULL,
  PRIMARY KEY (epoch, lane, last)
) WITHOUT ROWID;
INSERT OR IGNORE INTO outbox_size VALUES (1, 0, 0);
"""


class SqliteOutbox:
    """Lanes of one source in one SQLite database (all calls from the thread that owns it)."""

    def __init__(self, connection: sqlite3.Connection, epoch: str, caps: Caps | None = None):
        self._db = connection
        self.epoch = epoch
        self._caps = caps or Caps()
        connection.executescript(SCHEMA)
        self._fold_old_epochs()

    def _fold_old_epochs(self) -> None:
        """Counters of long drained epochs become one row for each lane: every start makes a new
        epoch, and each is looked at whenever something is sent."""
        old = (
            "FROM outbox_lane AS l WHERE epoch <> '' AND epoch NOT IN (SELECT epoch FROM "
            f"outbox_lane GROUP BY epoch ORDER BY max(born) DESC LIMIT {KEEP_EPOCHS}) AND NOT "
            "EXISTS (SELECT 1 FROM outbox o WHERE o.epoch = l.epoch AND o.lane = l.lane)"
        )
        self._db.execute(
            "INSERT INTO outbox_lane SELECT '', lane, 0, sum(produced), sum(delivered), "
            f"sum(dropped), sum(quarantined) {old} GROUP BY lane ON CONFLICT (epoch, lane) DO "
            "UPDATE SET produced = produced + excluded.produced, "
            "delivered = delivered + excluded.delivered, dropped = dropped + excluded.dropped, "
            "quarantined = quarantined + excluded.quarantined"
        )
        self._db.execute(
            f"DELETE FROM outbox_lane WHERE (epoch, lane) IN (SELECT epoch, lane {old})"
        )

    def append(self, lane: str, at: int, event: bytes) -> int:
        """Add one encoded event within the caller's transaction; returns its sequence number."""
        row = self._db.execute(
            "INSERT INTO outbox_lane (epoch, lane, born, produced) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (epoch, lane) DO UPDATE SET produced = produced + 1 RETURNING produced",
            (self.epoch, lane, at),
        ).fetchone()
        seq: int = row[0]
        self._db.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?)",
            (self.epoch, lane, seq, at, event),
        )
        self._db.execute(
            "UPDATE outbox_size SET events = events + 1, bytes = bytes + ?",
            (len(event),),
        )
        return seq

    def over_caps(self, now: int) -> str | None:
        """Which cap is exceeded: count, bytes or age; None if none is."""
        events, size = self._db.execute("SELECT events, bytes FROM outbox_size").fetchone()
        if events > self._caps.max_events:
            return "count"
        if size > self._caps.max_bytes:
            return "bytes"
        oldest = self._oldest() if events else None
        if oldest is not None and now - oldest > self._caps.max_age_ms:
            return "age"
        return None

    def drop_oldest(
        self,
        reason: str,
        at: int,
        gap_event: Callable[[str, int, int, str], bytes],
        count: int,
    ) -> int:
        """Replace the oldest `count` events of the fullest droppable run by one gap record.

        Samples are dropped before events. The gap record stands at the last dropped position, so
        that the lane stays contiguous: the receiver is told the range and why. Runs within the
        caller's transaction; returns how many events were dropped.
        """
        lane_row = self._db.execute(
            "SELECT epoch, lane, min(seq) FROM outbox GROUP BY epoch, lane "
            "ORDER BY (lane = 'history') DESC, min(at) LIMIT 1"
        ).fetchone()
        if lane_row is None:
            return 0
        epoch, lane, first = lane_row
        rows = self._db.execute(
            "SELECT seq, length(event) FROM outbox WHERE epoch = ? AND lane = ? "
            "ORDER BY seq LIMIT ?",
            (epoch, lane, count),
        ).fetchall()
        if len(rows) < 2:
            return 0
        last = rows[-1][0]
        freed = sum(size for _, size in rows)
        record = gap_event(lane, first, last, reason)
        self._db.execute(
            "DELETE FROM outbox WHERE epoch = ? AND lane = ? AND seq <= ?",
            (epoch, lane, last),
        )
        self._db.execute(
            "DELETE FROM outbox_hole WHERE epoch = ? AND lane = ? AND last <= ?",
            (epoch, lane, last),
        )
        self._db.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?)", (epoch, lane, last, at, record)
        )
        self._db.execute(
            "UPDATE outbox_lane SET dropped = dropped + ? WHERE epoch = ? AND lane = ?",
            (len(rows) - 1, epoch, lane),
        )
        self._db.execute(
            "UPDATE outbox_size SET events = events - ?, bytes = bytes - ? + ?",
            (len(rows) - 1, freed, len(record)),
        )
        return len(rows) - 1

    def skip(self, lane: str, count: int, at: int, gap_event: Callable[[int, int], bytes]) -> None:
        """Leave `count` positions empty, told by one gap record at the last of them.

        For events that were lost before they had a position; within the caller's transaction.
        """
        row = self._db.execute(
            "INSERT INTO outbox_lane (epoch, lane, born, produced, dropped) VALUES (?, ?, ?, ?, ?) "
            "ON CONFLICT (epoch, lane) DO UPDATE SET produced = produced + excluded.produced, "
            "dropped = dropped + excluded.dropped RETURNING produced",
            (self.epoch, lane, at, count, count - 1),
        ).fetchone()
        last: int = row[0]
        record = gap_event(last - count + 1, last)
        self._db.execute(
            "INSERT INTO outbox VALUES (?, ?, ?, ?, ?)", (self.epoch, lane, last, at, record)
        )
        self._db.execute(
            "INSERT INTO outbox_hole VALUES (?, ?, ?, ?)", (self.epoch, lane, last, count)
        )
        self._db.execute(
            "UPDATE outbox_size SET events = events + 1, bytes = bytes + ?", (len(record),)
        )

    async def pending(self) -> list[tuple[str, str, int, int]]:
        """(epoch, lane, first, last) of all that is buffered, oldest epoch first."""
        return self._held()

    def _held(self) -> list[tuple[str, str, int, int]]:
        # Two index seeks per lane, however long the backlog: grouping would read every row.
        return self._db.execute(
            "SELECT epoch, lane, first, last FROM (SELECT epoch, lane, born, "
            "(SELECT min(seq) FROM outbox o WHERE o.epoch = l.epoch AND o.lane = l.lane) first, "
            "(SELECT max(seq) FROM outbox o WHERE o.epoch = l.epoch AND o.lane = l.lane) last "
            "FROM outbox_lane l) WHERE first IS NOT NULL ORDER BY born, epoch, lane"
        ).fetchall()

    def _oldest(self) -> int | None:
        """Time of the oldest buffered event (lanes are written in order of time)."""
        firsts = [
            self._db.execute(
                "SELECT at FROM outbox WHERE epoch = ? AND lane = ? AND seq = ?",
                (epoch, lane, first),
            ).fetchone()[0]
            for epoch, lane, first, _ in self._held()
        ]
        return min(firsts, default=None)

    async def read(self, epoch: str, lane: str, first: int) -> Segment | None:
        """The next frame's events from `first` on."""
        rows = self._db.execute(
            "SELECT seq, event FROM outbox WHERE epoch = ? AND lane = ? AND seq >= ? "
            "ORDER BY seq LIMIT ?",
            (epoch, lane, first, MAX_FRAME_EVENTS),
        ).fetchall()
        if not rows:
            return None
        start: int = rows[0][0]
        events: list[msgspec.Raw] = []
        size = 0
        for index, (seq, event) in enumerate(rows):
            # A gap record stands at the end of what it replaced: it begins a frame of its own.
            if seq != start + index or (events and size + len(event) > MAX_FRAME_BYTES):
                break
            events.append(msgspec.Raw(event))
            size += len(event)
        return Segment(epoch, lane, start, events)

    async def committed(
        self, epoch: str, lane: str, through: int, quarantined: int | None = None
    ) -> None:
        """Delete through `through`, in one transaction with the counters."""
        with self._db:
            count, size = self._db.execute(
                "SELECT count(*), coalesce(sum(length(event)), 0) FROM outbox "
                "WHERE epoch = ? AND lane = ? AND seq <= ?",
                (epoch, lane, through),
            ).fetchone()
            if count:
                self._db.execute(
                    "DELETE FROM outbox WHERE epoch = ? AND lane = ? AND seq <= ?",
                    (epoch, lane, through),
                )
                self._db.execute(
                    "DELETE FROM outbox_hole WHERE epoch = ? AND lane = ? AND last <= ?",
                    (epoch, lane, through),
                )
                self._db.execute(
                    "UPDATE outbox_lane SET delivered = delivered + ? WHERE epoch = ? AND lane = ?",
                    (count, epoch, lane),
                )
                self._db.execute(
                    "UPDATE outbox_size SET events = events - ?, bytes = bytes - ?",
                    (count, size),
                )
            if quarantined is not None:
                self._db.execute(
                    "UPDATE outbox_lane SET delivered = delivered + quarantined - ?, "
                    "quarantined = ? WHERE epoch = ? AND lane = ? AND quarantined <> ?",
                    (quarantined, quarantined, epoch, lane, quarantined),
                )

    def _count(self, epoch: str, lane: str, first: int, last: int) -> int:
        """Rows of a lane, without reading them: its span less what was skipped inside."""
        empty: int = self._db.execute(
            "SELECT coalesce(sum(count - 1), 0) FROM outbox_hole "
            "WHERE epoch = ? AND lane = ? AND last > ?",
            (epoch, lane, first),
        ).fetchone()[0]
        return last - first + 1 - empty

    async def status(self) -> OutboxStatus:
        """Counters summed over epochs, by lane."""
        rows = self._db.execute(
            "SELECT lane, sum(produced), sum(delivered), sum(dropped), sum(quarantined) "
            "FROM outbox_lane GROUP BY lane"
        ).fetchall()
        held: dict[str, int] = {}
        for epoch, lane, first, last in self._held():
            held[lane] = held.get(lane, 0) + self._count(epoch, lane, first, last)
        return OutboxStatus(
            lanes={
                lane: Counts(
                    produced=produced,
                    delivered=delivered,
                    buffered=held.get(lane, 0),
                    dropped=dropped,
                    quarantined=quarantined,
                )
                for lane, produced, delivered, dropped, quarantined in rows
            },
            oldest_at=self._oldest(),
        )
