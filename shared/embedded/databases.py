"""Databases and roles of the embedded PostgreSQL, made idempotently.

Called by `andon up` once the server answers; never makes tables (the tiers' migrations do).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import asyncpg

from shared.embedded.postgres import SUPERUSER
from shared.errors import StoreError

RECOVERY_S = 60.0


def dsn(name: str, password: str, port: int, host: str = "127.0.0.1") -> str:
    """The address under which role `name` reaches its database of the same name."""
    return f"postgresql://{name}:{password}@{host}:{port}/{name}"


async def is_ready(port: int, password: str) -> bool:
    """Whether the server takes connections with our password."""
    try:
        connection = await _connect_once(port, password)
    except (OSError, TimeoutError, asyncpg.CannotConnectNowError):
        return False
    await connection.close()
    return True


async def ensure_databases(port: int, password: str, wanted: Mapping[str, str]) -> None:
    """Make each role (name -> password) and the database it owns; passwords are set anew."""
    try:
        connection = await _connect(port, password)
    except (OSError, TimeoutError, asyncpg.PostgresError) as error:
        raise StoreError(f"PostgreSQL at 127.0.0.1:{port} refused: {error}") from error
    try:
        for name, secret in wanted.items():
            await _ensure(connection, name, secret)
    except asyncpg.PostgresError as error:
        raise StoreError(f"PostgreSQL at 127.0.0.1:{port} refused: {error}") from error
    finally:
        await connection.close()


async def _connect(port: int, password: str) -> asyncpg.Connection:
    """Connect; a server that is still recovering from a kill is waited for (60 s at most)."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + RECOVERY_S
    while True:
        try:
            return await _connect_once(port, password)
        except asyncpg.CannotConnectNowError:
            if loop.time() > deadline:
                raise
            await asyncio.sleep(0.2)


async def _connect_once(port: int, password: str) -> asyncpg.Connection:
    return await asyncpg.connect(
        host="127.0.0.1", port=port, user=SUPERUSER, password=password, database="postgres",
        timeout=5, ssl=False,
    )  # fmt: skip


async def _ensure(connection: asyncpg.Connection, name: str, secret: str) -> None:
    known = await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", name)
    verb = "ALTER" if known else "CREATE"
    await _run(connection, f"{verb} ROLE %I LOGIN PASSWORD %L", name, secret)
    if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
        await _run(connection, "CREATE DATABASE %I OWNER %I", name, name)
    # Others' roles have no business here.
    await _run(connection, "REVOKE CONNECT ON DATABASE %I FROM PUBLIC", name)


async def _run(connection: asyncpg.Connection, statement: str, *values: str) -> None:
    """Run a definition; it takes no parameters, so the server itself quotes the values."""
    quoted = await connection.fetchval("SELECT format($1, VARIADIC $2::text[])", statement, values)
    await connection.execute(str(quoted))
