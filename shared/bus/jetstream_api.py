"""Two questions to JetStream's own interface, as plain requests over the bus.

Called by whoever shares streams among several processes; knows no client library.
"""

from __future__ import annotations

from typing import Any, Protocol

import msgspec

from shared.errors import RetryableTransportError

ASK_S = 5.0
_GONE = (10014, 10059)
"""No such consumer, no such stream."""


class Asks(Protocol):
    """The part of the bus that is used."""

    async def request(self, subject: str, data: bytes, timeout_s: float) -> bytes:
        """Ask and wait for the answer."""
        ...


async def drop_consumer(bus: Asks, stream: str, durable: str) -> None:
    """Delete a durable consumer: what it had handed out and nobody acknowledged is due at once."""
    await _ask(bus, f"CONSUMER.DELETE.{stream}.{durable}", {})


async def subjects_of(bus: Asks, stream: str) -> list[str]:
    """Subjects of which a stream holds messages."""
    found = await _ask(bus, f"STREAM.INFO.{stream}", {"subjects_filter": ">"})
    return list((found.get("state", {}).get("subjects")) or {})


async def _ask(bus: Asks, what: str, body: dict[str, Any]) -> dict[str, Any]:
    data = await bus.request(f"$JS.API.{what}", msgspec.json.encode(body) if body else b"", ASK_S)
    answer: dict[str, Any] = msgspec.json.decode(data)
    error = answer.get("error")
    if error and error.get("err_code") not in _GONE:
        raise RetryableTransportError(f"{what}: {error.get('description')}")
    return answer
