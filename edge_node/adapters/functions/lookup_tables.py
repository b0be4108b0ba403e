"""Tables of other systems: one row by its key, from a SQL query or an HTTP resource.

Made by `lookup`, which bounds every wait. Reads only; the key is always bound or quoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from edge_node.adapters.functions.readings import Value
from edge_node.adapters.sources.port import Source
from shared.errors import ConfigError

MAX_BODY = 1 << 20
NOT_FOUND = 404


class SqlTable:
    """One query on any database that SQLAlchemy speaks to."""

    def __init__(self, source: Source) -> None:
        try:
            from sqlalchemy import make_url, text
            from sqlalchemy.exc import ArgumentError, NoSuchModuleError
            from sqlalchemy.ext.asyncio import create_async_engine
            from sqlalchemy.pool import NullPool
        except ImportError as error:
            raise _not_installed(source, str(error)) from error
        try:
            url = make_url(source.url)
            if user := source.settings.get("user"):
                url = url.set(username=str(user), password=source.password() or None)
            self._engine = create_async_engine(url, poolclass=NullPool)
        except ImportError as error:
            raise _not_installed(source, str(error)) from error
        except (ArgumentError, NoSuchModuleError) as error:
            raise ConfigError(
                f"source {source.id}: {error}",
                mend="write for example postgresql+asyncpg://host/database",
            ) from error
        self._query = text(source.options.query)

    async def row(self, key: Value) -> Mapping[str, Any] | None:
        """The first row; a whole number that came as a float is asked for as one."""
        bound = int(key) if isinstance(key, float) and key.is_integer() else key
        async with self._engine.connect() as connection:
            found = (await connection.execute(self._query, {"key": bound})).mappings().first()
            return None if found is None else dict(found)

    async def close(self) -> None:
        """Close what is open."""
        await self._engine.dispose()


class HttpTable:
    """A JSON resource with the key in its URL."""

    def __init__(self, source: Source) -> None:
        try:
            import httpx
        except ImportError as error:
            raise ConfigError(
                f"source {source.id}: httpx is not installed",
                mend="pip install 'andon[edge]', then start the edge again",
            ) from error
        self._url, self._member = source.url, source.options.member
        user = source.settings.get("user")
        auth = httpx.BasicAuth(str(user), source.password()) if user else None
        self._client_of = lambda: httpx.AsyncClient(
            auth=auth, timeout=source.options.timeout / 1000, headers={"Accept": "application/json"}
        )
        self._client: httpx.AsyncClient | None = None

    async def row(self, key: Value) -> Mapping[str, Any] | None:
        """The object at `member`; None for 404 or an empty place."""
        if self._client is None:
            self._client = self._client_of()
        whole = int(key) if isinstance(key, float) and key.is_integer() else key
        url = self._url.replace("{key}", quote(str(whole), safe=""))
        answer = await self._client.get(url)
        if answer.status_code == NOT_FOUND:
            return None
        answer.raise_for_status()
        if len(answer.content) > MAX_BODY:
            raise ValueError(f"the answer has {len(answer.content)} bytes, more than {MAX_BODY}")
        return _member(answer.json(), self._member)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()


def _member(document: Any, path: str) -> Mapping[str, Any] | None:
    for part in filter(None, path.split(".")):
        if isinstance(document, list):
            index = int(part) if part.isdecimal() else -1
            document = document[index] if 0 <= index < len(document) else None
        elif isinstance(document, dict):
            document = document.get(part)
        if document is None:
            return None
    if not isinstance(document, dict):
        raise ValueError(f"the answer is no JSON object at {path or 'its top'}")
    return document


def _not_installed(source: Source, why: str) -> ConfigError:
    return ConfigError(
        f"source {source.id}: the library for {source.url.partition(':')[0]} is not installed: "
        f"{why}",
        mend="pip install 'andon[sql]' (or the library that it names), then start the edge again",
    )
