"""The real servers of a benchmark: the embedded PostgreSQL sized for a plant, NATS, a database.

Used by the loads; everything lives in one temporary folder and is gone afterwards.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from shared.bus.nats_conf import NatsServer, render
from shared.embedded.databases import dsn, ensure_databases, is_ready
from shared.embedded.nats_server import nats_spec
from shared.embedded.ports import Ports
from shared.embedded.postgres import PostgresPlan, postgres_spec
from shared.embedded.process import Child
from shared.errors import AndonError

READY_S = 60.0


@dataclass(slots=True)
class Postgres:
    """A running server."""

    child: Child
    port: int
    password: str

    async def database(self, name: str) -> str:
        """A new database; returns its URL."""
        await ensure_databases(self.port, self.password, {name: "bench"})
        return dsn(name, "bench", self.port)

    def cpu_s(self) -> float:
        """Processor seconds of the server with all its backends."""
        return cpu_s(self.child.pid)


@dataclass(slots=True)
class Nats:
    """A running server."""

    child: Child
    url: str
    password: str


async def until(
    what: str, holds: Callable[[], Awaitable[bool]], seconds: float, every_s: float = 0.1
) -> None:
    """Poll with a deadline; raises AndonError that says what did not come."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        if await holds():
            return
        if asyncio.get_running_loop().time() > end:
            raise AndonError(f"the benchmark waited {seconds:.0f} s in vain for {what}")
        await asyncio.sleep(every_s)


def cpu_s(pid: int | None) -> float:
    """Processor seconds of a process and its children."""
    if pid is None:
        return 0.0
    total = 0.0
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
    return total


@contextlib.asynccontextmanager
async def bench_folder() -> AsyncIterator[Path]:
    """A folder that PostgreSQL's own user can reach."""
    parent = "/var/tmp" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="andon-bench-", dir=parent))
    os.chmod(folder, 0o755)
    try:
        yield folder
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def postgres(folder: Path) -> AsyncIterator[Postgres]:
    """The embedded PostgreSQL in its profile `plant`: durable, as in production."""
    port, password = Ports().take(0), secrets.token_hex(8)
    plan = PostgresPlan(
        data=folder / "pg" / "data", cache=folder / "pg" / "cache", port=port, password=password,
        log_path=folder / "postgres.log", profile="plant",
    )  # fmt: skip
    child = Child(postgres_spec(plan))
    await child.start()
    try:
        await until("PostgreSQL's start", lambda: is_ready(port, password), READY_S)
        yield Postgres(child, port, password)
    finally:
        await child.stop()


@contextlib.asynccontextmanager
async def nats(folder: Path) -> AsyncIterator[Nats]:
    """A real nats-server with JetStream."""
    ports, password = Ports(), secrets.token_hex(8)
    port = ports.take(0)
    server = NatsServer(
        name="f1", domain="f1", store_dir=str(folder / "js"), client_port=port,
        http_port=ports.take(0), app_password=password, sys_password=secrets.token_hex(8),
    )  # fmt: skip
    child = Child(nats_spec("f1", render(server), folder, (port,), folder / "nats.log"))
    await child.start()
    try:
        yield Nats(child, f"nats://127.0.0.1:{port}", password)
    finally:
        await child.stop()
