"""Alembic migrations at start, under an advisory lock so that several replicas may start at once.

Each tier brings its folder of revisions; its `env.py` calls `run_env` with the tier's metadata.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from asyncpg import InterfaceError, PostgresError
from sqlalchemy import Connection, MetaData, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from shared.errors import ConfigError
from shared.postgres.pool import Pool, redacted

_LOCK = 0x616E646F6E  # "andon"


def async_url(url: str) -> str:
    """The SQLAlchemy form of a PostgreSQL URL."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+asyncpg://" + url.removeprefix(prefix)
    return url


async def migrate(url: str, folder: Path) -> None:
    """Bring the database to the newest revision in `folder` (bounded wait for the lock: 60 s)."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    engine = create_async_engine(async_url(url), poolclass=pool.NullPool)

    def upgrade(connection: Connection) -> None:
        connection.execute(text("SET lock_timeout = '60s'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    try:
        async with asyncio.timeout(120), engine.begin() as connection:
            await connection.run_sync(upgrade)
    except TimeoutError as error:
        raise ConfigError(
            "migrations did not finish in 120 s", where=redacted(url),
            mend="look for another migration or a long transaction holding its lock",
        ) from error  # fmt: skip
    finally:
        await engine.dispose()


def without_partitions(connection: Connection) -> Callable[[str | None, str, Any], bool]:
    """Alembic's filter of names: partitions are made by the product, not by revisions."""
    found = connection.execute(text("SELECT relname FROM pg_class WHERE relispartition"))
    children = {row[0] for row in found}
    return lambda name, kind, _: not (kind == "table" and name in children)


async def behind_head(connection: Pool, folder: Path) -> str:
    """Empty where the database is at the newest revision of `folder`; else a code."""
    config = Config()
    config.set_main_option("script_location", str(folder))
    head = ScriptDirectory.from_config(config).get_current_head()
    try:
        found = await connection.fetchval("SELECT version_num FROM alembic_version", timeout=2)
    except (OSError, PostgresError, InterfaceError, TimeoutError):
        return "not_readable"
    return "" if found == head else f"at_{found}_not_{head}"


def run_env(metadata: MetaData) -> None:
    """Body of a tier's `env.py`."""
    connection = context.config.attributes.get("connection")
    if connection is None:
        raise ConfigError("run migrations through Andon", mend="start the tier; it migrates itself")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=without_partitions(connection),
    )
    context.run_migrations()
