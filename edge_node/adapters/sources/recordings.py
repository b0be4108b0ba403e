"""Rows of recorded files, one after the other: wide and long CSV, lines of JSON; pure reading.

Used by `replay_player`. Never holds more than one row; says file and line of what is wrong.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import msgspec

from edge_node.adapters.sources.json_values import parse_time
from edge_node.adapters.sources.port import BAD, GOOD, Source
from edge_node.adapters.sources.replay import ReplayOptions
from shared.errors import ConfigError

MOST_CHECKED = 20_000
"""Rows that a check reads in search of a tag's first value."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One row: when it was, and its values by address."""

    at_ms: int
    values: dict[str, Any]
    quality: int


def recording_of(source: Source) -> Path:
    """The file that a source plays; ConfigError when there is none."""
    url = urlsplit(source.url)
    if url.scheme != "file" or url.netloc or not url.path:
        raise ConfigError(
            f"source {source.id}: {source.url!r} is no file",
            mend="write it as file:///folder/day.csv, or file:day.csv beside the site's files",
        )
    folder = source.settings.get("beside") or source.settings.get("site_dir", "")
    path = Path(str(folder)) / unquote(url.path)
    if not path.is_file():
        raise ConfigError(
            f"source {source.id}: there is no file {path}",
            mend="copy the recording there, or correct the source's url",
        )
    return path


def check_recording(source: Source) -> None:
    """Whether the file fits the options and has something of every tag; raises ConfigError.

    Of a long file only the beginning is read: what is not there may come later.
    """
    path, absent = recording_of(source), {point.address: point.id for point in source.points}
    n = 0
    try:
        for n, row in enumerate(rows(path, source.options), 1):
            for address in row.values:
                absent.pop(address, None)
            if not absent or n >= MOST_CHECKED:
                return
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(
            f"cannot be read: {error}", where=str(path), mend="save it as UTF-8 text"
        ) from error
    if not n:
        raise ConfigError("no row in the recording", where=str(path), mend="record it anew")
    address, tag = next(iter(absent.items()))
    raise ConfigError(
        f"tag {tag}: nothing in the recording is called {address!r}", where=str(path),
        mend="correct the tag's address: the name of a column, or what stands in the column `name`",
    )  # fmt: skip


def rows(path: Path, options: ReplayOptions) -> Iterator[Recorded]:
    """The file's rows in order; ConfigError with file and line."""
    kind = options.format
    if kind == "auto":
        kind = "jsonl" if path.suffix.lower() in (".jsonl", ".ndjson", ".json") else "csv"
    read = _lines if kind == "jsonl" else _table
    zone = ZoneInfo(options.time_zone)
    for n, (line, members) in enumerate(read(path, options)):
        at = n * options.period
        if options.time:
            told = parse_time(members.get(options.time), options.time_unit, zone)
            if told is None:
                raise ConfigError(
                    f"{members.get(options.time)!r} is no time", where=f"{path}:{line}",
                    mend=f"correct the file, or the options time ({options.time}) and time_unit",
                )  # fmt: skip
            at = told
        yield Recorded(at, _values(members, options), _grade(members, options))


def _values(members: dict[str, Any], options: ReplayOptions) -> dict[str, Any]:
    if options.name:
        return {str(members.get(options.name, "")): members.get(options.value)}
    inner = members.get("values")
    found = inner if isinstance(inner, dict) else members
    # An empty cell says nothing of its tag.
    return {name: value for name, value in found.items() if value not in ("", None)}


def _grade(members: dict[str, Any], options: ReplayOptions) -> int:
    told = str(members.get(options.quality, "")) if options.quality else "0"
    return int(told) if told in ("0", "1", "2") else BAD if told else GOOD


def _table(path: Path, options: ReplayOptions) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = csv.reader(file, delimiter=options.delimiter)
        heads = next(table, None) or []
        wanted = [options.time, options.name, options.value, options.quality]
        absent = [column for column in wanted if column and column not in heads]
        if absent:
            raise ConfigError(
                f"there is no column {absent[0]!r}, only {', '.join(heads)}", where=f"{path}:1",
                mend="correct the source's options, or its delimiter",
            )  # fmt: skip
        for cells in table:
            if cells:
                yield table.line_num, dict(zip(heads, cells, strict=False))


def _lines(path: Path, options: ReplayOptions) -> Iterator[tuple[int, dict[str, Any]]]:
    del options
    with path.open("rb") as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                members = msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise ConfigError(
                    f"no JSON: {error}", where=f"{path}:{line}", mend="one JSON object a line"
                ) from error
            if not isinstance(members, dict):
                raise ConfigError("no object", where=f"{path}:{line}", mend="write {...}")
            yield line, members
