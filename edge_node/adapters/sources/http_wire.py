"""A bounded HTTP/1.1 server side: one request at a time on each connection, JSON answers.

Used by `http_listener`. Knows nothing of values; limits connections, bodies and waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import h11
import msgspec

READ_S = 10.0
"""How long a client may take for the next piece of its request."""
MAX_HEADER = 16_384


@dataclass(frozen=True, slots=True)
class Posted:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reply:
    """What it is answered."""

    status: int
    body: dict[str, Any]


Handler = Callable[[Posted], Awaitable[Reply]]


class _TooLong(Exception):
    """The body is longer than allowed."""


class HttpWire:
    """Listens, takes requests apart, answers."""

    def __init__(self, handler: Handler, max_body: int, max_connections: int) -> None:
        self._handler, self._max_body, self._most = handler, max_body, max_connections
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.on_refused: Callable[[str], None] = lambda why: None
        """Told of what never reached the handler."""

    async def open(self, host: str, port: int) -> int:
        """Listen; the port, also when it was 0. OSError when it is taken."""
        self._server = await asyncio.start_server(self._serve, host, port, limit=65_536)
        return self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening and drop what is connected."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= self._most:
            self.on_refused(f"more than {self._most} connections at once")
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            await self._talk(reader, writer)
        except (OSError, TimeoutError, h11.LocalProtocolError):
            writer.transport.abort()
        finally:
            self._open.discard(writer)
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADER)
        while True:
            try:
                posted = await self._receive(wire, reader, writer)
            except h11.RemoteProtocolError as error:
                await self._turn_away(wire, writer, 400, f"no HTTP: {error}")
                return
            except _TooLong:
                why = f"the body is longer than {self._max_body} bytes"
                await self._turn_away(wire, writer, 413, why)
                return
            if posted is None:
                return
            await self._answer(wire, writer, await self._handler(posted))
            if wire.our_state is not h11.DONE or wire.their_state is not h11.DONE:
                return
            wire.start_next_cycle()

    async def _turn_away(
        self, wire: h11.Connection, writer: asyncio.StreamWriter, status: int, why: str
    ) -> None:
        self.on_refused(why)
        await self._answer(wire, writer, Reply(status, {"error": why}), last=True)

    async def _receive(
        self, wire: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> Posted | None:
        request: h11.Request | None = None
        body = bytearray()
        while True:
            event = wire.next_event()
            if event is h11.NEED_DATA:
                if wire.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    writer.write(wire.send(go_on) or b"")
                async with asyncio.timeout(READ_S):
                    wire.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Request):
                request = event
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._max_body:
                    raise _TooLong
            elif isinstance(event, h11.EndOfMessage) and request is not None:
                headers = {
                    name.decode("latin-1").lower(): value.decode("latin-1")
                    for name, value in request.headers
                }
                target = request.target.decode("latin-1").partition("?")[0]
                return Posted(request.method.decode(), target, headers, bytes(body))
            else:
                return None

    async def _answer(
        self, wire: h11.Connection, writer: asyncio.StreamWriter, reply: Reply, *,
        last: bool = False,
    ) -> None:  # fmt: skip
        raw = msgspec.json.encode(reply.body)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(raw)))]
        if last:
            headers.append(("Connection", "close"))
        with suppress(h11.LocalProtocolError):
            for event in (
                h11.Response(status_code=reply.status, headers=headers), h11.Data(data=raw),
                h11.EndOfMessage(),
            ):  # fmt: skip
                writer.write(wire.send(event) or b"")
        async with asyncio.timeout(READ_S):
            await writer.drain()
