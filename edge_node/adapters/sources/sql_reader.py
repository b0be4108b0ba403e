"""SQL: asks for the rows after the last one, at an interval; how far it came outlives a restart.

Run by the driver child. A place in the table is kept only after its values have gone on, so that a
crash can bring the last rows twice but never leaves any out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import TextClause, text
from sqlalchemy.engine import URL, Row, RowMapping, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from edge_node.adapters.sources.checkpoint import Checkpoint, CheckpointFile, Index
from edge_node.adapters.sources.json_values import as_raw, parse_time
from edge_node.adapters.sources.port import BAD, GOOD, Point, Sink, Source, emit
from edge_node.adapters.sources.sql import SqlOptions
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError, RetryableTransportError

ASYNC = {"sqlite": "sqlite+aiosqlite", "postgresql": "postgresql+asyncpg"}
HANDED_S = 0.02
"""Time for values to leave for the engine before their place in the table is kept."""
EVERYTHING = 2**31 - 1


class SqlDriver:
    """One query."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: SqlOptions = source.options
        self._zone = ZoneInfo(self._options.time_zone)
        self._points: dict[str, list[Point]] = {}
        for point in source.points:
            self._points.setdefault(point.address, []).append(point)
        folder = str(source.settings.get("state_dir") or "")
        self._file = CheckpointFile(folder, self._options.query)
        self._kept: Checkpoint | None = None
        self._engine: AsyncEngine | None = None
        self._query = text(self._options.query)
        self._rows = 0
        self._fault = ""

    async def connect(self) -> None:
        """Reach the database and find the place to go on from."""
        url = self._url()
        try:
            self._engine = create_async_engine(url, pool_size=1, max_overflow=0)
        except (NoSuchModuleError, ArgumentError, TypeError, ImportError) as error:
            raise ConfigError(
                f"source {self._source.id}: this database cannot be used: {error}",
                mend="write sqlite:////path/file.db or postgresql://host/database, and install "
                "that database's asynchronous driver (andon[sql] brings these two)",
            ) from error
        self._kept = self._kept or self._file.read()
        if self._kept is None:
            self._kept = await self._first()
            self._file.write(self._kept)

    def _url(self) -> URL:
        try:
            url = make_url(self._source.url)
        except ArgumentError as error:
            raise ConfigError(
                f"source {self._source.id}: the url is no database URL",
                mend="write sqlite:////path/file.db or postgresql://user@host/database",
            ) from error
        if url.password:
            raise ConfigError(
                f"source {self._source.id}: the url has a password in it",
                mend="put the password into a file, and its path into device_credentials",
            )
        if user := self._source.settings.get("user"):
            url = url.set(username=str(user))
        if password := self._source.password():
            url = url.set(password=password)
        return url.set(drivername=ASYNC.get(url.drivername, url.drivername))

    async def _first(self) -> Checkpoint:
        """The place of the very first run: below all rows, or at the newest of them."""
        options = self._options
        below: Index = options.first
        if options.index_type == "text":
            below = str(options.first or "")
        if options.index_type == "time":
            millis = parse_time(options.first, "auto", self._zone)
            assert millis is not None
            below = datetime.fromtimestamp(millis / 1000, UTC)
        if options.start == "beginning":
            return Checkpoint(below)
        # The column's name is the site's own and checked: a word, nothing else.
        newest = text(f"select max(q.{options.index}) from ({options.query}) q")
        rows = await self._run(newest, below, EVERYTHING)
        last = rows[0][0] if rows and rows[0][0] is not None else below
        last = _index(last)
        if not options.overlap or not isinstance(last, int | float):
            return Checkpoint(last)
        late = await self._read(last - options.overlap)
        return Checkpoint(last, tuple(_number(row[options.index]) for row in late))

    async def run(self) -> None:
        """Read what is new at the interval; at once again while there is more."""
        while True:
            more = await self._turn()
            self._sink.state("connected", self._describe())
            await asyncio.sleep(0 if more else self._source.interval_ms / 1000)

    def _describe(self) -> str:
        url = make_url(self._source.url).render_as_string(hide_password=True)
        return f"{url}; {self._fault}" if self._fault else url

    async def _turn(self) -> bool:
        kept, options = self._kept, self._options
        assert kept is not None
        below = kept.last
        if options.overlap and isinstance(below, int | float):
            below -= options.overlap
        rows = await self._read(below)
        known = set(kept.seen)
        fresh = [row for row in rows if row[options.index] not in known]
        if not fresh:
            return False
        for row in fresh:
            self._hand_over(row)
        await asyncio.sleep(HANDED_S)
        self._kept = self._after(kept, fresh)
        self._file.write(self._kept)
        return len(rows) >= options.limit

    def _after(self, kept: Checkpoint, rows: Sequence[RowMapping]) -> Checkpoint:
        """The place behind these rows."""
        options = self._options
        if not options.overlap or not isinstance(kept.last, int | float):
            return Checkpoint(_index(rows[-1][options.index]))
        found = [_number(row[options.index]) for row in rows]
        last = max(kept.last, *found)
        seen = [n for n in (*kept.seen, *found) if n > last - options.overlap]
        return Checkpoint(last, tuple(seen))

    async def _read(self, last: Index) -> Sequence[RowMapping]:
        rows = [row._mapping for row in await self._run(self._query, last, self._options.limit)]
        if rows and (wrong := self._absent(rows[0])):
            raise ConfigError(
                f"source {self._source.id}: the query gives no column {wrong!r}, only "
                + ", ".join(map(str, rows[0])),
                mend="correct the options' or the tags' column names, or the query",
            )
        return rows

    async def _run(self, query: TextClause, last: Index, limit: int) -> Sequence[Row[Any]]:
        assert self._engine is not None
        given: dict[str, Any] = {"last": last}
        if re.search(r"(?<!:):limit\b", self._options.query):
            given["limit"] = limit
        try:
            async with asyncio.timeout(self._options.timeout / 1000):
                async with self._engine.connect() as connection:
                    return (await connection.execute(query, given)).fetchmany(limit)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            said = str(getattr(error, "orig", None) or error) or "no answer in time"
            raise RetryableTransportError(
                f"SQL source {self._source.id}: {said.splitlines()[0]}\n"
                "  mend: check the database, its address and user, and the source's query"
            ) from error

    def _absent(self, row: RowMapping) -> str:
        options = self._options
        wanted = [options.index, options.time, options.name, options.value, options.quality]
        if not options.name:
            wanted += self._points
        return next((column for column in wanted if column and column not in row), "")

    def _hand_over(self, row: RowMapping) -> None:
        options, now = self._options, self._clock.now_ms()
        self._fault = ""
        moment: int | None = now
        if options.time:
            moment = parse_time(row[options.time], options.time_unit, self._zone)
            if moment is None:
                self._fault = f"no time in column {options.time} at {row[options.index]}"
                moment = now
        quality = row[options.quality] if options.quality else GOOD
        grade = quality if quality in (0, 1, 2) else BAD
        if options.name:
            self._give(str(row[options.name]), row[options.value], moment, grade)
            return
        for column in self._points:
            self._give(column, row[column], moment, grade)

    def _give(self, address: str, value: Any, moment: int, grade: int) -> None:
        for point in self._points.get(address, ()):
            # SQL's NULL in a wide row: this row says nothing of this tag.
            if value is not None or self._options.name:
                emit(self._sink, point, moment, as_raw(value, point.kind), grade)

    async def write(self, order: Write) -> WriteResult:
        """Tables are read only."""
        return WriteResult(
            id=order.id, outcome="failed", detail="not sent: sql sources are read only"
        )

    async def close(self) -> None:
        """Close the connection."""
        engine, self._engine = self._engine, None
        if engine is not None:
            await engine.dispose()


def _index(value: Any) -> Index:
    """A value of the index column as it is kept and asked with."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, bool) or not isinstance(value, int | float | str | datetime):
        raise ConfigError(
            f"the index column holds {type(value).__name__}",
            mend="choose a column with numbers, texts or times that only grow",
        )
    return value


def _number(value: Any) -> int | float:
    found = _index(value)
    if not isinstance(found, int | float):
        raise ConfigError(
            f"the index column holds {found!r}, no number",
            mend="set index_type to text or time, or leave out overlap",
        )
    return found
