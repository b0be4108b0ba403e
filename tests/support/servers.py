"""Starts real servers for tests: the embedded PostgreSQL as the product itself starts it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from shared.bus.nats_bus import NatsBus
from shared.bus.nats_conf import NatsServer, render
from shared.embedded.databases import dsn, ensure_databases, is_ready
from shared.embedded.nats_server import nats_spec
from shared.embedded.ports import Ports
from shared.embedded.postgres import SUPERUSER, PostgresPlan, postgres_spec
from shared.embedded.process import Child

T = TypeVar("T")
PASSWORD = "test-superuser"


class Hosted:
    """Children kept by an event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def call(self, work: Coroutine[Any, Any, T], timeout: float = 90) -> T:
        """Run a coroutine in the thread and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout)

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()


class PostgresForTests:
    """A running server; its own event loop thread keeps it supervised."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._host = Hosted()
        self.port = Ports().take(0)
        plan = PostgresPlan(
            data=folder / "data", cache=folder / "cache", port=self.port, password=PASSWORD,
            log_path=folder / "postgres.log",
        )  # fmt: skip
        self._child = Child(postgres_spec(plan))

    def start(self) -> None:
        """Start and wait until it takes connections."""
        self._host.call(self._child.start())

        async def ready() -> None:
            async with asyncio.timeout(30):
                while not await is_ready(self.port, PASSWORD):
                    await asyncio.sleep(0.1)

        self._host.call(ready())

    async def spare_the_disk(self) -> None:
        """Do not wait for the disk from now on: what is killed here are processes, not machines."""
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, password=PASSWORD,
            database="postgres", ssl=False,
        )  # fmt: skip
        try:
            for said in ("SET fsync = off", "SET full_page_writes = off"):
                await connection.execute(f"ALTER SYSTEM {said}")
            await connection.execute("SELECT pg_reload_conf()")
        finally:
            await connection.close()

    @property
    def pid(self) -> int | None:
        """The server's process now; another one after a kill, as it is supervised."""
        return self._child.pid

    def stop(self) -> None:
        """Stop and delete its data."""
        self._host.call(self._child.stop())
        self._host.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def create(self, name: str) -> str:
        """A new database with an owner of its own; returns its URL."""
        await ensure_databases(self.port, PASSWORD, {name: "secret"})
        return dsn(name, "secret", self.port)

    async def copy(self, url: str, name: str) -> str:
        """A copy of a database as it is now, with the same owner; nobody may be connected."""
        owner = urlsplit(url).path.lstrip("/")
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, password=PASSWORD,
            database="postgres", ssl=False,
        )  # fmt: skip
        try:
            await connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", owner
            )
            role = urlsplit(url).username
            await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{owner}" OWNER "{role}"')
        finally:
            await connection.close()
        return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))

    async def drop(self, name: str, owner: bool = True) -> None:
        """Drop a database (and the role of its name) and cut whoever is still connected."""
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, password=PASSWORD,
            database="postgres", ssl=False,
        )  # fmt: skip
        try:
            await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            if owner:
                await connection.execute(f'DROP ROLE IF EXISTS "{name}"')
        finally:
            await connection.close()


def start_postgres(folder: Path) -> PostgresForTests:
    """Start a server; as root in a folder that its unprivileged user can reach."""
    if os.geteuid() == 0:
        folder = Path(tempfile.mkdtemp(prefix="andon-pg-", dir="/var/tmp"))
        folder.chmod(0o755)
    server = PostgresForTests(folder)
    server.start()
    return server


class NatsForTests:
    """One real nats-server with JetStream."""

    def __init__(self, folder: Path, name: str = "f1") -> None:
        ports = Ports()
        self.port = ports.take(0)
        self.password = "test-app"
        self._host = Hosted()
        server = NatsServer(
            name=name, domain=name, store_dir=str(folder / "js"), client_port=self.port,
            http_port=ports.take(0), app_password=self.password, sys_password="test-sys",
        )  # fmt: skip
        self._child = Child(
            nats_spec(name, render(server), folder, (self.port,), folder / "nats.log")
        )

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it answers."""
        self._host.call(self._child.start())

    def halt(self) -> None:
        """Stop the server; `start` brings it back with its data."""
        self._host.call(self._child.stop())

    def stop(self) -> None:
        """Stop for good."""
        self.halt()
        self._host.close()

    async def connect(self, inbox: str = "_INBOX", site: str = "*") -> NatsBus:
        """A connection as the tier's own user."""
        return await NatsBus.connect(
            self.url, user="app", password=self.password, name="test", inbox=inbox, site=site
        )
