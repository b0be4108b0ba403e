"""S7 client: reads blocks of bytes in a thread, writes once with read-back.

Run by the driver child. The library blocks, so that each call has its own time-out; one that does
not come back costs the connection, never the child.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import urlsplit

from snap7.client import Client
from snap7.error import S7ConnectionError, S7Error, S7ProtocolError, S7TimeoutError
from snap7.type import Area, WordLen

from edge_node.adapters.sources.port import BAD, GOOD, Point, Sink, Source, emit
from edge_node.adapters.sources.s7 import S7Options, check_write
from edge_node.adapters.sources.s7_map import Block, Place, decode, encode, parse_address, plan
from edge_node.adapters.sources.worker import Worker
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError, RetryableTransportError

MIN_CONNECT_S = 2.0
CLOSE_S = 1.0
READBACK_S = 1.0
AREAS = {"DB": Area.DB, "I": Area.PE, "Q": Area.PA, "M": Area.MK}
HANG_S = 0.3
REFUSED = ("Write operation failed", "S7 protocol error (class=")
"""How the library words a refusal of the PLC itself; anything else leaves the outcome open."""
T = TypeVar("T")
MAX_PAUSE_MS = 30_000


@dataclass(slots=True)
class _Poll:
    block: Block
    interval_ms: int
    due_ms: int = 0
    refusals: int = 0
    fault: str = ""


class S7Driver:
    """One PLC."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        logging.getLogger("snap7").setLevel(logging.CRITICAL)  # the state says it once
        self._source, self._sink, self._clock = source, sink, clock
        self._options: S7Options = source.options
        self._points: dict[int, Point] = {point.index: point for point in source.points}
        self._polls: list[_Poll] = []
        self._client: Client | None = None
        self._worker: Worker | None = None

    async def connect(self) -> None:
        """Reach the PLC; addresses are checked first."""
        source, options = self._source, self._options
        target = urlsplit(source.url)
        if target.scheme != "s7" or not target.hostname:
            raise ConfigError(
                f"source {source.id}: {source.url!r} is not an S7 address",
                mend="write it as s7://host or s7://host:102",
            )
        self._polls = self._arrange()
        self._worker = Worker(f"s7 {source.id}")
        client = self._client = Client()
        host, port = target.hostname, target.port or 102
        try:
            await self._worker.call(
                max(MIN_CONNECT_S, options.timeout / 500),
                client.connect,
                host,
                options.rack,
                options.slot,
                port,
            )
        except (S7Error, OSError, TimeoutError) as error:
            raise RetryableTransportError(
                f"S7 source {source.id}: no connection to {source.url}, rack {options.rack}, slot "
                f"{options.slot}: {str(error) or 'no answer in time'}\n"
                "  mend: check address, rack and slot; S7-1200 and 1500 must allow PUT/GET access"
            ) from error
        if client.connection is not None:
            client.connection.timeout = options.timeout / 1000

    def _arrange(self) -> list[_Poll]:
        paces: dict[int, list[tuple[int, Place]]] = {}
        for point in self._source.points:
            try:
                place = parse_address(point.address)
            except ValueError as error:
                raise ConfigError(
                    f"source {self._source.id}, tag {point.id}: {error}",
                    mend="correct the tag's address",
                ) from error
            paces.setdefault(point.interval_ms, []).append((point.index, place))
        return [_Poll(block, pace) for pace, places in paces.items() for block in plan(places)]

    async def run(self) -> None:
        """Read every block at its interval until the PLC is lost."""
        try:
            while True:
                await self._turn()
        except (S7ConnectionError, S7TimeoutError, OSError, TimeoutError) as error:
            raise RetryableTransportError(
                f"S7 source {self._source.id}: {self._source.url} does not answer any more: "
                f"{str(error) or 'no answer in time'}\n"
                "  mend: check the PLC and the network to it"
            ) from error

    async def _turn(self) -> None:
        if not self._polls:  # only writes: the PLC's presence is asked for now and then
            self._sink.state("connected", self._describe())
            await asyncio.sleep(1)
            if not await self._ask(Client.get_connected):
                raise ConnectionError("it closed the connection")
        else:
            poll = min(self._polls, key=lambda poll: poll.due_ms)
            await asyncio.sleep(max(0, poll.due_ms - self._clock.mono_ms()) / 1000)
            await self._poll(poll)
        self._sink.state("connected", self._describe())

    async def _ask(self, call: Callable[[Client], T]) -> T:
        worker, client = self._worker, self._client
        if worker is None or client is None:
            raise ConnectionError("not connected")
        # The library's own time-out comes first, unless it hangs.
        return await worker.call(self._options.timeout / 1000 + HANG_S, call, client)

    async def _poll(self, poll: _Poll) -> None:
        block = poll.block
        try:
            raw = await self._ask(
                lambda client: client.read_area(
                    AREAS[block.area], block.db, block.byte, block.count
                )
            )
        except S7ProtocolError as error:
            self._refused(poll, str(error))
            return
        now = self._clock.now_ms()
        poll.fault, poll.refusals = "", 0
        poll.due_ms = self._next(poll)
        for index, place in block.members:
            at = place.byte - block.byte
            value = decode(place, bytes(raw[at : at + place.span]))
            emit(self._sink, self._points[index], now, value, BAD if value is None else GOOD)

    def _next(self, poll: _Poll) -> int:
        now = self._clock.mono_ms()
        pause = min(poll.interval_ms << min(poll.refusals, 10), MAX_PAUSE_MS)
        pace = max(poll.interval_ms, pause)
        return max(poll.due_ms + pace, now) if poll.due_ms else now + pace

    def _refused(self, poll: _Poll, why: str) -> None:
        if len(poll.block.members) > 1:
            self._polls.remove(poll)
            self._polls += [_Poll(part, poll.interval_ms) for part in poll.block.apart()]
            return
        poll.refusals += 1
        poll.due_ms = self._next(poll)
        for index, _ in poll.block.members:
            poll.fault = f"{self._points[index].address}: {why}"
            emit(self._sink, self._points[index], self._clock.now_ms(), None, BAD)

    def _describe(self) -> str:
        faults = [poll.fault for poll in self._polls if poll.fault]
        refused = "; refused, correct the address or the PLC's program: " + "; ".join(faults[:5])
        return self._source.url + (refused if faults else "")

    async def write(self, order: Write) -> WriteResult:
        """Write once, then read it back; a bit is set by the PLC itself, its neighbours stay."""
        try:
            if wrong := check_write(order.address):
                raise ValueError(wrong)
            place = parse_address(order.address)
            if isinstance(order.value, dict | list):
                raise ValueError("an S7 address takes a number, a boolean or a text")
            data = bytearray(encode(place, order.value))
        except ValueError as error:
            return WriteResult(id=order.id, outcome="failed", detail=f"not sent: {error}")
        if self._client is None or self._worker is None or self._worker.stuck:
            return WriteResult(id=order.id, outcome="failed", detail="not connected; not sent")
        bit = place.kind == "bool"
        start = place.byte * 8 + place.bit if bit else place.byte
        length = WordLen.Bit if bit else WordLen.Byte
        sent = False

        def send(client: Client) -> None:
            nonlocal sent
            sent = True
            client.write_area(AREAS[place.area], place.db, start, data, length)

        try:
            async with asyncio.timeout(order.timeout_ms / 1000):
                await self._ask(send)
        except (S7Error, OSError, TimeoutError) as error:
            what = str(error) or "no answer in time"
            if not sent or what.startswith(REFUSED):
                return WriteResult(id=order.id, outcome="failed", detail=what)
            return WriteResult(
                id=order.id, outcome="unknown", detail=f"sent, no confirmation: {what}"
            )
        return await self._read_back(order, place)

    async def _read_back(self, order: Write, place: Place) -> WriteResult:
        try:
            async with asyncio.timeout(READBACK_S):
                raw = await self._ask(
                    lambda client: client.read_area(
                        AREAS[place.area], place.db, place.byte, place.span
                    )
                )
        except (S7Error, OSError, TimeoutError) as error:
            detail = f"confirmed; no read-back: {str(error) or type(error).__name__}"
            return WriteResult(id=order.id, outcome="done", detail=detail)
        value, now = decode(place, bytes(raw)), self._clock.now_ms()
        for poll in self._polls:
            for index, member in poll.block.members:
                if member == place and value is not None:
                    emit(self._sink, self._points[index], now, value, GOOD)
        return WriteResult(id=order.id, outcome="done", readback=value)

    async def close(self) -> None:
        """Close the connection; a hung library is left behind with its thread."""
        worker, client = self._worker, self._client
        self._worker = self._client = None
        if worker is None or client is None:
            return
        try:
            if worker.stuck:
                _cut(client)
            else:
                await worker.call(CLOSE_S, client.disconnect)
        finally:
            worker.end()


def _cut(client: Client) -> None:
    """Close the socket under a hung call: a PLC has few places for connections."""
    held = getattr(client.connection, "socket", None)
    if held is not None:
        with suppress(OSError):
            held.shutdown(socket.SHUT_RDWR)
