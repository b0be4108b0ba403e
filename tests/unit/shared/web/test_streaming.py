"""A streamed answer closes its source, whatever ended it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.web.streaming import ClosingStream


async def test_the_source_is_closed_when_the_reader_has_gone() -> None:
    closed = []

    async def frames() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"frame"
        finally:
            closed.append(True)

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        if message["type"] == "http.response.body":
            raise OSError("gone")

    source = frames()  # held here, so that no collection can close it instead
    with pytest.raises(OSError, match="gone"):
        await ClosingStream(source).stream_response(send)
    assert closed == [True]


async def test_what_ends_by_itself_is_sent_whole() -> None:
    sent: list[bytes] = []

    async def frames() -> AsyncIterator[bytes]:
        yield b"one"
        yield b"two"

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message.get("body", b""))

    await ClosingStream(frames()).stream_response(send)
    assert b"".join(sent) == b"onetwo"
