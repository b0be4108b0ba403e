"""One real server for each driver, that a contract test can start, change, kill and start again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import aiosqlite
import c104
from asyncua import Server, ua
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice
from snap7.server import Server as S7Server
from snap7.type import SrvArea

from tests.support.edge_plants import free_port, tag


class Rig(ABC):
    """A device with one number (tag 0), a place that does not exist (tag 1), maybe a write."""

    name = ""
    write: tuple[str, Any, Any] | None = None
    """(address, value, wanted read-back)."""
    refused: tuple[tuple[str, Any], ...] = ()
    """Orders that must fail without being sent."""
    grammar: tuple[str, str] = ("", "")
    """(a wrong address, a word of what is said about it)."""
    named_absent = ""
    """What the state says of tag 1."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.number = folder, free_port(), 41.0
        self.options: dict[str, Any] = {}
        self.settings: dict[str, Any] = {}

    @property
    @abstractmethod
    def url(self) -> str: ...

    @property
    @abstractmethod
    def tags(self) -> list[dict[str, Any]]: ...

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    async def set(self, number: float) -> None: ...

    def source(self, url: str = "") -> dict[str, Any]:
        return {
            "id": "rig", "driver": self.name, "url": url or self.url, "interval": 100,
            "options": self.options,
        }  # fmt: skip


class ModbusRig(Rig):
    name, write = "modbus", ("40002", 7, 7)
    refused = (("30001", 1), ("40002", 70_000), ("40002", "x"), ("nonsense", 1))
    grammar, named_absent = ("20001", "Modbus address"), "holding 500"

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def tags(self) -> list[dict[str, Any]]:
        return [tag("N", "30001"), tag("ABSENT", "40500")]

    async def start(self) -> None:
        async def refresh(function: int, *rest: Any) -> None:
            if function == 4:
                rest[3][0] = int(self.number)

        bits = [SimData(0, values=[False] * 16, datatype=DataType.BITS)]
        words = [SimData(0, values=[0] * 8, datatype=DataType.REGISTERS)]
        device = SimDevice(id=1, simdata=(bits, list(bits), words, list(words)), action=refresh)
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)

    async def stop(self) -> None:
        await asyncio.wait_for(self._server.shutdown(), 5)

    async def set(self, number: float) -> None:
        self.number = number


class S7Rig(Rig):
    name, write = "s7", ("DB1.DBD4:real", 2.5, 2.5)
    refused = (("I0.0", True), ("DB1.DBW8:int", 40_000), ("DB1.DBW8:int", "x"), ("DB1", 1))
    grammar, named_absent = ("DB1.X", "S7 address"), "DB9.DBW0"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.memory = bytearray(64)
        self.options = {"timeout": "500ms"}

    @property
    def url(self) -> str:
        return f"s7://127.0.0.1:{self.port}"

    @property
    def tags(self) -> list[dict[str, Any]]:
        return [tag("N", "DB1.DBD0:real"), tag("ABSENT", "DB9.DBW0")]

    async def start(self) -> None:
        struct.pack_into(">f", self.memory, 0, self.number)
        self._server = S7Server(log=False)
        self._server.register_area(SrvArea.DB, 1, self.memory)
        await asyncio.to_thread(self._server.start_to, "127.0.0.1", self.port)

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)

    async def set(self, number: float) -> None:
        struct.pack_into(">f", self.memory, 0, number)


class Iec104Rig(Rig):
    name, write = "iec104", ("1/200:float", 2.5, None)
    refused = (("1/200", 1), ("1/201:single", 2), ("1/201:single", "x"), ("1", 1))
    grammar, named_absent = ("1.100", "IEC 104 address"), "1/999"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.options = {"keepalive": "1s"}
        self.commands: list[Any] = []

    @property
    def url(self) -> str:
        return f"iec104://127.0.0.1:{self.port}"

    @property
    def tags(self) -> list[dict[str, Any]]:
        return [tag("N", "1/100:float"), tag("ABSENT", "1/999")]

    async def start(self) -> None:
        self._server = c104.Server(ip="127.0.0.1", port=self.port, tick_rate_ms=50)
        station = self._server.add_station(common_address=1)
        assert station is not None
        point = station.add_point(io_address=100, type=c104.Type.M_ME_NC_1)
        command = station.add_point(io_address=200, type=c104.Type.C_SE_NC_1)
        assert point is not None
        assert command is not None
        self._point = point

        def taken(point: Any, previous_info: Any, message: Any) -> Any:
            self.commands.append(point.value)
            return c104.ResponseState.SUCCESS

        # The library compares annotations as objects, not as texts.
        taken.__annotations__ = {
            "point": c104.Point, "previous_info": c104.Information,
            "message": c104.IncomingMessage, "return": c104.ResponseState,
        }  # fmt: skip
        command.on_receive(callable=taken)
        self._point.value = self.number
        self._server.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.stop)

    async def set(self, number: float) -> None:
        self._point.value = number
        self._point.transmit(cause=c104.Cot.SPONTANEOUS)


class HttpRig(Rig):
    name, write = "http", ("POST /line/stop", {"level": 3}, 3)
    refused = (("GET /line", {}), ("stop", {}))
    grammar, named_absent = ("a..b", "no path"), "/absent"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.options = {"timeout": "1s"}
        self.orders: list[tuple[str, dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/data"

    @property
    def tags(self) -> list[dict[str, Any]]:
        return [tag("N", "values.number"), tag("ABSENT", "/absent")]

    async def start(self) -> None:
        rig = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, status: int, body: Any) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self) -> None:
                self.reply(200, {"values": {"number": rig.number}})

            def do_POST(self) -> None:
                raw = self.rfile.read(int(self.headers["Content-Length"]))
                rig.orders.append((self.path, dict(self.headers), raw))
                self.reply(200, {"value": json.loads(raw).get("level")})

            def log_message(self, format: str, *args: Any) -> None:
                del format, args

        class Quick(ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def process_request(self, request: Any, client_address: Any) -> None:
                rig._open.append(request)
                super().process_request(request, client_address)

        self._open: list[Any] = []
        self._server = Quick(("127.0.0.1", self.port), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self._thread.start()

    async def stop(self) -> None:
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(2)
            connection.close()

    async def set(self, number: float) -> None:
        self.number = number


class SqlRig(Rig):
    name = "sql"
    refused = (("temp", 1),)
    grammar, named_absent = (" ", "column's name"), ""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.path = folder / "plant.db"
        self.settings = {"state_dir": str(folder / "state")}
        self.options = {
            "query": "select id, at, temp from readings where id > :last order by id limit :limit",
            "time": "at", "start": "beginning",
        }  # fmt: skip

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    @property
    def tags(self) -> list[dict[str, Any]]:
        return [tag("N", "temp")]

    async def _run(self, statement: str, *given: Any) -> None:
        async with aiosqlite.connect(self.path) as database:
            await database.execute(statement, given)
            await database.commit()

    async def start(self) -> None:
        """A database that is not there is one whose table is gone."""
        await self._run("create table if not exists readings (id integer primary key, at, temp)")
        await self.set(self.number)

    async def stop(self) -> None:
        await self._run("drop table readings")

    async def set(self, number: float) -> None:
        self.number = number
        loop_ms = "cast((julianday('now') - 2440587.5) * 86400000 as integer)"
        await self._run(
            "insert into readings (id, at, temp) values "
            f"(coalesce((select max(id) from readings), {self._base()}) + 1, {loop_ms}, ?)",
            number,
        )

    def _base(self) -> int:
        # A table that is made anew goes on counting, as one that is restored does.
        self._made = getattr(self, "_made", 0) + 1000
        return self._made


class OpcuaRig(Rig):
    name, write = "opcua", ("ns=1;s=Count", 43.0, 43.0)
    refused = (("ns=1;s=Count", "x"), ("nonsense", 1))
    grammar, named_absent = ("FUR", "node id"), "ns=1;s=Nothing"

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}/x"

    @property
    def tags(self) -> list[dict[str, Any]]:
        return [tag("N", "ns=1;s=Count"), tag("ABSENT", "ns=1;s=Nothing")]

    async def start(self) -> None:
        self._server = Server()
        await self._server.init()
        self._server.set_endpoint(self.url)
        self._server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        self._node = await self._server.nodes.objects.add_variable(
            ua.NodeId.from_string("ns=1;s=Count"), "1:Count", self.number, ua.VariantType.Double
        )
        await self._node.set_writable()
        await self._server.start()

    async def stop(self) -> None:
        await asyncio.wait_for(self._server.stop(), 10)

    async def set(self, number: float) -> None:
        await self._node.write_value(ua.Variant(number, ua.VariantType.Double))


RIGS: dict[str, type[Rig]] = {
    rig.name: rig for rig in (ModbusRig, S7Rig, Iec104Rig, HttpRig, SqlRig, OpcuaRig)
}
