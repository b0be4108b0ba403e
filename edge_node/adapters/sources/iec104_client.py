"""IEC 60870-5-104 client: spontaneous values, interrogation, commands with their confirmation.

Run by the driver child. The library keeps the link (start, tests, acknowledgements); values and
answers are read from its raw messages, because a station may send one object with and without time.
"""

# No `from __future__ import annotations` here: the library compares the callback's annotations.

import asyncio
import math
import socket
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import c104

from edge_node.adapters.sources.iec104 import (
    COMMANDS,
    Iec104Options,
    Place,
    check_write,
    parse_address,
)
from edge_node.adapters.sources.iec104_asdu import (
    INTERROGATION,
    Answer,
    Reading,
    answer,
    moment_ms,
    readings,
)
from edge_node.adapters.sources.port import BAD, Point, Sink, Source, emit
from edge_node.adapters.sources.worker import Worker
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError, ContractError, RetryableTransportError

MAX_CONNECT_S = 5.0
CALL_S = 6.0
STEP_S = 0.02
CHECK_S = 0.2
REPEAT_MS = 2000
"""An unchanged value is confirmed this often while the link is alive."""
DOUBLE_OFF, DOUBLE_ON = 1, 2
BUSY = "already running"
REFUSED_S = 0.05
"""The library refuses a command at once, or has sent it."""
CommandValue = bool | float | c104.Double | c104.NormalizedFloat | c104.Int16
_KINDS = {"single": 45, "double": 46, "normalized": 48, "scaled": 49, "float": 50}


@dataclass(slots=True)
class _Known:
    """What was last heard of one object."""

    reading: Reading
    heard_ms: int


class Iec104Driver:
    """One link with its stations."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: Iec104Options = source.options
        self._zone = ZoneInfo(self._options.time_zone)
        self._points: dict[tuple[int, int], list[tuple[Point, Place]]] = {}
        self._known: dict[tuple[int, int], _Known] = {}
        self._waiting: dict[tuple[int, int, int], asyncio.Future[Answer]] = {}
        self._faults: dict[int, str] = {}
        self._client: c104.Client | None = None
        self._link: c104.Connection | None = None
        self._worker: Worker | None = None
        self._sending: set[asyncio.Task[str]] = set()
        self._heard_ms = self._malformed = 0

    async def connect(self) -> None:
        """Open the link, start the transfer and ask every station for all its values."""
        self._points, self._known, self._faults = self._arrange(), {}, {}
        host, port = await self._target()
        options = self._options
        client = c104.Client(tick_rate_ms=50, command_timeout_ms=options.command_timeout)
        client.originator_address = options.originator
        link = client.add_connection(ip=host, port=port, init=c104.Init.NONE)
        if link is None:
            raise ConfigError(self._say("the address cannot be used"), mend="correct the url")
        link.protocol_parameters.keep_alive_interval = max(1, options.keepalive // 1000)
        link.on_receive_raw(callable=self._listener())
        self._client, self._link = client, link
        self._worker = Worker(f"iec104 {self._source.id}")
        client.start()
        link.connect()
        # The library tells states only when asked.
        if not await self._until(lambda: link.is_connected) or not await self._until(link.unmute):
            raise RetryableTransportError(
                self._say("nothing answers") + "\n  mend: check that the station is on, its "
                "address and port, and that it accepts this master"
            )
        self._heard_ms = self._clock.mono_ms()
        await self._interrogate()

    def _say(self, what: str) -> str:
        return f"IEC 104 source {self._source.id} at {self._source.url}: {what}"

    def _arrange(self) -> dict[tuple[int, int], list[tuple[Point, Place]]]:
        found: dict[tuple[int, int], list[tuple[Point, Place]]] = {}
        for point in self._source.points:
            try:
                place = parse_address(point.address)
            except ValueError as error:
                raise ConfigError(
                    f"source {self._source.id}, tag {point.id}: {error}",
                    mend="correct the tag's address",
                ) from error
            found.setdefault((place.station, place.place), []).append((point, place))
        return found

    async def _target(self) -> tuple[str, int]:
        url = urlsplit(self._source.url)
        if url.scheme != "iec104" or not url.hostname:
            raise ConfigError(
                self._say("this is no IEC 104 address"), mend="write it as iec104://host:2404"
            )
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                url.hostname, url.port or 2404, family=socket.AF_INET, type=socket.SOCK_STREAM
            )
        except OSError as error:
            raise RetryableTransportError(
                self._say(f"{url.hostname} has no address") + "\n  mend: correct the url"
            ) from error
        return str(found[0][4][0]), int(found[0][4][1])

    async def _until(self, holds: Callable[[], bool]) -> bool:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + min(MAX_CONNECT_S, 2 * self._options.keepalive / 1000)
        while not holds():
            if loop.time() > deadline:
                return False
            await asyncio.sleep(STEP_S)
        return True

    def _listener(self) -> Callable[[c104.Connection, bytes], None]:
        """What the library calls, in a thread of its own, with every message."""
        loop = asyncio.get_running_loop()

        def heard(connection: c104.Connection, data: bytes) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(self._take, data)

        return heard

    async def _interrogate(self) -> None:
        """Ask every station for all its values; they arrive as any others do."""
        worker, link = self._worker, self._link
        assert worker is not None
        assert link is not None
        for station in sorted({station for station, _ in self._points}):
            if not await worker.call(CALL_S, self._ask_all, link, station):
                raise RetryableTransportError(self._say("the link was lost at once"))

    @staticmethod
    def _ask_all(link: c104.Connection, station: int) -> bool:
        return link.interrogation(common_address=station, wait_for_response=False)

    async def run(self) -> None:
        """Watch the link, confirm what has not changed, and ask for everything now and then."""
        asked = self._clock.mono_ms()
        patience = 2 * self._options.keepalive
        while True:
            now = self._clock.mono_ms()
            link = self._link
            if link is None or not link.is_connected:
                raise RetryableTransportError(
                    self._say("the station closed the link") + "\n  mend: check the station"
                )
            if now - self._heard_ms > patience:
                raise RetryableTransportError(
                    self._say("nothing is heard, not even an answer to the link's test")
                    + "\n  mend: check the station and the network to it"
                )
            if now - asked >= self._options.interrogation:
                asked = now
                await self._interrogate()
            self._confirm(now)
            self._sink.state("connected", self._describe())
            await asyncio.sleep(CHECK_S)

    def _confirm(self, now: int) -> None:
        """While the link is alive what was not reported has not changed."""
        if now - self._heard_ms > self._options.keepalive + 1000:
            return
        for key, known in self._known.items():
            if now - known.heard_ms >= REPEAT_MS:
                known.heard_ms = now
                for point, place in self._points.get(key, ()):
                    self._hand_over(point, place, known.reading, self._clock.now_ms())

    def _describe(self) -> str:
        silent = [
            f"{station}/{place}" for station, place in self._points
            if (station, place) not in self._known and station not in self._faults
        ]  # fmt: skip
        told = [f"station {station}: {why}" for station, why in sorted(self._faults.items())]
        if silent:
            told.append("nothing heard yet of " + ", ".join(sorted(silent)[:5])
                        + ", check these object addresses")  # fmt: skip
        if self._malformed:
            told.append(f"malformed messages: {self._malformed}")
        return "; ".join([self._source.url, *told])

    def _take(self, data: bytes) -> None:
        self._heard_ms = self._clock.mono_ms()
        try:
            if (told := answer(data)) is not None:
                self._settle(told)
            for reading in readings(data):
                self._read(reading)
        except (ValueError, IndexError, ContractError):
            self._malformed += 1

    def _settle(self, told: Answer) -> None:
        if told.kind == INTERROGATION:
            if told.refused:
                self._faults[told.station] = (
                    f"{told.refused}, correct the common address of its tags"
                )
                self._silence(told.station)
            return
        waiting = self._waiting.get((told.station, told.place, told.kind))
        if waiting is not None and not waiting.done() and (told.refused or not told.select):
            waiting.set_result(told)

    def _silence(self, station: int) -> None:
        now = self._clock.now_ms()
        for (owner, _), members in self._points.items():
            for point, _ in members if owner == station else ():
                emit(self._sink, point, now, None, BAD)

    def _read(self, reading: Reading) -> None:
        key, now = (reading.station, reading.place), self._clock.now_ms()
        members = self._points.get(key)
        if members is None:
            return
        self._faults.pop(reading.station, None)
        self._known[key] = _Known(reading, self._clock.mono_ms())
        stamp = moment_ms(reading.time, self._zone) if reading.time else None
        for point, place in members:
            self._hand_over(point, place, reading, now if stamp is None else stamp)

    def _hand_over(self, point: Point, place: Place, reading: Reading, moment: int) -> None:
        raw, quality = reading.value, reading.quality
        if place.family and place.family != reading.family:
            quality = BAD  # another type under this address: its number would mean something else
        elif reading.family == "double" and point.kind == "boolean":
            # Between the end positions and faulty ones are no states of a switch.
            quality = quality if raw in (DOUBLE_OFF, DOUBLE_ON) else BAD
            raw = raw == DOUBLE_ON
        emit(self._sink, point, moment, raw, quality)

    async def write(self, order: Write) -> WriteResult:
        """Send one command; done when the station confirms it, unknown when it says nothing."""
        try:
            if wrong := check_write(order.address):
                raise ValueError(wrong)
            place = parse_address(order.address)
            value = command_value(place.family, order.value)
        except ValueError as error:
            return WriteResult(id=order.id, outcome="failed", detail=f"not sent: {error}")
        link = self._link
        if link is None or self._worker is None or not link.is_connected:
            return WriteResult(id=order.id, outcome="failed", detail="not connected; not sent")
        key = (place.station, place.place, _KINDS[place.family])
        told: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[key] = told
        sent = False
        try:
            async with asyncio.timeout(order.timeout_ms / 1000):
                await self._begin(link, place, value)
                sent = True
                result = await told
        except (TimeoutError, ConnectionError) as error:
            if not sent:
                detail = f"not sent: {error or 'the station has not ended the command before'}"
                return WriteResult(id=order.id, outcome="failed", detail=detail)
            return _unknown(order, str(error) or "no confirmation in time")
        finally:
            self._waiting.pop(key, None)
        if result.refused:
            return WriteResult(id=order.id, outcome="failed", detail=result.refused)
        return WriteResult(id=order.id, outcome="done", detail="confirmed by the station")

    async def _begin(self, link: c104.Connection, place: Place, value: CommandValue) -> None:
        """Hand one command to the library, when it no longer waits for the one before.

        Whether it is done is read from the station's own answer: the library's call may sleep
        through an answer that is very quick, so nobody waits for its end.
        """
        while True:
            sending = asyncio.create_task(self._in_a_thread(link, place, value))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)
            done, _ = await asyncio.wait([sending], timeout=REFUSED_S)
            refused = sending.result() if done else ""
            if not refused:
                return
            if BUSY not in refused:
                raise ConnectionError(refused)
            await asyncio.sleep(STEP_S)

    async def _in_a_thread(self, link: c104.Connection, place: Place, value: CommandValue) -> str:
        """Why the library did not send it; "" when it did, or has not come back."""
        worker = Worker(f"iec104 {self._source.id} command")
        try:
            await worker.call(CALL_S, self._send, link, place, value)
        except TimeoutError:
            return ""
        except RuntimeError as error:
            return str(error)
        finally:
            worker.end()
        return ""

    def _send(self, link: c104.Connection, place: Place, value: CommandValue) -> bool:
        """In the worker's thread: one transmission; the library repeats nothing."""
        kind = getattr(c104.Type, COMMANDS[place.family])
        station = link.get_station(place.station) or link.add_station(place.station)
        assert station is not None
        point = station.get_point(place.place)
        if point is not None and point.type != kind:
            station.remove_point(place.place)
            point = None
        point = point or station.add_point(io_address=place.place, type=kind)
        assert point is not None
        select = place.select or self._options.select
        point.command_mode = (
            c104.CommandMode.SELECT_AND_EXECUTE if select else c104.CommandMode.DIRECT
        )
        point.value = value
        return point.transmit(cause=c104.Cot.ACTIVATION)

    async def close(self) -> None:
        """Close the link; a hung library is left behind with its thread."""
        client, worker = self._client, self._worker
        self._client = self._link = self._worker = None
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionError("the link was lost"))
        for sending in list(self._sending):
            sending.cancel()
        if client is None or worker is None:
            return
        try:
            await worker.call(1.5, client.stop)
        finally:
            worker.end()


def _unknown(order: Write, why: str) -> WriteResult:
    return WriteResult(id=order.id, outcome="unknown", detail=f"sent; {why}")


def command_value(family: str, value: object) -> CommandValue:
    """The order's value in the library's own type; ValueError when it does not fit."""
    if not isinstance(value, bool | int | float) or not math.isfinite(value):
        raise ValueError(f"a command takes a number or a boolean, not {value!r}")
    if family in ("single", "double"):
        if value not in (0, 1):
            raise ValueError(f"a {family} command takes true or false, not {value!r}")
        return bool(value) if family == "single" else (
            c104.Double.ON if value else c104.Double.OFF
        )  # fmt: skip
    if family == "normalized":
        if not -1 <= value < 1:
            raise ValueError(f"{value:g} does not fit: a normalized value is -1 to below 1")
        return c104.NormalizedFloat(value)
    if family == "scaled":
        whole = round(value)
        if not -32768 <= whole <= 32767:
            raise ValueError(f"{value:g} does not fit into a scaled value (16 bits)")
        return c104.Int16(whole)
    return float(value)
