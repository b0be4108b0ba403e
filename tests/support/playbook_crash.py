"""The world of the crash oracle: database, bus, a real edge, a receiver, people who answer.

Says what runs have done: writes at the device, notices, events, messages, the journal; two runs of
one document must have done the same, however often the brains of one of them were killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

import factory_brain
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.application.playbooks.ports import NewRun
from factory_brain.domain.samples import Columns
from shared.clock import SystemClock
from shared.ids import uuid7
from shared.playbook.model import Playbook
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.webhooks import new_secret
from tests.support.playbook_brain import devices
from tests.support.playbook_edge import CommandedEdge, commanded_edge
from tests.support.servers import NatsForTests

MIGRATIONS = Path(factory_brain.__file__).parent / "adapters" / "postgres" / "migrations"
ENDED = ("done", "reconciled", "failed", "skipped", "compensated")


@dataclass
class Did:
    """What one run has done, without its own name."""

    status: str
    writes: dict[str, int]
    notices: frozenset[str]
    events: frozenset[str]
    hooks: frozenset[str]
    asked: frozenset[str]
    ends: dict[str, str]
    """Path -> how it ended; `reconciled` is as good as `done`."""
    why: dict[str, str]
    """Path -> why it failed."""


@dataclass
class CrashWorld:
    """Everything around the brains that are killed."""

    url: str
    folder: Path
    edge: CommandedEdge
    order: dict[str, Any]
    pool: asyncpg.Pool
    asked: Counter[str] = field(default_factory=Counter)
    """Idempotency keys of `http` steps that the receiver has seen."""
    hooked: Counter[str] = field(default_factory=Counter)
    """Ids of webhooks that it has seen."""
    answering: bool = True
    choose: Callable[[str, dict[str, Any]], Awaitable[str | None]] | None = None
    """What people answer to a run's question; None: the first option."""

    @property
    def store(self) -> PgRunStore:
        """The store."""
        return PgRunStore(self.pool, SystemClock())

    async def start(self, book: Playbook, asset: str = "T", **context: Any) -> str:
        """A new run of a document."""
        now, name = SystemClock().now_ms(), uuid7(SystemClock())
        document = book.model_dump(mode="json", by_alias=True, exclude_unset=True)
        digest = f"{book.playbook}-{book.version}"
        await self.store.save_version(digest, book.playbook, book.version, document, now)
        alarm = {"id": "FUR-01.TT-101.HIHI", "asset": asset, "value": 1291.5, "limit": 1280.0}
        inputs = {key: each.default for key, each in book.inputs.items()}
        about = {"alarm": alarm, "inputs": inputs, "site": {"id": "f1"}, "started_by": "test"}
        run = NewRun(
            name, digest, book.playbook, book.version, name, alarm["id"], f"occ-{name}",  # type: ignore[arg-type]
            {**about, **context}, now, now + book.deadline,
        )  # fmt: skip
        assert await self.store.create(run)
        return name

    async def answer_for_ever(self) -> None:
        """The people: whatever is asked, they choose the first option."""
        while True:
            await asyncio.sleep(0.015)
            if not self.answering:
                continue
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                rows = await self.pool.fetch(
                    "SELECT id, asks FROM run WHERE asks <> '[]' AND ended_at IS NULL"
                )
                for row in rows:
                    for ask in row["asks"]:
                        option = ask["options"][0]
                        if self.choose is not None:
                            option = await self.choose(row["id"], ask)
                        if option is None:
                            continue
                        data = {"answer": option, "by": "li", "comment": ""}
                        now = SystemClock().now_ms()
                        await self.store.answer(row["id"], ask["path"], data, now)

    async def did(self, run: str) -> Did:
        """What a run has done."""
        fetch, cut = self.pool.fetch, len(run) + 1
        ids = {
            table: frozenset(
                row["id"][cut:]
                for row in await fetch(f"SELECT id FROM {table} WHERE run = $1", run)
            )
            for table in ("notification", "emitted", "delivery")
        }
        ends: dict[str, str] = {}
        why: dict[str, str] = {}
        rows = await fetch("SELECT path, phase, data FROM journal WHERE run = $1 ORDER BY n", run)
        for row in rows:
            ends[row["path"]] = "done" if row["phase"] == "reconciled" else row["phase"]
            if row["phase"] == "failed":
                why[row["path"]] = f"{row['data'].get('kind')}: {row['data'].get('reason', '')}"
        mine = {key[cut:]: n for key, n in self.edge.plant.writes.items() if key.startswith(run)}
        status = await self.pool.fetchval("SELECT status FROM run WHERE id = $1", run)
        asked = frozenset(key[cut:] for key in self.asked if key.startswith(run))
        return Did(
            status, mine, ids["notification"], ids["emitted"], ids["delivery"], asked, ends, why
        )

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """A linked system: takes everything, remembers keys."""
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.partition(": ") for line in head.split("\r\n")[1:] if line]
            headers = {name.lower(): value for name, _, value in lines}
            await reader.readexactly(int(headers.get("content-length", 0)))
            if "webhook-id" in headers:
                self.hooked[headers["webhook-id"]] += 1
            else:
                self.asked[headers.get("idempotency-key", "")] += 1
            body = b'{"ok": true}'
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
            writer.write(f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode())
            writer.write(body)
            await writer.drain()
        writer.close()  # also of one that was killed while it spoke
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    async def reconnect(self, url: str) -> None:
        """Use another database from now on."""
        await self.pool.close()
        self.url = self.order["database"] = url
        self.pool = await connect_pool(url, size=6)


@contextlib.asynccontextmanager
async def crash_world(
    url: str, nats: NatsForTests, folder: Path, delay_s: float = 0.002
) -> AsyncIterator[CrashWorld]:
    """Database migrated, edge alive, receiver listening, people answering."""
    await migrate(url, MIGRATIONS)
    pool = await connect_pool(url, size=6)
    (folder / "hook").write_text(new_secret())
    bus = await nats.connect(site="f1")
    async with commanded_edge(bus, folder, devices(), delay_s) as edge:
        order = {
            "database": url, "nats": nats.url, "password": nats.password, "folder": str(folder),
        }  # fmt: skip
        world = CrashWorld(url, folder, edge, order, pool)
        server = await asyncio.start_server(world.receive, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        order["receiver"] = f"http://127.0.0.1:{port}"
        await furnace_is_cool(pool)
        people = asyncio.create_task(world.answer_for_ever())
        try:
            yield world
        finally:
            people.cancel()
            server.close()
            await asyncio.gather(people, return_exceptions=True)
            await world.pool.close()
            await bus.close()


async def furnace_is_cool(pool: asyncpg.Pool) -> None:
    """The furnace has come down: its playbook's last wait is met at once."""
    rows = Columns.of([("TT-101", int(time.time() * 1000), 1200.0, 0)])
    async with pool.acquire() as tx, tx.transaction():
        await SampleStore(pool).insert(tx, [rows])  # type: ignore[arg-type]


def differences(crashed: Did, whole: Did) -> list[str]:
    """What a run has lost, doubled or done in another place; empty if nothing."""
    found = [f"doubled {path}" for path, n in crashed.writes.items() if n > 1]
    for name in ("writes", "notices", "events", "hooks", "asked"):
        one, other = set(getattr(crashed, name)), set(getattr(whole, name))
        found += [f"{name}: lost {each}" for each in sorted(other - one)]
        found += [f"{name}: strange {each}" for each in sorted(one - other)]
    if crashed.status != whole.status:
        found.append(f"status {crashed.status}, not {whole.status}")
    found += [
        f"{path} failed by {why}" for path, why in crashed.why.items() if path not in whole.why
    ]
    paths = crashed.ends.keys() | whole.ends.keys()
    found += [
        f"{path}: {crashed.ends.get(path)}, not {whole.ends.get(path)}"
        for path in sorted(paths) if crashed.ends.get(path) != whole.ends.get(path)
    ]  # fmt: skip
    return found[:40]
