"""Which database and which keys a verb means: by URL, or by the site of a running system.

Used by `andon identity` and `andon audit`; opens the pool and closes it again.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from shared.errors import AndonError, ConfigError
from shared.identity.where import Where, stand
from shared.paths import default_state_dir
from shared.postgres.pool import NoSuchTable, Pool, connect_pool

GROUP = "group"
T = TypeVar("T")
UrlOption = Annotated[
    str, typer.Option("--database-url", help="数据库 / database (or ANDON_DATABASE_URL)")
]
SiteOption = Annotated[
    str, typer.Option("--site", help="运行中系统的站点, 集团为 group / site of a running system")
]
StateOption = Annotated[Path | None, typer.Option("--state", help="数据目录 / state folder")]
JsonOption = Annotated[bool, typer.Option("--json", help="机器可读 / machine-readable")]


def find_database(url: str, site: str, state: Path | None) -> str:
    """The database's URL; raises ConfigError."""
    if found := url or os.environ.get("ANDON_DATABASE_URL", ""):
        return found
    file = (state or default_state_dir()) / "run" / "up.json"
    try:
        known: dict[str, str] = json.loads(file.read_text())["database"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(
            "which database?", where=str(file),
            mend="give --database-url, or --site of a system that `andon up` runs",
        ) from error  # fmt: skip
    name = "cloud" if site == GROUP else site
    if name not in known:
        raise ConfigError(
            f"no site {site!r} here", where=str(file),
            mend=f"give --site: one of {', '.join(GROUP if k == 'cloud' else k for k in known)}",
        )  # fmt: skip
    return known[name]


def key_file(site: str, state: Path | None) -> Path | None:
    """The public key that signs this site's anchors, where `andon up` keeps it."""
    name = "group-release.pub" if site == GROUP else f"{site}-approval.pub"
    file = (state or default_state_dir()) / "secrets" / "keys" / name
    return file if site and file.is_file() else None


def with_pool(url: str, act: Callable[[Pool], Awaitable[T]]) -> T:
    """Run `act` with a pool of this database; a known fault ends the verb with code 2."""

    async def run() -> T:
        stand(Where(tier="command line", address="localhost"))
        pool = await connect_pool(url, size=2)
        try:
            return await act(pool)
        finally:
            await pool.close()

    try:
        return asyncio.run(run())
    except AndonError as error:
        raise stop(error) from None
    except NoSuchTable as error:
        raise stop(f"{error}: start the tier once, it makes its tables") from None


def stop(error: Any) -> typer.Exit:
    """Say why a verb cannot be run; code 2."""
    typer.echo(f"andon: {error}", err=True)
    return typer.Exit(2)


def operator() -> str:
    """Who sits at the command line, for the audit log."""
    return f"command line ({os.environ.get('SUDO_USER') or os.environ.get('USER') or 'unknown'})"
