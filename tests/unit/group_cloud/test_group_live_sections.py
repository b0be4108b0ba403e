"""The group's live stream when one of its sections fails: the others are told, it is told later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

from group_cloud.application.live import GroupLive
from group_cloud.domain.scope import ALL, Scope


class NoFactories:
    """Nobody is connected."""

    def online_sites(self) -> frozenset[str]:
        return frozenset()


class Sections:
    """Two sections; one of them is broken as long as wanted."""

    def __init__(self) -> None:
        self.broken, self.asked = True, 0
        self.live = GroupLive(cast(Any, NoFactories()), cast(Any, None), lambda: 0)
        for name in ("factories", "proposals"):
            self.live.drop(name)
        self.live.show("aaa", self.weak)  # first by name and by order: nothing is hidden behind it
        self.live.show("zzz", self.sound)

    async def weak(self, scope: Scope) -> bytes:
        self.asked += 1
        if self.broken:
            raise LookupError("a table that is not there yet")
        return b'{"weak":1}'

    async def sound(self, scope: Scope) -> bytes:
        return b'{"sound":1}'


async def read(stream: AsyncIterator[bytes], frames: int) -> bytes:
    async with asyncio.timeout(2):
        return b"".join([await anext(stream) for _ in range(frames)])


async def test_the_stream_opens_and_tells_later_what_failed_at_first() -> None:
    made = Sections()
    stream = await made.live.stream(ALL, None)
    first = await read(stream, 2)
    assert b"event: zzz" in first
    assert b"event: aaa" not in first
    await made.live.broadcast()  # still broken: it stays to be told
    made.broken = False
    await made.live.broadcast()
    assert b'event: aaa\ndata: {"weak":1}' in await read(stream, 1)
    asked = made.asked
    await made.live.broadcast()
    assert made.asked == asked, "told once, asked no more"


async def test_a_round_goes_on_past_a_section_that_fails_for_every_room() -> None:
    made = Sections()
    made.broken = False
    scopes = [ALL, Scope(frozenset({"a"}))]
    streams = [await made.live.stream(scope, None) for scope in scopes]
    for stream in streams:
        await read(stream, 2)
    made.broken = True
    for name in ("aaa", "zzz"):
        made.live.touch(name)
    await made.live.broadcast()
    for stream in streams:
        assert b"event: zzz" in await read(stream, 1)
    made.broken = False
    await made.live.broadcast()  # nobody touched it again
    for stream in streams:
        assert b"event: aaa" in await read(stream, 1)


async def test_what_is_dropped_while_it_waits_to_be_told_is_no_fault() -> None:
    made = Sections()
    stream = await made.live.stream(ALL, None)
    await read(stream, 2)
    made.live.drop("aaa")
    made.live.touch("zzz")
    await made.live.broadcast()
    assert b"event: zzz" in await read(stream, 1)
