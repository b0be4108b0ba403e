"""The compressor station behind a real Modbus TCP server: register map, write records.

Opened and published by `simulators.simulation`; never decides what the plant does.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from simulators.plant import Plant

UNIT = 1
BITS = 16
"""The library addresses bits in whole registers, so each bit block is one register wide."""


@dataclass(frozen=True, slots=True)
class Register:
    """One register or bit: the plant's signal and its factor on the wire."""

    signal: str
    factor: float = 1.0


INPUTS = (
    Register("Discharge.Pressure", 10.0),
    Register("Discharge.Temp", 10.0),
    Register("Motor.Current", 10.0),
    Register("Vibration", 100.0),
    Register("Flow", 10.0),
    Register("Oil.Pressure", 1.0),
)
HOLDINGS = (Register("Speed.SP", 10.0), Register("Unload.SP", 10.0))
DISCRETES = (Register("Running"), Register("Surge"))
COILS = (Register("Run"), Register("Beacon"))
_WRITE_COILS = frozenset({5, 15})
_WRITE_REGISTERS = frozenset({6, 16, 22, 23})


class ModbusWire:
    """A Modbus TCP server that reads its registers from one plant at the moment of the request."""

    def __init__(self, plant: Plant, host: str, port: int) -> None:
        self._plant = plant
        self._host, self._port = host, port
        self._server: ModbusTcpServer | None = None

    async def open(self) -> None:
        """Listen; after `close` again on the same port."""
        server = ModbusTcpServer(self._device(), address=(self._host, self._port))
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {self._host}:{self._port}") from error
        self._server = server
        if self._port == 0:
            listener = server.transport
            assert isinstance(listener, asyncio.Server)
            self._port = listener.sockets[0].getsockname()[1]

    async def close(self, *, silent: bool = False) -> None:
        """Close the listening socket and every connection."""
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()

    async def shutdown(self) -> None:
        """Stop for good."""
        await self.close()

    async def publish(self) -> None:
        """Nothing to do: registers are read from the plant when a master asks."""

    def endpoint(self) -> dict[str, Any]:
        """The server's address and unit."""
        return {
            "protocol": "modbus", "host": self._host, "port": self._port, "unit": UNIT,
            "url": f"modbus://{self._host}:{self._port}/{UNIT}",
        }  # fmt: skip

    def _device(self) -> SimDevice:
        bits = [False] * BITS
        return SimDevice(
            id=UNIT,
            simdata=(
                [SimData(0, values=list(bits), datatype=DataType.BITS)],
                [SimData(0, values=list(bits), datatype=DataType.BITS)],
                [SimData(0, values=[0] * len(HOLDINGS), datatype=DataType.REGISTERS)],
                [SimData(0, values=[0] * len(INPUTS), datatype=DataType.REGISTERS)],
            ),
            action=self._access,
        )

    async def _access(
        self, function: int, start: int, address: int, count: int, current: list[int],
        values: list[int] | list[bool] | None,
    ) -> ExcCodes | None:  # fmt: skip
        """Called by the server before it answers: refresh what is read, take what is written."""
        del start, count
        if values is not None:
            table = COILS if function in _WRITE_COILS else HOLDINGS
            return await self._written(table, address, values)
        if function in {1, *_WRITE_COILS}:
            current[0] = self._pack(COILS)
        elif function == 2:
            current[0] = self._pack(DISCRETES)
        elif function == 4:
            current[: len(INPUTS)] = [self._raw(register) for register in INPUTS]
        elif function in {3, *_WRITE_REGISTERS}:
            current[: len(HOLDINGS)] = [self._raw(register) for register in HOLDINGS]
        return None

    async def _written(
        self, table: tuple[Register, ...], address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        """Take a write, or do what a faulty device does."""
        if self._plant.refuses:
            return ExcCodes.ILLEGAL_FUNCTION
        if self._plant.deaf_s:
            await asyncio.sleep(self._plant.deaf_s)
            return ExcCodes.DEVICE_BUSY
        refused = self._write(table, address, values)
        if self._plant.late_s:
            await asyncio.sleep(self._plant.late_s)
        return refused

    def _write(
        self, table: tuple[Register, ...], address: int, values: list[int] | list[bool]
    ) -> ExcCodes | None:
        if address + len(values) > len(table):
            return ExcCodes.ILLEGAL_ADDRESS
        orders = [(table[address + n], address + n, raw) for n, raw in enumerate(values)]
        if any(not isinstance(raw, bool) and raw / r.factor > 100.0 for r, _, raw in orders):
            return ExcCodes.ILLEGAL_VALUE
        for register, at, raw in orders:
            coil = table is COILS
            value = bool(raw) if coil else raw / register.factor
            # Recorded in Modicon notation, as sites write it: 0xxxx coil, 4xxxx holding register.
            self._plant.write(register.signal, value, f"{0 if coil else 4}{at + 1:04d}")
        return None

    def _raw(self, register: Register) -> int:
        value = self._plant.readings[register.signal]
        assert isinstance(value, bool | int | float)
        return max(0, min(0xFFFF, round(value * register.factor)))

    def _pack(self, table: tuple[Register, ...]) -> int:
        return sum(1 << n for n, bit in enumerate(table) if self._plant.readings[bit.signal])
