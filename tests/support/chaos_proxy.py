"""A TCP link that can fall silent: bytes stop in both directions and nobody is told.

Stands between an edge and its factory's broker in the chaos suite.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress


class SilentLink:
    """A proxy to one port."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0
        self.passed = 0
        """Chunks from the edge upward."""

    async def start(self) -> None:
        """Listen on a port that the system picks."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """From now on nothing passes; connections stay open."""
        self._flowing.clear()

    async def mend(self, *, reset: bool) -> None:
        """Pass again; with `reset` what was under way is lost and connections end."""
        if reset:
            for writer in list(self._writers):
                writer.transport.abort()
            await asyncio.sleep(0)
        self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._flowing.wait()
        if writer.is_closing():
            return
        up, down = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers |= {writer, down}
        for source, sink, counted in ((reader, down, True), (up, writer, False)):
            task = asyncio.create_task(self._pump(source, sink, counted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, counted: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._flowing.wait()
                if sink.is_closing():
                    break
                sink.write(data)
                self.passed += counted
                await sink.drain()
        self._writers.discard(sink)
        sink.close()

    async def close(self) -> None:
        """End all."""
        self._flowing.set()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in list(self._writers):
            writer.close()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
