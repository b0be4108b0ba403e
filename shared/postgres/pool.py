"""The connection pool, and database faults as clear configuration errors.

Opened by the tiers' bootstraps; hot paths use asyncpg itself, desk work may use SQLModel sessions.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import msgspec
from asyncpg.pool import PoolConnectionProxy

from shared.errors import ConfigError

Connection = asyncpg.Connection | PoolConnectionProxy
"""A connection, borrowed from a pool or not."""
Pool = asyncpg.Pool
NoSuchTable = asyncpg.UndefinedTableError
_FAULTS = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError)


def redacted(url: str) -> str:
    """The URL without its password, for logs and errors."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.port:
        host += f":{parts.port}"
    user = f"{parts.username}@" if parts.username else ""
    return urlunsplit((parts.scheme, user + host, parts.path, "", ""))


_BOUNDED = (
    "SELECT set_config(name, $1, false) FROM pg_settings "
    "WHERE name IN ('transaction_timeout', 'idle_in_transaction_session_timeout')"
)
"""Idleness alone does not do: a process that is frozen between two messages of one statement is not
idle to the server. The other setting is there from PostgreSQL 17 on."""


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=msgspec.json.encode, decoder=msgspec.json.decode,
        format="binary",
    )  # fmt: skip
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + msgspec.json.encode(value),
        decoder=lambda data: msgspec.json.decode(data[1:]),
        format="binary",
    )


async def _as_it_is(_: object) -> None:
    """Give a connection back without asking the server to forget what was set in its session.

    That was every second message to the server. Nothing here sets anything beyond a transaction
    (SET LOCAL, locks of transactions); an open transaction is rolled back by the pool itself.
    """


async def connect_pool(
    url: str, *, size: int = 5, timeout_s: float = 15.0, name: str = "andon",
    statement_ms: int = 0, transaction_s: float = 0,
) -> asyncpg.Pool:  # fmt: skip
    """Open the pool; raises ConfigError that names the database and the mend.

    `name` is who the database is told that this is; `statement_ms` is how long one statement may
    take before the database itself ends it (0: as the database has it). `transaction_s` is how long
    a transaction may last before the database ends it with its session: a process that is frozen,
    or whose host is gone, must not keep what it has locked from everybody else.
    """
    where = redacted(url)
    # Short statements by the thousand: compiling one costs more than running it.
    server = {"jit": "off", "application_name": name[:63]}
    if statement_ms:
        server["statement_timeout"] = str(statement_ms)

    async def prepare(connection: asyncpg.Connection) -> None:
        await _prepare(connection)
        if transaction_s:
            await connection.execute(_BOUNDED, str(round(transaction_s * 1000)))

    try:
        return await asyncio.wait_for(
            asyncpg.create_pool(
                url, min_size=1, max_size=size, init=prepare, command_timeout=30,
                max_inactive_connection_lifetime=300, server_settings=server, reset=_as_it_is,
            ),
            timeout_s,
        )  # fmt: skip
    except asyncpg.InvalidPasswordError as error:
        raise ConfigError(
            "the database refused the password",
            where=where,
            mend="correct database_url",
        ) from error
    except asyncpg.InvalidCatalogNameError as error:
        raise ConfigError(
            "no such database", where=where, mend="create it, or correct database_url"
        ) from error
    except _FAULTS as error:
        raise ConfigError(
            f"cannot reach the database: {error or type(error).__name__}",
            where=where,
            mend="start PostgreSQL, or correct database_url",
        ) from error
