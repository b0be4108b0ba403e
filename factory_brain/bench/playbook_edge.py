"""The furnaces' edge as a process of its own: it keeps a journal, does each command once, answers.

Started by the loads of `andon bench playbooks`; also takes the webhooks of the linked system. What
it is told is read from its journal file.
"""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path

import msgspec

from factory_brain.bench.playbook_nodes import EDGE
from shared.bus.nats_bus import NatsBus
from shared.clock import SystemClock
from shared.messages.codec import decode, encode
from shared.messages.control import CommandRequest, CommandResult, Health

BEAT_S = 1.0
"""As a real edge."""


class EdgeOrder(msgspec.Struct):
    """Where it works."""

    nats: str
    password: str
    journal: str
    epoch: str
    port: int


class AnsweringEdge:
    """Answers at once."""

    def __init__(self, order: EdgeOrder, bus: NatsBus) -> None:
        self._order, self._bus, self._clock = order, bus, SystemClock()
        self._journal = sqlite3.connect(order.journal, isolation_level=None)
        self._journal.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
            "CREATE TABLE did (id TEXT PRIMARY KEY, at INTEGER, times INTEGER);"
        )

    async def run(self) -> None:
        """For ever."""
        await self._bus.subscribe(EDGE.command, self._on_command)
        server = await asyncio.start_server(self._on_hook, "127.0.0.1", self._order.port)
        async with server:
            while True:
                await self._bus.publish(EDGE.health, encode(self._health()))
                await asyncio.sleep(BEAT_S)

    def _health(self) -> Health:
        return Health(
            source=EDGE.source, epoch=self._order.epoch, boot="bench",
            mono=self._clock.mono_ms(), at=self._clock.now_ms(),
        )  # fmt: skip

    async def _on_command(self, _: str, data: bytes) -> bytes | None:
        now, request = self._clock.now_ms(), decode(data, CommandRequest)
        epoch = self._order.epoch
        if request.health:
            return encode(self._health())
        if request.command is None:
            assert request.query is not None
            name = request.query.id
            seen = self._journal.execute("SELECT 1 FROM did WHERE id = ?", (name,)).fetchone()
            outcome = "done" if seen else "never_seen"
            return encode(CommandResult(id=name, outcome=outcome, epoch=epoch))
        name = request.command.id
        self._journal.execute(
            "INSERT INTO did VALUES (?, ?, 1) ON CONFLICT (id) DO UPDATE SET times = times + 1",
            (name, now),
        )
        return encode(CommandResult(id=name, outcome="done", epoch=epoch, before=85.0))

    async def _on_hook(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))
        writer.write(b"HTTP/1.1 202 ok\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()


async def _main(order: EdgeOrder) -> None:
    bus = await NatsBus.connect(
        order.nats, user="app", password=order.password, name="bench-edge", inbox=EDGE.inbox
    )
    await AnsweringEdge(order, bus).run()


if __name__ == "__main__":
    asyncio.run(_main(msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=EdgeOrder)))
