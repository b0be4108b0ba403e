"""S7 and IEC 60870-5-104 against real servers: types, commands, times, wrong places."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import c104
import pytest
from snap7.client import Client
from snap7.server import Server as S7Server
from snap7.type import SrvArea

from shared.clock import SystemClock
from shared.errors import RetryableTransportError
from tests.support.driver_here import here
from tests.support.edge_plants import free_port, tag

LONG = 8000
"""Milliseconds that a write may take where its answer is the point, not its time."""

pytestmark = pytest.mark.timeout(60)


class CountingServer(S7Server):
    """Counts the reads."""

    reads = 0

    def _handle_read_area(self, request: Any, client_address: Any) -> bytes:
        self.reads += 1
        return super()._handle_read_area(request, client_address)


@contextlib.asynccontextmanager
async def plc(**areas: bytearray) -> AsyncIterator[tuple[CountingServer, str]]:
    server, port = CountingServer(log=False), free_port()
    for name, memory in areas.items():
        kind, number = (SrvArea.DB, int(name[2:])) if name.startswith("DB") else (
            {"I": SrvArea.PE, "Q": SrvArea.PA, "M": SrvArea.MK}[name], 0)  # fmt: skip
        server.register_area(kind, number, memory)
    await asyncio.to_thread(server.start_to, "127.0.0.1", port)
    try:
        yield server, f"s7://127.0.0.1:{port}"
    finally:
        await asyncio.to_thread(server.stop)


async def test_s7_types_in_few_reads_and_writes_that_read_back() -> None:
    memory = bytearray(200)
    struct.pack_into(">hfd", memory, 2, -5, 1.25, 6.5)
    memory[0] = 0b101
    memory[20:27] = b"\x08\x05HELLO"
    tags = [
        tag("B0", "DB1.DBX0.0", "boolean"), tag("B1", "DB1.DBX0.1", "boolean"),
        tag("I", "DB1.DBW2:int"), tag("R", "DB1.DBD4:real"), tag("L", "DB1.DBB8:lreal"),
        tag("T", "DB1.DBB20:string[8]", "string"), tag("M", "MB3"), tag("IN", "I0.3", "boolean"),
    ]  # fmt: skip
    async with plc(DB1=memory, M=bytearray(8), I=bytearray([8])) as (server, url):
        source = {"driver": "s7", "url": url, "interval": 50}
        async with here(source, tags) as s7:
            await s7.until(lambda: s7.texts and s7.last(7))
            got = [s7.last(n) for n in (0, 1, 2, 3, 4, 6, 7)]
            assert [v for v, _ in got if _ == 0] == [1.0, 0.0, -5.0, 1.25, 6.5, 0.0, 1.0]
            assert s7.texts[-1][2:] == ("HELLO", 0)
            # Three areas: three reads a turn, not eight.
            before, turns = server.reads, len(s7.of(2))
            await s7.until(lambda: len(s7.of(2)) >= turns + 5)
            assert server.reads - before <= 3 * 5 + 4

            for address, value in (
                ("DB1.DBW2:int", -300), ("DB1.DBB20:string[8]", "BYE"), ("MB3", 200),
                ("DB1.DBB8:lreal", -0.5), ("DB1.DBX60.0", True),
            ):  # fmt: skip
                done = await s7.write(address, value)
                assert (done.outcome, done.readback) == ("done", value), done
            await s7.until(lambda: s7.last(2) == (-300.0, 0) and s7.texts[-1][2] == "BYE")
            assert memory[60] == 1
            refused = await s7.write("DB9.DBW0", 1)
            assert refused.outcome == "failed", refused


async def test_s7_a_wrong_place_does_not_spoil_its_neighbours() -> None:
    async with plc(DB1=bytearray(16)) as (_, url):
        tags = [tag("IN", "DB1.DBW14"), tag("OUT", "DB1.DBW16")]
        async with here({"driver": "s7", "url": url}, tags) as s7:
            await s7.until(lambda: s7.last(0) == (0.0, 0) and s7.last(1))
            assert s7.last(1)[1] == 2  # type: ignore[index]
            await s7.until(lambda: "DB1.DBW16" in s7.detail)
            assert "DB1.DBW14" not in s7.detail


async def test_s7_a_library_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the library does, the driver fails in bounded time, says so and connects again."""
    release = threading.Event()
    async with plc(DB1=bytearray(16)) as (_, url):
        source = {"driver": "s7", "url": url, "options": {"timeout": "100ms"}}
        with monkeypatch.context() as patched:
            patched.setattr(Client, "read_area", lambda *_: release.wait(30))
            began = asyncio.get_running_loop().time()
            with pytest.raises(RetryableTransportError, match="does not answer any more"):
                async with here(source, [tag("N", "DB1.DBW0")]) as s7:
                    await s7.until(lambda: False, 5)
            assert asyncio.get_running_loop().time() - began < 3
        async with here(source, [tag("N", "DB1.DBW0")]) as s7:
            await s7.until(lambda: s7.last(0) == (0.0, 0))
    release.set()


class Station:
    """A 104 station with a few objects and commands; notes what it was told."""

    def __init__(self) -> None:
        self.port, self.told = free_port(), []
        self.server = c104.Server(ip="127.0.0.1", port=self.port, tick_rate_ms=50)
        station = self.server.add_station(common_address=7)
        assert station is not None
        self.station = station

    def point(self, at: int, kind: c104.Type, **rest: Any) -> c104.Point:
        point = self.station.add_point(io_address=at, type=kind, **rest)
        assert point is not None
        return point

    def command(self, at: int, kind: c104.Type, reply: c104.ResponseState, **rest: Any) -> None:
        def taken(point: Any, previous_info: Any, message: Any) -> Any:
            self.told.append((at, point.value))
            return reply

        taken.__annotations__ = {
            "point": c104.Point, "previous_info": c104.Information,
            "message": c104.IncomingMessage, "return": c104.ResponseState,
        }  # fmt: skip
        self.point(at, kind, **rest).on_receive(callable=taken)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        self.server.start()
        try:
            yield f"iec104://127.0.0.1:{self.port}"
        finally:
            await asyncio.to_thread(self.server.stop)


async def test_iec104_values_times_and_quality() -> None:
    rtu = Station()
    single = rtu.point(1, c104.Type.M_SP_NA_1)
    double = rtu.point(2, c104.Type.M_DP_NA_1)
    timed = rtu.point(3, c104.Type.M_ME_TF_1)
    rtu.point(4, c104.Type.M_ME_NB_1).value = c104.Int16(-77)
    single.value, double.value = True, c104.Double.ON
    long_ago = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
    tags = [
        tag("SINGLE", "7/1", "boolean"), tag("DOUBLE", "7/2", "boolean"), tag("TIMED", "7/3"),
        tag("SCALED", "7/4:scaled", scale=0.1), tag("RAW", "7/2"), tag("WRONG", "7/4:float"),
        tag("STRANGER", "8/1"),
    ]  # fmt: skip
    async with rtu.running() as url, here({"driver": "iec104", "url": url}, tags) as line:
        await line.until(lambda: all(line.last(n) for n in (0, 1, 3, 4, 5, 6)))
        assert [line.last(n) for n in (0, 1, 4)] == [(1.0, 0), (1.0, 0), (2.0, 0)]
        assert line.last(3) == (pytest.approx(-7.7), 0)
        # Another type under the address, and a station that is not there, are bad and named.
        assert line.last(5)[1] == line.last(6)[1] == 2  # type: ignore[index]
        await line.until(lambda: "station 8" in line.detail and "common address" in line.detail)

        timed.info = c104.ShortInfo(actual=2.5, quality=c104.Quality(), recorded_at=long_ago)
        timed.transmit(cause=c104.Cot.SPONTANEOUS)
        await line.until(lambda: (round(long_ago.timestamp() * 1000), 2.5, 0) in line.of(2))
        timed.info = c104.ShortInfo(actual=3.5, quality=c104.Quality.Invalid)
        timed.transmit(cause=c104.Cot.SPONTANEOUS)
        await line.until(lambda: line.last(2)[1] == 2)  # type: ignore[index]
        single.info = c104.SingleInfo(on=False, quality=c104.Quality.Substituted)
        single.transmit(cause=c104.Cot.SPONTANEOUS)
        await line.until(lambda: line.last(0) == (0.0, 1))
        double.value = c104.Double.INTERMEDIATE
        double.transmit(cause=c104.Cot.SPONTANEOUS)
        await line.until(lambda: line.last(1)[1] == 2 and line.last(4) == (0.0, 0))  # type: ignore[index]

        # What does not change is confirmed while the link lives, with the time of that moment.
        seen = len(line.of(3))
        await line.until(lambda: len(line.of(3)) > seen)
        assert abs(SystemClock().now_ms() - line.of(3)[-1][0]) < 5000


async def test_iec104_commands_are_done_refused_or_unknown_and_never_repeated() -> None:
    kinds, replies = c104.Type, c104.ResponseState
    rtu = Station()
    rtu.command(10, kinds.C_SC_NA_1, replies.SUCCESS)
    rtu.command(11, kinds.C_DC_NA_1, replies.SUCCESS,
                command_mode=c104.CommandMode.SELECT_AND_EXECUTE)  # fmt: skip
    rtu.command(12, kinds.C_SE_NB_1, replies.FAILURE)
    rtu.command(13, kinds.C_SE_NA_1, replies.NONE)
    async with (
        rtu.running() as url,
        here({"driver": "iec104", "url": url, "options": {"command_timeout": "5s"}}, []) as line,
    ):
        await line.until(lambda: line.states)
        assert (await line.write("7/10:single", True, LONG)).outcome == "done"
        direct = await line.write("7/11:double", 1, LONG)
        assert direct.outcome == "failed", "this station wants to be selected first"
        assert (await line.write("7/11:double:select", 1, LONG)).outcome == "done"
        refused = await line.write("7/12:scaled", 5, LONG)
        assert (refused.outcome, "refused" in refused.detail) == ("failed", True)
        absent = await line.write("7/99:single", 1, LONG)
        assert absent.outcome == "failed"
        silent = await line.write("7/13:normalized", 0.5, 600)
        assert silent.outcome == "unknown", silent
        # The next command does not wait for the one that was not answered.
        after = await line.write("7/10:single", False, LONG)
        assert after.outcome == "done", (after, rtu.told)
        for address, value in (("7/12:scaled", 40_000), ("7/13:normalized", 1)):
            assert "does not fit" in (await line.write(address, value)).detail
    doubles = [value for at, value in rtu.told if at == 11]
    assert doubles.count(c104.Double.ON) == 1
    assert [value for at, value in rtu.told if at == 10] == [True, False]
    assert len([1 for at, _ in rtu.told if at == 13]) == 1
