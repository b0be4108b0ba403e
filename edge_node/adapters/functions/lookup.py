"""The driver `lookup`: joins a key tag (recipe, batch, article) with a row of a table elsewhere.

Loaded by name from the registry; the table is a SQL query or an HTTP resource (`lookup_tables`). A
row is asked for when the key changes and again every `refresh`; an unreachable table keeps the last
row, uncertain, for `grace`.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol, Self

from pydantic import Field, model_validator

from edge_node.adapters.functions.computed import repeat_s
from edge_node.adapters.functions.readings import Readings, Value
from edge_node.adapters.sources.port import (
    BAD,
    GOOD,
    UNCERTAIN,
    Driver,
    DriverInfo,
    Options,
    Sink,
    Source,
    emit,
)
from edge_node.application.ipc import Inputs, Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError
from shared.site.fields import Duration

SQL = ("sqlite+aiosqlite", "postgresql+asyncpg", "mysql+aiomysql", "mssql+aioodbc")
HTTP = ("http", "https")
RETRY_S = 2.0
COVER_S = 0.3
MAX_KEYS = 10_000
_KEY = re.compile(r":key\b")


class LookupOptions(Options):
    """`options:` of a `lookup` source; its only input is the key."""

    query: str = ""
    """SQL with the bound parameter :key; its first row counts."""
    member: str = ""
    """HTTP: path to the row inside the JSON answer, for example data.0"""
    refresh: Duration = Field(default=60_000, ge=100)
    """A row is asked for again so often."""
    grace: Duration = 300_000
    """So long the last row stays in use, uncertain, while the table cannot be reached."""
    timeout: Duration = Field(default=5_000, ge=10)
    cache: int = Field(default=100, ge=1, le=MAX_KEYS)
    """Keys whose rows are remembered."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.query and not _KEY.search(self.query):
            raise ValueError("the query has no parameter :key")
        if self.query and self.member:
            raise ValueError("`member` belongs to HTTP, `query` to SQL")
        return self


class Table(Protocol):
    """Rows by key, somewhere else."""

    async def row(self, key: Value) -> Mapping[str, Any] | None:
        """The row of a key; None when there is none; raises when the table cannot be reached."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...


@dataclass(slots=True)
class _Known:
    row: Mapping[str, Any] | None
    asked_at: int
    """Monotonic ms of the last good answer."""


class LookupDriver:
    """Follows the key and keeps its row fresh."""

    def __init__(self, source: Source, sink: Sink, clock: Clock, table: Table) -> None:
        self._source, self._sink, self._clock, self._table = source, sink, clock, table
        self._options: LookupOptions = source.options
        self._readings = Readings(source.inputs, clock)
        self._news = asyncio.Event()
        self._cache: OrderedDict[Value, _Known] = OrderedDict()
        self._reason, self._tried = "", -(2**62)
        self._repeat_s = min(repeat_s(source), self._options.refresh / 1000)

    def feed(self, inputs: Inputs) -> None:
        """Take the key."""
        self._readings.take(inputs)
        self._news.set()

    async def connect(self) -> None:
        """Nothing is asked before the key has come."""
        self._sink.state("connecting", "waits for its key")

    async def run(self) -> None:
        """Look up for ever."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), self._repeat_s)
            self._news.clear()
            await self._look()

    async def _look(self) -> None:
        key = self._readings.at(0)
        if key.quality == BAD or key.value is None:
            self._say(None, BAD)
            self._sink.state("connected" if self._cache else "connecting",
                             f"the key {self._source.inputs[0].id} has no good value")  # fmt: skip
            return
        now, known = self._clock.mono_ms(), self._cache.get(key.value)
        due = known is None or now - known.asked_at >= self._options.refresh
        if due and (not self._reason or now - self._tried >= RETRY_S * 1000):
            known = await self._ask(key.value) or known
        self._show(key.value, known)

    async def _ask(self, key: Value) -> _Known | None:
        self._tried = self._clock.mono_ms()
        loop = asyncio.get_running_loop()
        # What another key says must not stand for this one while a slow table is asked.
        cover = loop.call_later(COVER_S, self._say, None, BAD) if key not in self._cache else None
        try:
            async with asyncio.timeout(self._options.timeout / 1000):
                row = await self._table.row(key)
        except TimeoutError:
            self._reason = f"no answer within {self._options.timeout} ms"
            return None
        except Exception as error:  # every database and HTTP library has faults of its own
            self._reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            return None
        finally:
            if cover is not None:
                cover.cancel()
        self._reason = ""
        known = self._cache[key] = _Known(row, self._clock.mono_ms())
        self._cache.move_to_end(key)
        while len(self._cache) > self._options.cache:
            self._cache.popitem(last=False)
        return known

    def _show(self, key: Value, known: _Known | None) -> None:
        told = f"{self._source.url.split('?')[0]}: {self._reason}"
        if known is None:
            self._say(None, BAD)
            self._sink.state("failed", f"{told}; there is no row for {key!r} yet\n"
                             "  mend: check the table's server and the url")  # fmt: skip
            return
        age = self._clock.mono_ms() - known.asked_at
        limit = self._options.refresh + self._options.grace
        if self._reason and age >= limit:
            self._say(None, BAD)
            self._sink.state("failed", f"{told}; the row for {key!r} is older than `grace`\n"
                             "  mend: check the table's server and the url")  # fmt: skip
        elif known.row is None:
            self._say(None, BAD)
            self._sink.state("connected", f"the table has no row for {key!r}")
        else:
            missing = self._say(known.row, UNCERTAIN if self._reason else self._key_quality())
            if self._reason:
                self._sink.state("connected", f"{told}; the last row stays in use, uncertain")
            else:
                self._sink.state(
                    "connected", f"the row has no column {missing!r}" if missing else ""
                )

    def _key_quality(self) -> int:
        return GOOD if self._readings.at(0).good else UNCERTAIN

    def _say(self, row: Mapping[str, Any] | None, quality: int) -> str:
        """Hand the columns over; the first that is missing."""
        now, missing = self._clock.now_ms(), ""
        for point in self._source.points:
            value = None if row is None else _plain(row.get(point.address), point.kind)
            if row is not None and point.address not in row:
                missing = missing or point.address
            emit(self._sink, point, now, value, BAD if value is None else quality)
        return missing

    async def write(self, order: Write) -> WriteResult:
        """A table is read only."""
        return WriteResult(id=order.id, outcome="failed", detail="a lookup only reads")

    async def close(self) -> None:
        """Let go of the table."""
        await self._table.close()


def _plain(value: Any, kind: str) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return str(value) if kind == "string" and value is not None else value
    if kind == "string":
        return str(value)
    with suppress(TypeError, ValueError):  # Decimal, a number as text
        return float(value)
    return None


def check_address(address: str, kind: str) -> str:
    """The name of a column."""
    del kind
    return "" if address else "write the name of the column"


def verify(source: Source) -> None:
    """Whether the URL and the options are of the same kind of table."""
    options: LookupOptions = source.options
    if len(source.inputs) != 1:
        raise ConfigError(
            f"source {source.id}: a lookup has one input, its key, not {len(source.inputs)}",
            mend="write `inputs: [TAG]`",
        )
    scheme = source.url.partition(":")[0].lower()
    if (scheme in SQL) != bool(options.query):
        raise ConfigError(
            f"source {source.id}: a URL {scheme}: "
            + ("has no `query`" if options.query else "needs `options: {query: …}`"),
            mend="a SQL table has a query with :key; an HTTP table has {key} in its url",
        )
    if scheme in HTTP and "{key}" not in source.url:
        raise ConfigError(
            f"source {source.id}: the url has no place for the key",
            mend="write for example https://mes.plant/recipes/{key}",
        )


def build(source: Source, sink: Sink, clock: Clock) -> Driver:
    """The driver with its table."""
    from edge_node.adapters.functions import lookup_tables

    verify(source)
    if source.url.partition(":")[0].lower() in SQL:
        return LookupDriver(source, sink, clock, lookup_tables.SqlTable(source))
    return LookupDriver(source, sink, clock, lookup_tables.HttpTable(source))


DRIVER = DriverInfo(
    name="lookup", options=LookupOptions, build=build, check_address=check_address,
    schemes=(*SQL, *HTTP), computed=True, verify=verify,
)  # fmt: skip
