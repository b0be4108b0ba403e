"""TCP ports of the embedded engines: the usual one if it is free, else one the system picks.

Called while a plan is made; never holds a port open longer than the look takes.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

LOOPBACK = "127.0.0.1"


def is_free(port: int, host: str = LOOPBACK) -> bool:
    """Whether a server could listen on `port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # As servers do: a port whose last connections are still closing counts as free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def answers(port: int, host: str = LOOPBACK, timeout_s: float = 0.25) -> bool:
    """Whether something accepts connections on `port`."""
    try:
        with socket.create_connection((host, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def answering(*ports: int) -> Callable[[], Awaitable[bool]]:
    """A readiness probe: all of `ports` accept connections."""

    def all_answer() -> bool:
        return all(answers(port) for port in ports)

    async def probe() -> bool:
        return await asyncio.to_thread(all_answer)

    return probe


class Ports:
    """Hands out ports, never the same twice."""

    def __init__(self, host: str = LOOPBACK) -> None:
        self._host = host
        self._given: set[int] = set()

    def take(self, preferred: int = 0) -> int:
        """`preferred` if it is free and not given out yet; else a port the system picks."""
        if preferred and preferred not in self._given and is_free(preferred, self._host):
            self._given.add(preferred)
            return preferred
        while True:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((self._host, 0))
                port = probe.getsockname()[1]
            if port not in self._given:
                self._given.add(port)
                return port
