"""The driver `sql`: new rows of a table, told apart by a growing column; options and grammar.

Loaded by the registry for every check of a site, so it imports no database library; `sql_reader`
does the work.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from edge_node.adapters.sources.json_values import TimeUnit, parse_time
from edge_node.adapters.sources.port import Driver, DriverInfo, Options, Sink, Source
from shared.clock import Clock
from shared.site.fields import Duration

_READS = re.compile(r"\s*(select|with)\b", re.IGNORECASE)


class SqlOptions(Options):
    """`options:` of an SQL source."""

    query: str
    """For example: select id, at, temp from readings where id > :last order by id limit :limit."""
    index: str = Field(default="id", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The column that only grows; its last value is kept over a restart."""
    time: str = ""
    """The column with the moment of the row; empty: the moment it is read."""
    time_unit: TimeUnit = "auto"
    time_zone: str = "UTC"
    """Of times without a zone."""
    name: str = ""
    """Column with a tag's name: one value a row. Empty: each column is a tag's address."""
    value: str = ""
    """Column with the value, with `name`."""
    quality: str = ""
    """Column with 0 good, 1 uncertain, 2 bad."""
    limit: int = Field(default=1000, ge=1, le=100_000)
    start: Literal["now", "beginning"] = "now"
    """Where the very first run begins, when nothing is kept yet."""
    index_type: Literal["number", "text", "time"] = "number"
    first: int | float | str = 0
    """A value below every one of the index: 0, or for a time 1970-01-01."""
    overlap: int = Field(default=0, ge=0, le=10_000)
    """Numbers below the last one that are looked at again, for rows that are committed late."""
    timeout: Duration = Field(default=10_000, ge=100, le=60_000)

    @field_validator("first", mode="before")
    @classmethod
    def _as_text(cls, given: Any) -> Any:
        # YAML reads 1970-01-01 as a date.
        return given.isoformat() if isinstance(given, date) else given

    @field_validator("query")
    @classmethod
    def _reads(cls, text: str) -> str:
        if not _READS.match(text) or ";" in text.rstrip().rstrip(";"):
            raise ValueError("the query must be one select")
        if not re.search(r"(?<!:):last\b", text):
            raise ValueError("the query must have `where <index> > :last`")
        if not re.search(r"\border\s+by\b", text, re.IGNORECASE):
            raise ValueError("the query must have `order by <index>`, or rows could be left out")
        return text.strip().rstrip(";")

    @field_validator("time_zone")
    @classmethod
    def _zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(f"{name!r} is not a time zone, for example Asia/Shanghai") from error
        return name

    @model_validator(mode="after")
    def _pairs(self) -> SqlOptions:
        if bool(self.name) != bool(self.value):
            raise ValueError("`name` and `value` go together: the columns of name and value")
        if self.overlap and self.overlap >= self.limit:
            raise ValueError("`limit` must be larger than `overlap`, or nothing new is ever read")
        if self.overlap and self.index_type != "number":
            raise ValueError("`overlap` goes with a number as index")
        if self.index_type == "time" and parse_time(self.first, "auto") is None:
            raise ValueError("`first` must be a time, for example 1970-01-01T00:00:00Z")
        return self


def check_address(address: str, tag_type: str) -> str:
    """What is wrong with a tag's address, with the mend; "" when nothing is."""
    del tag_type
    if address.strip() and address == address.strip():
        return ""
    return f"{address!r}: write the column's name, or the tag's name in the table"


def check_write(address: str) -> str:
    """Tables are read only."""
    return f"{address!r}: a source of driver sql is read only"


def _build(source: Source, sink: Sink, clock: Clock) -> Driver:
    from edge_node.adapters.sources.sql_reader import SqlDriver

    return SqlDriver(source, sink, clock)


DRIVER = DriverInfo(
    name="sql",
    options=SqlOptions,
    build=_build,
    check_address=check_address,
    schemes=("sqlite", "sqlite+aiosqlite", "postgresql", "postgresql+asyncpg", "mysql+asyncmy",
             "mssql+aioodbc", "oracle+oracledb_async"),
    check_write=check_write,
    extra="sql",
)  # fmt: skip
