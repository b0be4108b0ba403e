"""One Modbus wire: a TCP connection, a serial line, or RTU frames over TCP. One request at a time.

Used by `modbus_client`. Never repeats a request: a late or doubled write could move a device twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import SplitResult, urlsplit

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from edge_node.adapters.sources.modbus import ModbusOptions
from edge_node.adapters.sources.modbus_map import Block
from shared.errors import ConfigError

NO_ANSWER = (ModbusException, OSError, TimeoutError)
"""What a request raises that got no usable answer."""
MISSES_KEPT = 1 << 30
Client = AsyncModbusTcpClient | AsyncModbusSerialClient
READS = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}


def check_url(url: str) -> SplitResult:
    """The parts of the source's URL; ConfigError with the forms that there are."""
    target = urlsplit(url)
    try:
        port = target.port
    except ValueError:
        port = -1
    serial = target.scheme == "rtu" and target.path.startswith("/") and not target.netloc
    network = target.scheme in ("tcp", "modbus", "rtu+tcp") and target.hostname and port != -1
    if not serial and not network:
        raise ConfigError(
            f"{url!r} is not a Modbus address",
            mend="write it as tcp://host:502, rtu+tcp://host:port or rtu:/dev/ttyUSB0",
        )
    return target


class Line:
    """One wire and its turn-taking."""

    def __init__(self, url: str, options: ModbusOptions) -> None:
        self._target, self._options = check_url(url), options
        self._client: Client | None = None
        self._turn = asyncio.Lock()

    @property
    def serial(self) -> bool:
        """Whether all stations share one physical line."""
        return self._target.scheme == "rtu"

    @property
    def connected(self) -> bool:
        """Whether the wire is up, as far as is known."""
        return self._client is not None and self._client.connected

    async def connect(self) -> bool:
        """Open the wire; False when nothing answers. Bounded by the request's time."""
        self.close()
        client = self._client = self._new()
        if not await client.connect():
            self.close()
            return False
        # The library would cut the wire after a few requests without an answer, and with it the
        # stations that do answer; whether a station is lost is decided by `modbus_client`.
        client.ctx.max_until_disconnect = client.ctx.count_until_disconnect = MISSES_KEPT
        return True

    def _new(self) -> Client:
        target, options = self._target, self._options
        seconds = options.timeout / 1000
        if self.serial:
            return AsyncModbusSerialClient(
                target.path, framer=FramerType.RTU, baudrate=options.baudrate,
                bytesize=options.bytesize, parity=options.parity, stopbits=options.stopbits,
                timeout=seconds, retries=0, reconnect_delay=0,
            )  # fmt: skip
        return AsyncModbusTcpClient(
            str(target.hostname), port=target.port or 502, timeout=seconds, retries=0,
            reconnect_delay=0,
            framer=FramerType.RTU if target.scheme == "rtu+tcp" else FramerType.SOCKET,
        )  # fmt: skip

    async def ask(self, call: Callable[[Client], Coroutine[Any, Any, ModbusPDU]]) -> ModbusPDU:
        """Send one request when it is its turn; raises one of NO_ANSWER."""
        async with self._turn:
            client = self._client
            if client is None or not client.connected:
                raise ConnectionError(f"{self._target.geturl()} is not connected")
            try:
                return await call(client)
            finally:
                if self._options.pause:
                    await asyncio.sleep(self._options.pause / 1000)

    async def read(self, block: Block) -> ModbusPDU:
        """Read one block; an answer to something else counts as no answer."""

        async def call(client: Client) -> ModbusPDU:
            calls: dict[str, Any] = {
                "coil": client.read_coils, "discrete": client.read_discrete_inputs,
                "input": client.read_input_registers, "holding": client.read_holding_registers,
            }  # fmt: skip
            return await calls[block.table](block.offset, count=block.count, device_id=block.unit)

        answer = await self.ask(call)
        if answer.isError():
            return answer
        held = len(answer.bits) if block.table in ("coil", "discrete") else len(answer.registers)
        # On a serial line an answer carries no number: a late one must not pass for this one.
        if answer.function_code != READS[block.table] or held < block.count:
            raise ModbusException("the answer does not belong to the request")
        return answer

    def close(self) -> None:
        """Let go of the wire."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
