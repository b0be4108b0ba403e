"""A plant device that speaks MQTT to the edge's own NATS server, seen from the NATS side.

Run by the driver child. A NATS subscriber is never given retained messages, so the device is asked
to report; a command is done only when the device itself says so.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_node.adapters.sources.mqtt_batch import TOPIC, BatchReader
from edge_node.adapters.sources.port import (
    BAD,
    GOOD,
    DriverInfo,
    Options,
    Point,
    Sink,
    Source,
    emit,
)
from edge_node.application.ipc import Write, WriteResult
from shared.bus.nats_bus import NatsBus
from shared.clock import Clock
from shared.errors import ConfigError, ContractError, RetryableTransportError, TransportError
from shared.messages.subjects import device_topic, notice_topic
from shared.telemetry import logger

log = logger("driver.mqtt")
CHECK_S = 1.0
MIN_SILENCE_MS = 5_000
ASK_MS = 10_000
"""How often a device is asked while part of its state is unknown."""
REFRESH_MS = 300_000
"""How often it is asked when all is known: unchanged state is thereby confirmed."""
MAX_BODY = 65_536
MAX_LEAD_MS = 60_000
MAX_AGE_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class _Field:
    """A point and where it stands in a JSON body."""

    point: Point
    path: tuple[str, ...]


class MqttDriver:
    """One MQTT device."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._device = source.url.removeprefix("device:")
        self._bus: NatsBus | None = None
        self._fields: dict[str, list[_Field]] = {}
        self._batches = BatchReader(())
        self._unseen: set[int] = set()
        self._pending: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._offline = False
        self._heard_ms = 0
        self._asked_ms = 0
        self._malformed = 0
        self._silent = False
        self._heard = False

    async def connect(self) -> None:
        """Connect to the edge's server and listen to the device."""
        source = self._source
        self._fields = {}
        for point in source.points:
            topic, path = parse_address(source.id, point)
            self._fields.setdefault(topic, []).append(_Field(point, path))
        batched = self._fields.get(TOPIC, ())
        self._batches = BatchReader((".".join(f.path), f.point) for f in batched)
        given = source.settings
        url = given.get("nats_url")
        if not url or source.url == self._device:
            raise ConfigError(
                f"source {source.id}: an MQTT source needs `url: device:NAME` and the edge's NATS",
                mend="set nats_url, user and password_file in the edge's device_credentials",
            )
        self._bus = await NatsBus.connect(
            url, user=given.get("user", ""), password=source.password(),
            name=f"driver {source.id}", inbox=given.get("inbox", "_INBOX"),
        )  # fmt: skip
        self._offline = self._silent = self._heard = False
        self._heard_ms = self._clock.mono_ms()
        self._all_bad()
        await self._bus.subscribe(device_topic(self._device, ">"), self._on_message)
        await self._ask()

    async def run(self) -> None:
        """Watch the device's freshness; messages arrive by themselves."""
        patience = max(MIN_SILENCE_MS, 10 * self._source.interval_ms)
        while True:
            assert self._bus is not None
            now = self._clock.mono_ms()
            if not self._bus.connected:
                self._sink.state("failed", self._explain("the edge's NATS server is away"))
            elif self._offline:
                self._sink.state("failed", self._explain("the device is offline (last will)"))
            elif now - self._heard_ms > patience:
                self._go_silent()
            elif self._heard:
                self._sink.state("connected", self._describe())
            since = now - self._asked_ms
            if since >= (ASK_MS if self._unseen and not self._offline else REFRESH_MS):
                await self._ask()
            await asyncio.sleep(CHECK_S)

    def _go_silent(self) -> None:
        if not self._silent:
            self._silent = True
            self._all_bad()
        self._sink.state("failed", self._explain("the device says nothing"))

    def _explain(self, what: str) -> str:
        return (
            f"MQTT source {self._source.id}, device {self._device}: {what}\n"
            f"  mend: check the device, and that it publishes to dev/{self._device}/..."
        )

    def _describe(self) -> str:
        text = f"device {self._device}"
        return f"{text}; malformed messages: {self._malformed}" if self._malformed else text

    def _all_bad(self) -> None:
        now = self._clock.now_ms()
        for fields in self._fields.values():
            for field in fields:
                self._unseen.add(field.point.index)
                emit(self._sink, field.point, now, None, BAD)

    async def _ask(self) -> None:
        """Ask the device to publish its state now."""
        self._asked_ms = self._clock.mono_ms()
        order = {"id": f"report-{secrets.token_hex(4)}", "op": "report", "args": {}}
        await self._say(order)

    async def _say(self, order: dict[str, Any]) -> None:
        if self._bus is None or not self._bus.connected:
            raise RetryableTransportError("the edge's NATS server is away")
        await self._bus.publish(notice_topic(self._device, "command"), msgspec.json.encode(order))

    async def _on_message(self, subject: str, data: bytes) -> None:
        topic = subject.removeprefix(device_topic(self._device, ""))
        if topic == "status":
            await self._on_status(data.strip().strip(b'"'))
            return
        if topic == TOPIC and data[:1] != b"{":
            self._on_batch(data)
            return
        try:
            body = msgspec.json.decode(data) if len(data) <= MAX_BODY else None
        except msgspec.DecodeError:
            body = None
        if not isinstance(body, dict):
            self._malformed += 1
            return
        self._heard, self._heard_ms = True, self._clock.mono_ms()
        self._offline = self._silent = False  # it speaks, so it is there, whatever its will said
        self._settle(body)
        moment = self._moment(body.get("ts"))
        for field in self._fields.get(topic, ()):
            raw: Any = body
            for name in field.path:
                raw = raw.get(name, msgspec.UNSET) if isinstance(raw, dict) else msgspec.UNSET
            if raw is not msgspec.UNSET:
                self._unseen.discard(field.point.index)
                emit(self._sink, field.point, moment, raw, GOOD)

    def _on_batch(self, data: bytes) -> None:
        now = self._clock.now_ms()
        try:
            heard = self._batches.read(data, self._sink, now - MAX_AGE_MS, now + MAX_LEAD_MS, now)
        except ContractError as error:
            self._malformed += 1
            if self._malformed == 1:  # the count is in the driver's state; why, once
                log.warning("batch_refused", device=self._device, error=str(error))
            return
        self._unseen -= heard
        self._heard, self._heard_ms = True, self._clock.mono_ms()
        self._offline = self._silent = False

    async def _on_status(self, word: bytes) -> None:
        if word == b"offline":
            self._offline = True
            self._all_bad()
            self._sink.state("failed", self._explain("the device is offline (last will)"))
        elif word == b"online":
            self._offline = False
            self._heard_ms = self._clock.mono_ms()
            try:
                await self._ask()
            except TransportError as error:
                log.info("report_not_asked", device=self._device, error=str(error))

    def _moment(self, stamp: Any) -> int:
        """The device's own time if it can be true, else ours."""
        now = self._clock.now_ms()
        if isinstance(stamp, int | float) and now - MAX_AGE_MS < stamp < now + MAX_LEAD_MS:
            return int(stamp)
        return now

    def _settle(self, body: dict[str, Any]) -> None:
        waiting = self._pending.get(str(body.get("last_command", "")))
        if waiting is not None and not waiting.done():
            waiting.set_result(body)

    async def write(self, order: Write) -> WriteResult:
        """Send one command; done when the device's state names it as the last one carried out."""
        if self._bus is None or not self._bus.connected:
            return WriteResult(id=order.id, outcome="failed", detail="not connected; not sent")
        if self._offline:
            # What the server cannot hand to a device at once is dropped, so do not even try.
            detail = f"device {self._device} is offline; not sent"
            return WriteResult(id=order.id, outcome="failed", detail=detail)
        args = order.value if isinstance(order.value, dict) else {"value": order.value}
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[order.id] = answer
        try:
            # The server's buffers may hold it up: the device can tell by `expires`.
            expires = self._clock.now_ms() + order.timeout_ms
            body = {"id": order.id, "op": order.address, "args": args, "expires": expires}
            await self._say(body)
            state = await asyncio.wait_for(answer, order.timeout_ms / 1000)
        except TimeoutError:
            detail = f"sent; device {self._device} has not confirmed it"
            return WriteResult(id=order.id, outcome="unknown", detail=detail)
        except TransportError as error:
            return WriteResult(id=order.id, outcome="unknown", detail=str(error))
        finally:
            del self._pending[order.id]
        if state.get("last_result") == "rejected":
            detail = f"device {self._device} rejected {order.address}"
            return WriteResult(id=order.id, outcome="failed", detail=detail)
        return WriteResult(id=order.id, outcome="done", readback=_readback(state, args))

    async def close(self) -> None:
        """Disconnect."""
        bus, self._bus = self._bus, None
        if bus is not None:
            await bus.close()


def parse_address(source: str, point: Point) -> tuple[str, tuple[str, ...]]:
    """`telemetry#values.speed` as (NATS topic below the device, path in the JSON body)."""
    topic, mark, path = point.address.partition("#")
    if not mark or not topic or not path or " " in point.address or "." in topic:
        raise ConfigError(
            f"source {source}, tag {point.id}: {point.address!r} is not an MQTT address",
            mend="write topic#member, for example telemetry#values.speed",
        )
    return topic.strip("/").replace("/", "."), tuple(path.split("."))


def _readback(state: dict[str, Any], args: dict[str, Any]) -> float | bool | str | None:
    """What the state now shows for the argument: `speed` as `speed` or `speed_sp`."""
    for name in args:
        for member in (name, f"{name}_sp"):
            value = state.get(member)
            if isinstance(value, bool | int | float | str):
                return value
    return None


def check_address(address: str, kind: str) -> str:
    """Whether an address is topic#member."""
    try:
        parse_address("", Point(0, "", address, "string" if kind == "string" else "number"))
    except ConfigError as error:
        return f"{address!r} is not an MQTT address: {error.mend}"
    return ""


DRIVER = DriverInfo(
    name="mqtt",
    options=Options,
    build=MqttDriver,
    check_address=check_address,
    schemes=("device",),
)
