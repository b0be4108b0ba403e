"""Modbus client: polls registers in blocks, station by station, and writes with read-back.

Run by the driver child. One station that is dead or slow never holds up the others: over TCP each
has a connection of its own, on a shared wire it is asked less and less often.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pymodbus.pdu import ModbusPDU

from edge_node.adapters.sources.modbus import ModbusOptions
from edge_node.adapters.sources.modbus_codec import decode
from edge_node.adapters.sources.modbus_line import NO_ANSWER, Client, Line, check_url
from edge_node.adapters.sources.modbus_map import Block, Register, parse_address, plan
from edge_node.adapters.sources.modbus_station import Poll, Station
from edge_node.adapters.sources.modbus_write import judge, request, tag_type
from edge_node.adapters.sources.port import BAD, GOOD, Point, Sink, Source, emit
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError, RetryableTransportError

READBACK_S = 1.0
GATEWAY_SILENT = 11
"""The gateway answers for a station that does not."""


class ModbusDriver:
    """The stations behind one Modbus address."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: ModbusOptions = source.options
        self._orders = self._options.orders()
        self._points: dict[int, Point] = {point.index: point for point in source.points}
        self._stations: dict[int, Station] = {}
        self._lines: dict[int, Line] = {}

    async def connect(self) -> None:
        """Open the wires; addresses are checked first."""
        source = self._source
        try:
            target = check_url(source.url)
        except ConfigError as error:
            raise ConfigError(f"source {source.id}: {error.message}", mend=error.mend) from error
        self._stations = self._arrange()
        shared = target.scheme == "rtu" or self._options.connections == "shared"
        one = Line(source.url, self._options)
        self._lines = {
            unit: one if shared else Line(source.url, self._options) for unit in self._stations
        } or {source.unit_id: one}
        opened = await asyncio.gather(*(line.connect() for line in self._wires()))
        if not any(opened):
            raise RetryableTransportError(
                f"Modbus source {source.id}: nothing answers at {source.url}\n"
                "  mend: switch the device on, or correct the source's url or the edge's "
                "source_urls"
            )

    def _wires(self) -> list[Line]:
        return list(dict.fromkeys(self._lines.values()))

    def _arrange(self) -> dict[int, Station]:
        """The points as requests, by station and interval."""
        paces: dict[int, list[tuple[int, Register]]] = {}
        for point in self._source.points:
            paces.setdefault(point.interval_ms, []).append((point.index, self._register(point)))
        stations: dict[int, Station] = {}
        options = self._options
        for interval, registers in paces.items():
            unit = self._source.unit_id
            for block in plan(registers, unit, options.gap, options.max_registers):
                station = stations.setdefault(block.unit, Station(block.unit))
                station.polls.append(Poll(block, interval))
        return stations

    def _register(self, point: Point) -> Register:
        try:
            register = parse_address(point.address, point.kind)
        except ValueError as error:
            raise ConfigError(
                f"source {self._source.id}, tag {point.id}: {error}",
                mend="correct the tag's address",
            ) from error
        if register.unit is not None:
            return register
        return Register(
            register.table, register.offset, register.kind, point.unit_id, register.order,
            register.part, register.layout,
        )  # fmt: skip

    async def run(self) -> None:
        """Poll every wire until none of the stations answers any more."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for line in self._wires():
                    mine = [s for unit, s in self._stations.items() if self._lines[unit] is line]
                    tasks.create_task(self._serve(line, mine) if mine else self._watch(line))
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    async def _watch(self, line: Line) -> None:
        """With no tags there is nothing to poll: the wire itself is the state."""
        self._sink.state("connected", self._source.url)
        while True:
            await asyncio.sleep(1)
            if not line.connected:
                raise RetryableTransportError(self._lost())

    def _lost(self) -> str:
        # Each station's own state says more than one line can; this is said when all are gone.
        units = ", ".join(map(str, sorted(self._stations))) or str(self._source.unit_id)
        cut = not any(line.connected for line in self._wires())
        what = "closed the connection" if cut else "does not answer requests"
        return (
            f"Modbus source {self._source.id}: {self._source.url} {what}\n"
            f"  mend: check the device and its station number (unit id {units})"
        )

    async def _serve(self, line: Line, stations: list[Station]) -> None:
        """Ask the stations of one wire, whoever is due first."""
        while True:
            at, station, poll = min(
                ((at, station, poll) for station in stations for at, poll in [station.due()]),
                key=lambda row: row[0],
            )
            wait = at - self._clock.mono_ms()
            await asyncio.sleep(max(wait, 0) / 1000)
            await self._ask(line, station, poll)

    async def _ask(self, line: Line, station: Station, poll: Poll) -> None:
        most = self._options.retry_max
        try:
            if not line.connected and not await line.connect():
                raise ConnectionError("nothing answers")
            answer = await line.read(poll.block)
        except NO_ANSWER:
            self._missed(station)
            return
        poll.next_due(self._clock.mono_ms(), most)
        code = getattr(answer, "exception_code", 0) if answer.isError() else 0
        if code == GATEWAY_SILENT:
            self._missed(station)
            return
        before = (station.answered, station.misses, poll.fault)
        station.heard()
        self._take(poll, answer, code)
        if before != (True, 0, poll.fault):
            self._report()

    def _missed(self, station: Station) -> None:
        station.missed(self._clock.mono_ms(), self._options.retry_max)
        if station.dead:
            self._all_bad(station)
        self._report()

    def _take(self, poll: Poll, answer: ModbusPDU, code: int) -> None:
        now, block = self._clock.now_ms(), poll.block
        refused = answer.isError()
        poll.fault = f"{block.table} {block.offset + 1}: exception {code}" if refused else ""
        poll.refusals = poll.refusals + 1 if refused else 0
        for index, register in block.members:
            raw = None if refused else self._pick(answer, register, block.offset)
            emit(self._sink, self._points[index], now, raw, BAD if raw is None else GOOD)

    def _pick(self, answer: ModbusPDU, register: Register, first: int) -> float | str | None:
        at = register.offset - first
        if register.bit:
            return bool(answer.bits[at])
        words = list(answer.registers[at : at + register.width])
        return decode(register, words, self._orders)

    def _all_bad(self, station: Station) -> None:
        """What a silent station last said is no longer known."""
        now = self._clock.now_ms()
        for poll in station.polls:
            for index, _ in poll.block.members:
                emit(self._sink, self._points[index], now, None, BAD)

    def _report(self) -> None:
        stations = self._stations.values()
        if all(station.dead for station in stations):
            raise RetryableTransportError(self._lost())
        if not any(station.answered and not station.dead for station in stations):
            return
        most = self._options.retry_max
        told = [words for station in stations if (words := station.describe(most))]
        self._sink.state("connected", "; ".join([self._source.url, *told]))

    async def write(self, order: Write) -> WriteResult:
        """Write one value once, then read it back; values are raw device values."""
        try:
            register = parse_address(order.address, tag_type(order.value))
            send = request(register, order.value, self._orders)
        except ValueError as error:
            return WriteResult(id=order.id, outcome="failed", detail=f"not sent: {error}")
        unit = self._source.unit_id if register.unit is None else register.unit
        sent = False

        async def call(client: Client) -> ModbusPDU:
            nonlocal sent
            sent = True
            return await send(client, unit)

        try:
            async with asyncio.timeout(order.timeout_ms / 1000):
                line = await self._wire(unit)
                answer = await line.ask(call)
        except NO_ANSWER as error:
            what = str(error) or "no time left"
            detail = f"sent, no confirmation: {what}" if sent else f"not sent: {what}"
            outcome = "unknown" if sent else "failed"
            return WriteResult(id=order.id, outcome=outcome, detail=detail)
        return judge(order, register, answer) or await self._read_back(
            order, Block(register.table, register.offset, register.width, ((0, register),), unit)
        )

    async def _wire(self, unit: int) -> Line:
        """The wire to a station; one without tags gets its own."""
        line = self._lines.get(unit)
        if line is None:
            shared = next(iter(self._lines.values()), None)
            one = shared is not None and len(self._wires()) < len(self._lines)
            line = shared if shared is not None and (one or shared.serial) else None
            line = self._lines[unit] = line or Line(self._source.url, self._options)
            if not line.connected:
                await line.connect()
        return line

    async def _read_back(self, order: Write, block: Block) -> WriteResult:
        register = block.members[0][1]
        try:
            async with asyncio.timeout(READBACK_S):
                answer = await self._lines[block.unit].read(block)
        except NO_ANSWER as error:
            detail = f"confirmed; no read-back: {str(error) or type(error).__name__}"
            return WriteResult(id=order.id, outcome="done", detail=detail)
        raw = None if answer.isError() else self._pick(answer, register, block.offset)
        if raw is not None:
            self._show(block, register, raw)
        return WriteResult(id=order.id, outcome="done", readback=raw)

    def _show(self, block: Block, register: Register, raw: float | str) -> None:
        """What was read back is a reading of the tags of that very place."""
        now, station = self._clock.now_ms(), self._stations.get(block.unit)
        for poll in station.polls if station else ():
            for index, member in poll.block.members:
                if replace(member, unit=None) == replace(register, unit=None):
                    emit(self._sink, self._points[index], now, raw, GOOD)

    async def close(self) -> None:
        """Close every wire."""
        for line in self._wires():
            line.close()
