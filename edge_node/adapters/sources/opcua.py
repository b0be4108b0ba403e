"""OPC UA client: one subscription for all tags of a source, writes with read-back.

Run by the driver child. Short cuts are healed inside the session, so that the server's queue is not
lost; what does not heal in time ends `run`, and the child connects anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from asyncua import Client, ua
from asyncua.client.ua_client import UaClientState
from asyncua.common.subscription import DataChangeEvent, OverflowPolicy, Subscription

from edge_node.adapters.sources.port import BAD, GOOD, Point, Sink, Source, emit
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError, RetryableTransportError
from shared.telemetry import logger

log = logger("driver.opcua")
REQUEST_S = 4.0
MIN_QUEUE = 100
"""Values per tag that the server keeps while we are cut off; more for fast sources."""
KEEPALIVE_MS = 1_000
LIFETIME_MS = 60_000
REPEAT_MS = 2_000
CHECK_S = 0.5
HEAL_MS = 15_000
"""How long a session may be up with a silent subscription before we start afresh."""
NOTIFICATIONS = 1_000
READBACK_S = 1.5
# The server answered, and its answer does not say that nothing was written.
_AMBIGUOUS = {
    ua.StatusCodes.BadTimeout, ua.StatusCodes.BadRequestTimeout,
    ua.StatusCodes.BadCommunicationError, ua.StatusCodes.BadUnexpectedError,
    ua.StatusCodes.BadInternalError, ua.StatusCodes.BadDeviceFailure,
    ua.StatusCodes.BadConnectionClosed, ua.StatusCodes.BadNoCommunication,
    ua.StatusCodes.BadUnknownResponse, ua.StatusCodes.BadShutdown,
}  # fmt: skip


@dataclass(slots=True)
class _Reading:
    """The last reading of one point and when we last handed one over."""

    point: Point
    raw: Any = None
    quality: int = BAD
    heard: bool = False
    sent_ms: int = 0


class OpcuaDriver:
    """One OPC UA server."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._client: Client | None = None
        self._subscription: Subscription | None = None
        self._readings: dict[ua.NodeId, list[_Reading]] = {}
        self._types: dict[str, ua.VariantType] = {}
        self._unknown: list[str] = []

    async def connect(self) -> None:
        """Open a session and subscribe every tag."""
        source = self._source
        client = Client(
            source.url, timeout=REQUEST_S, watchdog_intervall=1.0, auto_reconnect=True,
            reconnect_max_delay=2.0, reconnect_request_timeout=2.0,
        )  # fmt: skip
        if user := source.settings.get("user"):
            client.set_user(user)
            client.set_password(source.password())
        self._client = client
        self._readings = self._parse()
        try:
            await client.connect()
            await self._subscribe(client)
        except (OSError, TimeoutError) as error:
            what = str(error) or "it accepts the connection and does not answer"
            raise RetryableTransportError(
                f"OPC UA source {source.id}: no session with {source.url}: {what}\n"
                "  mend: start the server, or correct the source's url or the edge's source_urls"
            ) from error
        except ua.UaError as error:
            raise RetryableTransportError(
                f"OPC UA source {source.id}: {source.url} refused: {error}\n"
                "  mend: check the endpoint's path, security policy, user and password"
            ) from error

    def _parse(self) -> dict[ua.NodeId, list[_Reading]]:
        readings: dict[ua.NodeId, list[_Reading]] = {}
        for point in self._source.points:
            readings.setdefault(self._node_id(point.address), []).append(_Reading(point))
        return readings

    def _node_id(self, address: str) -> ua.NodeId:
        try:
            return ua.NodeId.from_string(address)
        except ua.UaError as error:
            raise ConfigError(
                f"source {self._source.id}: {address!r} is not a node id",
                mend="write it as ns=2;s=NAME or ns=2;i=NUMBER",
            ) from error

    async def _subscribe(self, client: Client) -> None:
        interval = self._source.interval_ms
        keepalive = max(1, KEEPALIVE_MS // interval)
        wanted = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=ua.Duration(interval),
            RequestedMaxKeepAliveCount=keepalive,
            RequestedLifetimeCount=max(3 * keepalive, LIFETIME_MS // interval),
            MaxNotificationsPerPublish=NOTIFICATIONS,
            PublishingEnabled=True,
        )
        subscription = await client.create_subscription(
            wanted, queue_maxsize=20 * NOTIFICATIONS, overflow=OverflowPolicy.DROP_OLDEST
        )
        nodes = [client.get_node(node_id) for node_id in self._readings]
        handles = await subscription.subscribe_data_change(
            nodes,
            queuesize=max(MIN_QUEUE, LIFETIME_MS // interval),
            sampling_interval=ua.Duration(interval),
        )
        self._unknown = []
        for node, handle in zip(nodes, handles, strict=True):
            if isinstance(handle, ua.StatusCode):
                self._refused(node.nodeid, handle)
        self._subscription = subscription

    def _refused(self, node_id: ua.NodeId, status: ua.StatusCode) -> None:
        """A tag that the server does not serve is bad, and is said to be, for as long."""
        for reading in self._readings[node_id]:
            self._unknown.append(f"{reading.point.id} ({reading.point.address}): {status.name}")
            self._hand_over(reading, self._clock.now_ms(), None, BAD)

    async def run(self) -> None:
        """Hand notifications over, and repeat what is quiet while the subscription is alive."""
        detail = self._source.url
        if self._unknown:
            detail += "; not served, correct the address: " + "; ".join(self._unknown[:5])
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._follow())
                group.create_task(self._watch(detail))
        except* RetryableTransportError as group_error:
            raise group_error.exceptions[0] from None

    async def _follow(self) -> None:
        assert self._subscription is not None
        async for event in self._subscription:
            if isinstance(event, DataChangeEvent):
                self._on_change(event)

    def _on_change(self, event: DataChangeEvent) -> None:
        readings = self._readings.get(event.node.nodeid)
        value = event.data.monitored_item.Value
        if readings is None or value is None:
            return
        moment = value.SourceTimestamp or value.ServerTimestamp
        now = self._clock.now_ms()
        for reading in readings:
            self._hand_over(reading, _ms(moment, now), event.value, quality_of(value.StatusCode))

    def _hand_over(self, reading: _Reading, time_ms: int, raw: Any, quality: int) -> None:
        reading.raw, reading.quality, reading.heard = raw, quality, True
        reading.sent_ms = self._clock.mono_ms()
        emit(self._sink, reading.point, time_ms, raw, quality)

    async def _watch(self, detail: str) -> None:
        """Show the connection's state, repeat quiet tags, give up when it does not heal."""
        assert self._client is not None
        alive_ms = self._clock.mono_ms()
        while True:
            now = self._clock.mono_ms()
            if self._alive(now):
                alive_ms = now
                self._sink.state("connected", detail)
                self._repeat(now)
            elif now - alive_ms > self._patience():
                raise RetryableTransportError(
                    f"OPC UA source {self._source.id}: {self._source.url} has been silent for "
                    f"{(now - alive_ms) // 1000} s; connecting anew"
                )
            elif now - alive_ms > 2 * CHECK_S * 1000:
                self._sink.state(
                    "failed",
                    f"OPC UA source {self._source.id}: {self._source.url} does not answer\n"
                    "  mend: check that the server runs and that this machine reaches it",
                )
            await asyncio.sleep(CHECK_S)

    def _patience(self) -> int:
        """While the wire is cut, the session is worth healing as long as the server keeps it."""
        assert self._client is not None
        up = self._client.uaclient.state is UaClientState.CONNECTED
        return HEAL_MS if up else LIFETIME_MS

    def _alive(self, now: int) -> bool:
        """Whether the server has proved, by a notification or a keep-alive, that it watches."""
        assert self._client is not None
        assert self._subscription is not None
        if self._client.uaclient.state is not UaClientState.CONNECTED:
            return False
        heard = self._subscription.last_publish_at
        revised = max(self._source.interval_ms, KEEPALIVE_MS)
        return heard is not None and now - heard * 1000 < 2 * revised + 500

    def _repeat(self, now: int) -> None:
        """An unchanged tag is as fresh as the subscription: without this it would look stale."""
        for readings in self._readings.values():
            for reading in readings:
                if reading.heard and now - reading.sent_ms >= REPEAT_MS:
                    self._hand_over(reading, self._clock.now_ms(), reading.raw, reading.quality)

    async def write(self, order: Write) -> WriteResult:
        """Write once with the node's own type, then read back."""
        client = self._client
        if client is None or client.uaclient.state is not UaClientState.CONNECTED:
            return WriteResult(id=order.id, outcome="failed", detail="not connected; not sent")
        until = asyncio.get_running_loop().time() + order.timeout_ms / 1000
        try:
            node = client.get_node(self._node_id(order.address))
            async with asyncio.timeout_at(until):
                kind = await self._type_of(order.address, node)
                value = ua.DataValue(ua.Variant(as_type(order.value, kind), kind))
        except (ConfigError, ValueError, ua.UaError, OSError, TimeoutError) as error:
            detail = f"not sent: {str(error) or type(error).__name__}"
            return WriteResult(id=order.id, outcome="failed", detail=detail)
        try:
            async with asyncio.timeout_at(until):
                await node.write_value(value)
        except ua.UaStatusCodeError as error:
            outcome = "unknown" if error.code in _AMBIGUOUS else "failed"
            return WriteResult(id=order.id, outcome=outcome, detail=str(error))
        except (ua.UaError, OSError, TimeoutError) as error:
            detail = f"sent, no confirmation: {str(error) or type(error).__name__}"
            return WriteResult(id=order.id, outcome="unknown", detail=detail)
        return await self._read_back(order, node)

    async def _type_of(self, address: str, node: Any) -> ua.VariantType:
        if address not in self._types:
            self._types[address] = await node.read_data_type_as_variant_type()
        return self._types[address]

    async def _read_back(self, order: Write, node: Any) -> WriteResult:
        try:
            async with asyncio.timeout(READBACK_S):
                read = await node.read_data_value(raise_on_bad_status=False)
        except (ua.UaError, OSError, TimeoutError) as error:
            detail = f"confirmed; no read-back: {str(error) or type(error).__name__}"
            return WriteResult(id=order.id, outcome="done", detail=detail)
        raw = read.Value.Value if read.Value is not None else None
        kept = raw if isinstance(raw, bool | int | float | str) else None
        now = self._clock.now_ms()
        for reading in self._readings.get(node.nodeid, ()):
            moment = _ms(read.SourceTimestamp, now)
            self._hand_over(reading, moment, raw, quality_of(read.StatusCode))
        return WriteResult(id=order.id, outcome="done", readback=kept)

    async def close(self) -> None:
        """Close the session; the server forgets the subscription."""
        client, self._client, self._subscription = self._client, None, None
        if client is not None:
            try:
                await asyncio.wait_for(client.disconnect(), 1.5)
            finally:
                client.disconnect_socket()


def quality_of(status: ua.StatusCode | None) -> int:
    """Good, uncertain or bad: the two highest bits of the status code (Part 4, 7.39)."""
    return GOOD if status is None else min(int(status.value) >> 30, BAD)


def as_type(value: Any, kind: ua.VariantType) -> Any:
    """The order's value in the node's own type; ValueError when it does not fit."""
    if kind is ua.VariantType.Boolean:
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
    elif kind is ua.VariantType.String:
        return str(value)
    elif isinstance(value, bool | int | float):
        if kind in (ua.VariantType.Float, ua.VariantType.Double):
            return float(value)
        if float(value).is_integer():
            return int(value)
    raise ValueError(f"{value!r} cannot be written to a node of type {kind.name}")


def _ms(moment: datetime | None, now: int) -> int:
    if moment is None:
        return now
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return int(aware.timestamp() * 1000)
