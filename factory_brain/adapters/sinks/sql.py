"""Events and samples into tables of any database that SQLAlchemy knows.

Makes `alarm_event` and `sample` where they are missing, and inserts what is not there yet, by key.
Drivers that block run in one thread of the sink's own. Never updates or deletes a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    Index,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    create_engine,
    insert,
    make_url,
    select,
    tuple_,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.engine import URL
from sqlalchemy.exc import (
    ArgumentError,
    DataError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from factory_brain.adapters.sinks.columns import (
    FLAGS,
    LONG_TEXTS,
    NUMBERS,
    TEXTS,
    WHOLE,
    columns,
)
from factory_brain.application.sinks.port import (
    EventRow,
    SampleRow,
    Sink,
    SinkBatch,
    SinkKind,
    SinkRefusal,
    SinkUnreachable,
)
from shared.site.sinks import SinkSpec

AT_ONCE = 200
"""Rows in one look-up of a database without an upsert of its own."""
_MYSQL = ("mysql", "mariadb")


def _word(length: int = 191) -> Any:
    """A name that is compared byte by byte, also where the database would ignore case."""
    exact = mysql.VARCHAR(length, charset="utf8mb4", collation="utf8mb4_bin")
    return String(length).with_variant(exact, *_MYSQL)


def _long() -> Any:
    return Text().with_variant(mysql.MEDIUMTEXT(charset="utf8mb4"), *_MYSQL)


def _double() -> Any:
    return Float(53).with_variant(mysql.DOUBLE(), *_MYSQL)


METADATA = MetaData()
EVENTS = Table(
    "alarm_event", METADATA,
    Column("source", _word(), primary_key=True), Column("id", _word(), primary_key=True),
    Column("time", BigInteger, nullable=False), Column("received_at", BigInteger, nullable=False),
    Column("epoch", _word(), nullable=False), Column("lane", _word(32), nullable=False),
    Column("seq", BigInteger, nullable=False),
    *(Column(name, _word()) for name in TEXTS), *(Column(name, _long()) for name in LONG_TEXTS),
    *(Column(name, BigInteger) for name in WHOLE), *(Column(name, _double()) for name in NUMBERS),
    *(Column(name, Boolean) for name in FLAGS),
    Column("body", _long(), nullable=False),
    Index("alarm_event_time", "time"), Index("alarm_event_alarm", "alarm", "time"),
)  # fmt: skip
SAMPLES = Table(
    "sample", METADATA,
    Column("tag", _word(), primary_key=True),
    Column("time", BigInteger, primary_key=True, autoincrement=False),
    Column("asset", _word(), nullable=False), Column("value", _double()),
    Column("quality", SmallInteger, nullable=False), Index("sample_time", "time"),
)  # fmt: skip


def event_values(event: EventRow) -> dict[str, Any]:
    """One row of `alarm_event`."""
    return columns(event) | {
        "source": event.source, "id": event.id, "time": event.time, "epoch": event.epoch,
        "received_at": event.received_at, "lane": event.lane, "seq": event.seq,
        "body": event.body.decode(),
    }  # fmt: skip


def sample_values(sample: SampleRow) -> dict[str, Any]:
    """One row of `sample`."""
    return {
        "tag": sample.tag, "time": sample.time, "asset": sample.asset, "value": sample.value,
        "quality": sample.quality,
    }  # fmt: skip


def _values(batch: SinkBatch) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return (
        [event_values(each) for each in batch.events],
        [sample_values(each) for each in batch.samples],
    )


def put(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert what is not there yet; a repeated key changes nothing."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    unique = list({tuple(row[key] for key in keys): row for row in reversed(rows)}.values())[::-1]
    name = connection.dialect.name
    if name == "postgresql":
        connection.execute(postgresql.insert(table).on_conflict_do_nothing(), unique)
    elif name == "sqlite":
        connection.execute(sqlite.insert(table).on_conflict_do_nothing(), unique)
    elif name in _MYSQL:  # IGNORE would also hide values that do not fit
        known = mysql.insert(table)
        connection.execute(known.on_duplicate_key_update({keys[0]: table.c[keys[0]]}), unique)
    else:
        put_missing(connection, table, unique)


def put_missing(connection: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """For databases of which no upsert is known: look, then insert, in one transaction."""
    keys = list(table.primary_key)
    for first in range(0, len(rows), AT_ONCE):
        part = rows[first : first + AT_ONCE]
        wanted = [tuple(row[key.name] for key in keys) for row in part]
        known = {tuple(row) for row in connection.execute(
            select(*keys).where(tuple_(*keys).in_(wanted))
        )}  # fmt: skip
        new = [row for row, key in zip(part, wanted, strict=True) if key not in known]
        if new:
            connection.execute(insert(table), new)


class SqlSink:
    """One database."""

    def __init__(self, spec: SinkSpec, secret: str) -> None:
        self._url, self._arguments = _url(spec, secret), _arguments(spec)
        self._engine: Engine | AsyncEngine | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"sink-{spec.id}")
        self._made = False

    async def write(self, batch: SinkBatch) -> None:
        """In one transaction."""
        events, samples = await asyncio.to_thread(_values, batch)

        def work(connection: Connection) -> None:
            put(connection, EVENTS, events)
            put(connection, SAMPLES, samples)

        try:
            if not self._made:
                await self._run(METADATA.create_all)
                self._made = True
            await self._run(work)
        except (DataError, IntegrityError) as error:
            raise SinkRefusal(_first_line(error)) from error
        except SQLAlchemyError as error:
            if _state(error).startswith("22"):  # the standard's class of data that do not fit
                raise SinkRefusal(_first_line(error)) from error
            self._made = False  # somebody may have dropped the tables
            raise SinkUnreachable(_first_line(error)) from error
        except (OSError, TimeoutError) as error:
            raise SinkUnreachable(f"{type(error).__name__}: {error}") from error

    async def _run(self, work: Callable[[Connection], None]) -> None:
        if self._url.get_dialect().is_async:
            if self._engine is None:
                self._engine = create_async_engine(self._url, pool_size=1, pool_pre_ping=True)
            assert isinstance(self._engine, AsyncEngine)
            async with self._engine.begin() as connection:
                await connection.run_sync(work)
            return
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._thread, self._blocking, work)

    def _blocking(self, work: Callable[[Connection], None]) -> None:
        if self._engine is None:
            self._engine = create_engine(
                self._url, pool_size=1, pool_pre_ping=True, connect_args=self._arguments
            )
        assert isinstance(self._engine, Engine)
        with self._engine.begin() as connection:
            work(connection)

    async def close(self) -> None:
        """Cut the connection; a thread that waits for an answer ends by its own time limit."""
        engine, self._engine = self._engine, None
        if isinstance(engine, AsyncEngine):
            await engine.dispose()
        elif engine is not None:
            self._thread.submit(engine.dispose)
        self._thread.shutdown(wait=False)


def _url(spec: SinkSpec, secret: str) -> URL:
    url = make_url(spec.url)
    return url.set(password=secret) if secret else url


def _arguments(spec: SinkSpec) -> dict[str, Any]:
    """A thread cannot be cancelled: the driver itself must give up."""
    if make_url(spec.url).get_driver_name() == "pymysql":
        seconds = max(1, spec.timeout // 1000)
        return {
            "connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds,
            "charset": "utf8mb4",
        }  # fmt: skip
    return {}


def _state(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) else None
    return str(getattr(cause, "sqlstate", "") or "")


def _first_line(error: SQLAlchemyError) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return f"{type(cause).__name__}: {cause}".partition("\n")[0][:300]


def _fault(spec: SinkSpec) -> tuple[str, str] | None:
    mend = "write for example mysql+pymysql://user@host/database or postgresql+asyncpg://…"
    try:
        make_url(spec.url).get_dialect().import_dbapi()
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        return f"not a URL that SQLAlchemy knows: {str(error)[:200]}", mend
    except ImportError as error:
        return f"the driver of this URL is not installed: {error}", f"install it, or {mend}"
    return None


def _open(spec: SinkSpec, secret: str, site: str) -> Sink:
    del site
    return SqlSink(spec, secret)


KIND = SinkKind(_open, _fault)
