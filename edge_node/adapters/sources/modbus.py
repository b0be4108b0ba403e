"""Modbus TCP client: polls registers in blocks, writes with read-back.

Run by the driver child. Nothing is ever repeated by the library (`retries=0`): a late or doubled
write could move a device twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from pymodbus.client import AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from edge_node.adapters.sources.modbus_map import (
    Block,
    Register,
    decode,
    encode,
    parse_address,
    plan,
)
from edge_node.adapters.sources.port import BAD, GOOD, Point, Sink, Source, emit
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError, RetryableTransportError
from shared.telemetry import logger

log = logger("driver.modbus")
REQUEST_S = 1.0
READBACK_S = 1.0
MAX_PAUSE_S = 10.0
MAX_MISSES = 3
"""Requests without an answer, one after the other, after which the connection is made anew."""
# 4 device failure, 5 accepted but not finished, 11 target behind a gateway silent.
_AMBIGUOUS_CODES = {4, 5, 11}


@dataclass(slots=True)
class _Poll:
    """One block and how it has fared."""

    block: Block
    due_ms: int = 0
    misses: int = 0
    fault: str = ""


class ModbusDriver:
    """One Modbus TCP device."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._client: AsyncModbusTcpClient | None = None
        self._points: dict[int, Point] = {point.index: point for point in source.points}
        self._polls: list[_Poll] = []

    async def connect(self) -> None:
        """Open the connection; addresses are checked first."""
        source = self._source
        target = urlsplit(source.url)
        if target.scheme not in ("tcp", "modbus") or not target.hostname:
            raise ConfigError(
                f"source {source.id}: {source.url!r} is not a Modbus address",
                mend="write it as tcp://host:502",
            )
        self._polls = [_Poll(block) for block in plan(self._registers())]
        client = AsyncModbusTcpClient(
            target.hostname, port=target.port or 502, timeout=REQUEST_S, retries=0,
            reconnect_delay=0,
        )  # fmt: skip
        self._client = client
        if not await client.connect():
            raise RetryableTransportError(
                f"Modbus source {source.id}: nothing answers at {source.url}\n"
                "  mend: switch the device on, or correct the source's url or the edge's "
                "source_urls"
            )

    def _registers(self) -> list[tuple[int, Register]]:
        found = []
        for point in self._source.points:
            try:
                found.append((point.index, parse_address(point.address)))
            except ValueError as error:
                raise ConfigError(
                    f"source {self._source.id}, tag {point.id}: {error}",
                    mend="correct the tag's address",
                ) from error
        return found

    async def run(self) -> None:
        """Poll every block at its interval; a block that fails is asked less often."""
        interval = self._source.interval_ms
        silent = 0
        while True:
            began = self._clock.mono_ms()
            for poll in self._polls:
                if poll.due_ms > began:
                    continue
                answered = await self._poll(poll)
                pause = interval * min(2**poll.misses, 1 << 10) if poll.misses else interval
                capped = max(interval, min(pause, int(MAX_PAUSE_S * 1000)))
                poll.due_ms = began + capped - 1  # the timer may wake a millisecond early
                silent = 0 if answered else silent + 1
                self._lost(silent)
            self._sink.state("connected", self._describe())
            due = min((poll.due_ms + 1 for poll in self._polls), default=began + interval)
            await asyncio.sleep(max(0.001, (due - self._clock.mono_ms()) / 1000))

    def _lost(self, silent: int) -> None:
        if self._client is None or not self._client.connected or silent >= MAX_MISSES:
            raise RetryableTransportError(
                f"Modbus source {self._source.id}: {self._source.url} "
                + ("does not answer requests" if silent else "closed the connection")
                + f"\n  mend: check the device and its unit id ({self._source.unit_id})"
            )

    async def _poll(self, poll: _Poll) -> bool:
        """Read one block; False when there was no answer at all."""
        try:
            answer = await self._read(poll.block.table, poll.block.offset, poll.block.count)
        except (ModbusException, OSError, TimeoutError):
            poll.misses += 1
            return False
        now = self._clock.now_ms()
        if answer.isError():
            poll.misses += 1
            code = getattr(answer, "exception_code", 0)
            poll.fault = f"{poll.block.table} {poll.block.offset + 1}: exception {code}"
            for index, _ in poll.block.members:
                emit(self._sink, self._points[index], now, None, BAD)
            return True
        poll.misses, poll.fault = 0, ""
        for index, register in poll.block.members:
            raw = _pick(answer, register, poll.block.offset)
            emit(self._sink, self._points[index], now, raw, GOOD if raw is not None else BAD)
        return True

    async def _read(self, table: str, offset: int, count: int) -> ModbusPDU:
        client = self._client
        if client is None:
            raise ConnectionError("not connected")
        calls: dict[str, Any] = {
            "coil": client.read_coils, "discrete": client.read_discrete_inputs,
            "input": client.read_input_registers, "holding": client.read_holding_registers,
        }  # fmt: skip
        return await calls[table](offset, count=count, device_id=self._source.unit_id)

    def _describe(self) -> str:
        faults = [poll.fault for poll in self._polls if poll.fault]
        refused = "; refused, correct the address or the device: " + "; ".join(faults[:5])
        return self._source.url + (refused if faults else "")

    async def write(self, order: Write) -> WriteResult:
        """Write one register or coil once, then read it back; values are raw device values."""
        try:
            register = parse_address(order.address)
            if register.table not in ("coil", "holding"):
                raise ValueError(f"{order.address} can only be read")
            if isinstance(order.value, str | dict):
                raise ValueError("a register takes a number or a boolean")
            words = [] if register.bit else encode(register, float(order.value))
        except ValueError as error:
            return WriteResult(id=order.id, outcome="failed", detail=f"not sent: {error}")
        if self._client is None or not self._client.connected:
            return WriteResult(id=order.id, outcome="failed", detail="not connected; not sent")
        try:
            async with asyncio.timeout(order.timeout_ms / 1000):
                answer = await self._send(self._client, register, words, bool(order.value))
        except (ModbusException, OSError, TimeoutError) as error:
            detail = f"sent, no confirmation: {str(error) or type(error).__name__}"
            return WriteResult(id=order.id, outcome="unknown", detail=detail)
        if answer.isError():
            code = getattr(answer, "exception_code", 0)
            outcome = "unknown" if code in _AMBIGUOUS_CODES else "failed"
            return WriteResult(id=order.id, outcome=outcome, detail=f"device exception {code}")
        return await self._read_back(order, register)

    async def _send(
        self, client: AsyncModbusTcpClient, register: Register, words: list[int], on: bool
    ) -> ModbusPDU:
        unit = self._source.unit_id
        if register.bit:
            return await client.write_coil(register.offset, on, device_id=unit)
        if len(words) == 1:
            return await client.write_register(register.offset, words[0], device_id=unit)
        return await client.write_registers(register.offset, words, device_id=unit)

    async def _read_back(self, order: Write, register: Register) -> WriteResult:
        try:
            async with asyncio.timeout(READBACK_S):
                answer = await self._read(register.table, register.offset, register.width)
        except (ModbusException, OSError, TimeoutError) as error:
            detail = f"confirmed; no read-back: {str(error) or type(error).__name__}"
            return WriteResult(id=order.id, outcome="done", detail=detail)
        raw = None if answer.isError() else _pick(answer, register, register.offset)
        now = self._clock.now_ms()
        for poll in self._polls:
            for index, member in poll.block.members:
                if member == register and raw is not None:
                    emit(self._sink, self._points[index], now, raw, GOOD)
        return WriteResult(id=order.id, outcome="done", readback=raw)

    async def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None:
            client.close()


def _pick(answer: ModbusPDU, register: Register, first: int) -> float | bool | None:
    """The register's value in an answer that begins at `first`; None when it is too short."""
    at = register.offset - first
    if register.bit:
        return bool(answer.bits[at]) if at < len(answer.bits) else None
    words = list(answer.registers[at : at + register.width])
    return decode(register, words) if len(words) == register.width else None
