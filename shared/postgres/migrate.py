"""Alembic migrations at start, under an advisory lock so that several replicas may start at once.

Each tier brings its folder of revisions; its `env.py` calls `run_env` with the tier's metadata.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import asyncpg
from asyncpg import InterfaceError, PostgresError

from shared.errors import ConfigError
from shared.postgres.pool import Pool, redacted

if TYPE_CHECKING:
    from sqlalchemy import Connection, MetaData

_LOCK = 0x616E646F6E  # "andon"
LOOK_S = 10.0
_REVISION = re.compile(r"^(down_)?revision\b[^=\n]*=\s*[\"']([^\"']+)[\"']", re.MULTILINE)


def async_url(url: str) -> str:
    """The SQLAlchemy form of a PostgreSQL URL."""
    for prefix in ("postgresql://", "postgres://"):
        if url.startswith(prefix):
            return "postgresql+asyncpg://" + url.removeprefix(prefix)
    return url


async def migrate(url: str, folder: Path) -> None:
    """Bring the database to the newest revision in `folder` (bounded wait for the lock: 60 s).

    A database that is there already is left alone, and Alembic is not even loaded: a tier that
    was killed must be back soon.
    """
    if await _at(url) == head_of(folder):
        return
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import pool, text
    from sqlalchemy.ext.asyncio import create_async_engine

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


def head_of(folder: Path) -> str | None:
    """The one revision of `folder` that no other one follows, by its files; None if not one."""
    made: set[str] = set()
    followed: set[str] = set()
    for file in (folder / "versions").glob("*.py"):
        for before, name in _REVISION.findall(file.read_text(encoding="utf-8")):
            (followed if before else made).add(name)
    heads = made - followed
    return heads.pop() if len(heads) == 1 else None


async def _at(url: str) -> str:
    """The revision of a database; empty where there is none, or it cannot be asked."""
    try:
        async with asyncio.timeout(LOOK_S):
            connection = await asyncpg.connect(url)
            try:
                found = await connection.fetch("SELECT version_num FROM alembic_version")
            finally:
                await connection.close()
    except (OSError, PostgresError, InterfaceError, TimeoutError):
        return ""  # the migration says what is wrong
    return found[0]["version_num"] if len(found) == 1 else ""


def without_partitions(connection: Connection) -> Callable[[str | None, str, Any], bool]:
    """Alembic's filter of names: partitions are made by the product, not by revisions."""
    from sqlalchemy import text

    found = connection.execute(text("SELECT relname FROM pg_class WHERE relispartition"))
    children = {row[0] for row in found}
    return lambda name, kind, _: not (kind == "table" and name in children)


async def behind_head(connection: Pool, folder: Path) -> str:
    """Empty where the database is at the newest revision of `folder`; else a code."""
    head = head_of(folder)
    try:
        found = await connection.fetchval("SELECT version_num FROM alembic_version", timeout=2)
    except (OSError, PostgresError, InterfaceError, TimeoutError):
        return "not_readable"
    return "" if found == head else f"at_{found}_not_{head}"


def run_env(metadata: MetaData) -> None:
    """Body of a tier's `env.py`."""
    from alembic import context

    connection = context.config.attributes.get("connection")
    if connection is None:
        raise ConfigError("run migrations through Andon", mend="start the tier; it migrates itself")
    context.configure(
        connection=connection,
        target_metadata=metadata,
        include_name=without_partitions(connection),
    )
    context.run_migrations()
