"""A viewer whose machine is gone: the kernel is told how long to believe in it."""

from __future__ import annotations

import asyncio
import socket

import pytest
from fastapi import FastAPI

from shared.embedded.ports import Ports
from shared.web.app import UNHEARD_MS, WebServer


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="Linux only")
async def test_every_connection_is_bounded() -> None:
    port = Ports().take(0)
    server = WebServer(FastAPI(), "127.0.0.1", port)
    running = asyncio.create_task(server.run())
    try:
        async with asyncio.timeout(10):
            while not server._server.started:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readline()).startswith(b"HTTP/1.1 404")
        (connection,) = server._server.server_state.connections
        peer = connection.transport.get_extra_info("socket")  # type: ignore[union-attr]
        assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == UNHEARD_MS
        writer.close()
    finally:
        await server.close()
        await asyncio.wait([running], timeout=5)
