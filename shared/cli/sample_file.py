"""Reads the sample history of one tag: Parquet or CSV with a column of times and one of values.

Called by `andon alarms replay`; the episodes are told by the function that runs live. Parquet needs
the `learn` extra.
"""

from __future__ import annotations

import csv
import gzip
from array import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from shared.alarm.episodes import Episode, episodes
from shared.alarm.kpi.csv_journal import time_ns
from shared.alarm.point import Setting, Side
from shared.errors import ConfigError

TIMES = ("timestamp", "time", "at", "datetime", "minute")
VALUES = ("value",)
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of one tag, oldest first."""

    name: str
    times: array[int]
    values: array[float]

    def episodes(
        self, setting: Setting, side: str, fallback: Setting | None = None, centre: float = 0.0
    ) -> list[Episode]:
        """What the setting would have told; `fallback` while its filter's window is not known."""
        chosen: Side | None = next((each for each in get_args(Side) if each == side.upper()), None)
        if chosen is None:
            raise ConfigError(
                f"{side!r} is no side", where="--side", mend="give HI, HIHI, LO or LOLO"
            )
        last = self.times[-1] if len(self.times) else None
        return episodes(self.times, self.values, setting, chosen, None, centre, last, fallback)


def read_samples(path: Path, tag: str) -> Samples:
    """Read a file; raises ConfigError with what to do."""
    try:
        rows = _parquet(path, tag) if path.name.endswith(".parquet") else _csv(path, tag)
    except OSError as error:
        raise ConfigError(
            f"cannot open the samples: {error.strerror or error}", where=str(path),
            mend="correct the path",
        ) from error  # fmt: skip
    name, pairs = rows
    pairs.sort(key=lambda pair: pair[0])
    return Samples(name, array("q", (t for t, _ in pairs)), array("d", (v for _, v in pairs)))


def _parquet(path: Path, tag: str) -> tuple[str, list[tuple[int, float]]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError(
            "Parquet cannot be read here", where=str(path),
            mend="install the learn extra, or give CSV",
        ) from None  # fmt: skip
    try:
        names = pq.ParquetFile(path).schema_arrow.names
        when, what = _columns(names, tag, path)
        table = pq.read_table(path, columns=[when, what])
    except pa.ArrowException as error:
        raise ConfigError(
            f"no Parquet file: {error}", where=str(path), mend="give a whole Parquet file"
        ) from error
    times, values = table.column(when), table.column(what).to_pylist()
    if pa.types.is_timestamp(times.type):
        stamps: list[Any] = times.cast(pa.timestamp("ms")).cast(pa.int64()).to_pylist()
    else:
        scale = MINUTE_MS if when.lower() == "minute" else 1
        stamps = [None if t is None else round(t * scale) for t in times.to_pylist()]
    return what, [
        (t, float(v))
        for t, v in zip(stamps, values, strict=True)
        if t is not None and v is not None
    ]


def _csv(path: Path, tag: str) -> tuple[str, list[tuple[int, float]]]:
    opened = gzip.open if path.name.endswith(".gz") else open
    found: list[tuple[int, float]] = []
    line = 1
    with opened(path, "rt", encoding="utf-8-sig", newline="") as text:
        try:
            reader = csv.DictReader(text)
            when, what = _columns(reader.fieldnames or [], tag, path)
            for row in reader:
                line = reader.line_num
                if row[what] not in ("", None):
                    found.append((_time(row[when], when), float(row[what])))
        except (ValueError, TypeError, csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the row cannot be read: {error}", where=f"{path}:{line}",
                mend="give an ISO time or milliseconds, and a number",
            ) from None  # fmt: skip
    return what, found


def _time(text: str, column: str) -> int:
    if "-" in text[1:]:
        return time_ns(text) // 1_000_000
    return round(float(text) * (MINUTE_MS if column.lower() == "minute" else 1))


def _columns(names: Any, tag: str, path: Path) -> tuple[str, str]:
    by_lower = {name.lower(): name for name in names}
    when = next((by_lower[name] for name in TIMES if name in by_lower), None)
    wanted = [tag] if tag else list(VALUES)
    what = next((name for name in names if name in wanted), None)
    if when is None or what is None:
        lacks = f"a time ({', '.join(TIMES)})" if when is None else f"{' or '.join(wanted)}"
        raise ConfigError(
            f"no column for {lacks} among {', '.join(list(names)[:12])}", where=str(path),
            mend="name the column of values with --tag",
        )  # fmt: skip
    return when, what
