"""Modbus over real wires: stations that hang, serial lines, byte orders and texts on a server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise
from typing import Any

import pytest
from pymodbus import FramerType
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from edge_node.domain.operations import PlannedWrite
from edge_node.domain.operations import plan as plan_operation
from shared.site.model import OperationSpec
from tests.support.edge_children import driver, write
from tests.support.edge_plants import free_port, modbus_source, tag

pytestmark = pytest.mark.timeout(60)
Action = Callable[..., Awaitable[Any]]


def device(unit: int, holding: list[int], action: Action | None = None) -> SimDevice:
    bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
    words = [SimData(0, values=list(holding), datatype=DataType.REGISTERS)]
    inputs = [SimData(0, values=[unit] * 4, datatype=DataType.REGISTERS)]
    return SimDevice(id=unit, simdata=(bits, list(bits), words, inputs), action=action)


@contextlib.asynccontextmanager
async def served(*devices: SimDevice, framer: FramerType = FramerType.SOCKET) -> AsyncIterator[str]:
    port = free_port()
    server = ModbusTcpServer(list(devices), framer=framer, address=("127.0.0.1", port))
    await server.serve_forever(background=True)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await asyncio.wait_for(server.shutdown(), 5)


class Hanging:
    """A station that can be made to hang; counts who asked."""

    def __init__(self) -> None:
        self.hung, self.asked = False, 0

    async def answer(self, *request: Any) -> None:
        self.asked += 1
        while self.hung:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("connections", ["per_station", "shared"])
async def test_a_station_that_hangs_is_asked_less_and_never_slows_the_others(
    connections: str,
) -> None:
    hanging = Hanging()
    async with served(device(1, [100] * 8), device(2, [200] * 8, hanging.answer)) as address:
        options = {"timeout": "200ms", "retry_max": "1s", "connections": connections}
        source = {**modbus_source(f"tcp://{address}", 50), "options": options}
        tags = [tag("A", "1!40001"), tag("B", "2!40001"), tag("C", "2!40003:int32")]
        async with driver(source, tags) as child:
            await child.until(lambda: all(child.last(n) for n in range(3)))
            assert (child.last(0), child.last(1)) == ((100.0, 0), (200.0, 0))
            hanging.hung = True
            await child.until(lambda: child.last(1)[1] == 2 and child.last(2)[1] == 2)
            await child.until(lambda: "station 2 does not answer" in child.states[-1].detail)
            assert child.state == "connected", "the other station still answers"
            began, asked = len(child.of(0)), hanging.asked
            await asyncio.sleep(2)
            times = [at for at, *_ in child.of(0)][began:]
            assert hanging.asked - asked <= 4
            gaps = sorted(b - a for a, b in pairwise(times))
            assert len(times) >= 2000 / 50 * (0.7 if connections == "per_station" else 0.5)
            # On a shared wire one unanswered try costs the others one time-out, and seldom.
            slow = [gap for gap in gaps if gap > 180]
            assert len(slow) <= (1 if connections == "per_station" else 4), gaps[-6:]
            result = await child.write(write("w", "2!40001", 1, 400))
            assert result.outcome == "unknown"
            assert (await child.write(write("v", "1!40002", 7))).readback == 7
            hanging.hung = False
            await child.until(lambda: child.last(1)[1] == 0, 6)
            await child.until(lambda: "station 2" not in child.states[-1].detail)


@contextlib.asynccontextmanager
async def serial_line() -> AsyncIterator[tuple[str, str]]:
    """Two ends of one serial line, made of two pseudo terminals."""
    loop = asyncio.get_running_loop()
    ends = [os.openpty(), os.openpty()]
    for end in ends:
        for handle in end:
            tty.setraw(handle)

    def carry(source: int, target: int) -> None:
        with contextlib.suppress(OSError):
            os.write(target, os.read(source, 4096))

    (one, one_end), (two, two_end) = ends
    loop.add_reader(one, carry, one, two)
    loop.add_reader(two, carry, two, one)
    try:
        yield os.ttyname(one_end), os.ttyname(two_end)
    finally:
        for master, end in ends:
            loop.remove_reader(master)
            os.close(master)
            os.close(end)


async def test_rtu_on_a_serial_line_with_a_station_that_is_not_there() -> None:
    gone = Hanging()
    gone.hung = True
    async with serial_line() as (mine, theirs):
        server = ModbusSerialServer(
            [device(5, [0x42F6, 0xE979, 3, 4]), device(6, [6] * 4),
             device(9, [9] * 4, gone.answer)],
            port=theirs, framer=FramerType.RTU, baudrate=19200,
        )  # fmt: skip
        await server.serve_forever(background=True)
        try:
            options = {"baudrate": 19200, "timeout": "150ms", "retry_max": "1s", "pause": "2ms"}
            source = modbus_source(f"rtu:{mine}") | {"unit_id": 5, "options": options}
            tags = [
                tag("F", "40001:float32"), tag("S", "6!30001"), tag("GONE", "9!40001"),
                tag("OWN", "40001", unit_id=6),
            ]  # fmt: skip
            async with driver(source, tags) as child:
                await child.until(lambda: all(child.last(n) for n in range(4)))
                assert child.last(0) == (pytest.approx(123.456), 0)
                assert (child.last(1), child.last(3)) == ((6.0, 0), (6.0, 0))
                await child.until(lambda: child.last(2)[1] == 2)
                await child.until(lambda: "station 9 does not answer" in child.states[-1].detail)
                done = await child.write(write("w", "6!40002", 77))
                assert (done.outcome, done.readback) == ("done", 77)
                lost = await child.write(write("x", "9!40002", 77, 600))
                assert lost.outcome == "unknown"
        finally:
            await asyncio.wait_for(server.shutdown(), 5)


async def test_rtu_over_tcp_texts_bits_byte_orders_and_scaled_writes() -> None:
    holding = [0x5678, 0x1234, 0x4142, 0x4300, 0, 0b100000, 0, 0]
    async with served(device(1, holding), framer=FramerType.RTU) as address:
        source = modbus_source(f"rtu+tcp://{address}") | {"options": {"order32": "CDAB"}}
        tags = [
            tag("WORDS", "40001:uint32"), tag("NAMED", "1!40001#LL:uint32"),
            tag("TEXT", "1!40003.4H", "string"), tag("BIT", "1!40006.5", "boolean"),
            tag("LEVEL", "40007:int16", scale=0.1, bias=-5.0),
        ]  # fmt: skip
        async with driver(source, tags) as child:
            await child.until(lambda: child.texts and all(child.last(n) for n in (0, 1, 3, 4)))
            assert child.last(0) == (0x12345678, 0)
            assert child.last(1) == (0x56781234, 0)
            assert child.texts[-1][2:] == ("ABC", 0)
            assert child.last(3) == (1.0, 0)
            assert child.last(4) == (-5.0, 0)
            assert (await child.write(write("t", "40003.4H", "XY"))).readback == "XY"
            assert (await child.write(write("u", "40001:uint32", 0x01020304))).outcome == "done"
            await child.until(lambda: child.last(1) == (0x03040102, 0))
            bit = await child.write(write("b", "40006.5", False))
            assert (bit.outcome, bit.readback) == ("done", False), bit

            # As an operation asks for it: the order is in the tag's unit, `scale` makes it raw.
            spec = OperationSpec.model_validate(
                {"write": "40007:int16", "arg": "level", "scale": 0.1, "min": -4000, "max": 4000}
            )
            planned = plan_operation(spec, {"level": 12.36}, None, False)
            assert isinstance(planned, PlannedWrite)
            done = await child.write(write("s", planned.address, planned.value))
            assert (done.outcome, done.readback) == ("done", 124)
            assert planned.in_unit(done.readback) == pytest.approx(12.4)
            over = plan_operation(spec, {"level": 3300}, None, False)
            assert isinstance(over, PlannedWrite)
            refused = await child.write(write("o", over.address, over.value))
            assert refused.outcome == "failed"
            assert "does not fit" in refused.detail
