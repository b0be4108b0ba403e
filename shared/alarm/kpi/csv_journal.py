"""Reads an alarm journal (CSV, also gzipped): columns timestamp, tag, type, in any order.

`type` is the kind of the alarm; a suffix tells what happened (` NR` returned, see
`records.SUFFIXES`). Optional columns: alarm (instead of `tag|type`) and priority. Called by the
command line; keeps 21 bytes a row, says what is wrong by line, and judges nothing.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
from array import array
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from shared.alarm.kpi.limits import OTHER, KpiLimits
from shared.alarm.kpi.records import RAISED, SUFFIXES, Record
from shared.errors import ConfigError

NEEDED = ("timestamp", "tag", "type")
_KINDS = (RAISED, *SUFFIXES.values())
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
STEP = 50_000
Progress = Callable[[int], None]
"""Told how many bytes of the file were read, now and then."""


class Journal:
    """A whole journal in columns, in the order of its file."""

    def __init__(self, limits: KpiLimits) -> None:
        self.limits = limits
        self.times, self._fine = array("q"), array("q")
        self._alarm, self._kind, self._priority = array("l"), array("B"), array("H")
        self._alarms: dict[str, int] = {}
        self._priorities: dict[str, int] = {}
        self.in_order = True

    def __len__(self) -> int:
        return len(self.times)

    def add(self, ns: int, alarm: str, kind: str, priority: str) -> None:
        """Append one row."""
        time = self.limits.rounded(ns)
        if self.times and time < self.times[-1]:
            self.in_order = False
        self.times.append(time)
        self._fine.append((ns + 500_000) // 1_000_000)
        self._alarm.append(self._alarms.setdefault(alarm, len(self._alarms)))
        self._kind.append(_KINDS.index(kind))
        self._priority.append(self._priorities.setdefault(priority, len(self._priorities)))

    def records(self) -> Iterator[Record]:
        """The rows by time; of the same millisecond in the order of the file."""
        alarms, priorities = list(self._alarms), list(self._priorities)
        times, fine = self.times, self._fine
        order = range(len(times))
        if not self.in_order or any(a > b for a, b in itertools.pairwise(fine)):
            order = sorted(order, key=lambda i: (times[i], fine[i]))
        for i in order:
            yield Record(
                times[i], alarms[self._alarm[i]], _KINDS[self._kind[i]],
                priorities[self._priority[i]],
            )  # fmt: skip


def read_journal(path: Path, limits: KpiLimits, progress: Progress | None = None) -> Journal:
    """Read a file; raises ConfigError with the line and how to mend it."""
    journal = Journal(limits)
    line = 0
    try:
        with path.open("rb") as raw, _text(raw) as text:
            reader = csv.reader(text, strict=True)
            columns = _columns(next(reader, None), path)
            for row in reader:
                line = reader.line_num
                if row:
                    _row(journal, row, columns, f"{path}:{line}")
                if progress is not None and len(journal) % STEP == 0:
                    progress(raw.tell())
    except (UnicodeDecodeError, csv.Error, EOFError, gzip.BadGzipFile) as error:
        raise ConfigError(
            f"the journal cannot be read: {error}", where=f"{path}:{line + 1}",
            mend="give a whole CSV file in UTF-8, plain or gzipped",
        ) from error  # fmt: skip
    except OSError as error:
        raise ConfigError(
            f"cannot open the journal: {error.strerror or error}", where=str(path),
            mend="correct the path",
        ) from error  # fmt: skip
    return journal


def _text(raw: IO[bytes]) -> io.TextIOWrapper:
    magic = raw.read(2)
    raw.seek(0)
    data = gzip.GzipFile(fileobj=raw) if magic == b"\x1f\x8b" else raw
    return io.TextIOWrapper(data, encoding="utf-8-sig", newline="")


def _columns(header: list[str] | None, path: Path) -> dict[str, int]:
    found = {name.strip().lower(): i for i, name in reversed(list(enumerate(header or [])))}
    missing = [name for name in NEEDED if name not in found]
    if missing:
        raise ConfigError(
            f"no column {', '.join(missing)}", where=f"{path}:1",
            mend=f"the first line names the columns; needed are {', '.join(NEEDED)}",
        )  # fmt: skip
    return found


def _row(journal: Journal, row: list[str], columns: dict[str, int], where: str) -> None:
    def cell(name: str) -> str:
        place = columns.get(name)
        return row[place].strip() if place is not None and place < len(row) else ""

    stamp, tag, told = (cell(name) for name in NEEDED)
    if not (stamp and tag and told):
        lacks = ", ".join(n for n, v in zip(NEEDED, (stamp, tag, told), strict=True) if not v)
        raise ConfigError(f"the row has no {lacks}", where=where, mend="fill it in or take it out")
    try:
        ns = time_ns(stamp)
    except ValueError:
        raise ConfigError(
            f"{stamp!r} is no time", where=where,
            mend="write it as 2024-05-01 00:00:20.000, in UTC or with an offset",
        ) from None  # fmt: skip
    name, _, suffix = told.rpartition(" ")
    kind = SUFFIXES.get(suffix.upper()) if name else None
    side = name.rstrip() if kind else told
    if kind is None and " " in told:
        raise ConfigError(
            f"type {told!r} ends in {suffix!r}, which says nothing", where=where,
            mend=f"a type alone is a raise; with a suffix it is one of {', '.join(SUFFIXES)}",
        )  # fmt: skip
    priority = cell("priority") or journal.limits.names.get(side, OTHER)
    journal.add(ns, cell("alarm") or f"{tag}|{side}", kind or RAISED, priority)


_MINUTES: dict[str, int] = {}
_ZEROS = "000000000"


def time_ns(text: str) -> int:
    """ns since 1970 of an ISO time (space or T, any fraction, offset or none for UTC)."""
    if len(text) >= 19 and text[16] == ":":
        # The usual form: the part up to the minute repeats, so it is worked out once.
        head, seconds = text[:16], text[17:]
        whole, _, fraction = seconds.partition(".")
        zulu = fraction.removesuffix("Z") if fraction else ""
        whole = whole if fraction else whole.removesuffix("Z")
        if len(whole) == 2 and _digits(whole) and (not zulu or _digits(zulu)):
            minute = _MINUTES.get(head)
            if minute is None:
                if len(_MINUTES) > 100_000:
                    _MINUTES.clear()
                minute = _MINUTES[head] = _iso_seconds(head)
            if int(whole) > 59:
                raise ValueError(text)
            return (minute + int(whole)) * 1_000_000_000 + int((zulu + _ZEROS)[:9])
    base, dot, rest = text.partition(".")
    digits = len(rest) - len(rest.lstrip("0123456789")) if dot else 0
    return _iso_seconds(base + rest[digits:]) * 1_000_000_000 + int((rest[:digits] + _ZEROS)[:9])


def _digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _iso_seconds(text: str) -> int:
    at = datetime.fromisoformat(text)
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    since = at - _EPOCH
    return since.days * 86_400 + since.seconds
