"""The tags of an OPC UA source as subscriptions: one for each interval, values handed over.

Used by the client. What the server kept over a cut is taken in order; what is quiet is repeated
while the subscription is alive; codes that are not good are kept for the driver's state.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from asyncua import Client, ua
from asyncua.common.subscription import DataChangeEvent, OverflowPolicy, Subscription

from edge_node.adapters.sources.opcua import OpcuaOptions, element_of
from edge_node.adapters.sources.opcua_values import (
    code_of,
    element,
    lost_values,
    ms,
    quality_of,
)
from edge_node.adapters.sources.port import BAD, Point, Sink, Source, emit
from shared.clock import Clock
from shared.errors import ConfigError

MIN_QUEUE = 100
KEEPALIVE_MS = 1_000
LIFETIME_MS = 60_000
"""How long the server keeps a subscription, and its queues, for a client that is cut off."""
REPEAT_MS = 2_000
NOTIFICATIONS = 1_000


@dataclass(slots=True)
class Reading:
    """The last reading of one point and when we last handed one over."""

    point: Point
    repeat_ms: int
    element: int | None = None
    raw: Any = None
    quality: int = BAD
    heard: bool = False
    sent_ms: int = 0


class Readings:
    """All readings of a source: the one way to the sink."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._sink, self._clock = sink, clock
        self._all: list[Reading] = []
        self.codes: dict[str, str] = {}
        """Tag -> the status code that is not good now."""
        self.refused: dict[str, str] = {}
        """Tag -> why the server does not serve it."""
        self.lost = 0
        """Times that the server's queue was too short."""

    def add(self, point: Point) -> Reading:
        """A point that will be read."""
        reading = Reading(point, max(1, min(REPEAT_MS, point.stale_ms // 3)))
        self._all.append(reading)
        return reading

    def take(self, reading: Reading, data: ua.DataValue, raw: Any, now: int) -> None:
        """One reading with the server's code and time."""
        code = code_of(data.StatusCode)
        if code:
            self.codes[reading.point.id] = code
        elif self.codes:
            self.codes.pop(reading.point.id, None)
        if lost_values(data.StatusCode):
            self.lost += 1
        moment = ms(data.SourceTimestamp or data.ServerTimestamp, now)
        self.hand_over(reading, moment, raw, quality_of(data.StatusCode))

    def hand_over(self, reading: Reading, time_ms: int, raw: Any, quality: int) -> None:
        """Pass a value on and remember it, so that it can be repeated."""
        if reading.element is not None:
            raw = element(raw, reading.element)
            quality = BAD if raw is None else quality
        self._send(reading, time_ms, raw, quality)

    def _send(self, reading: Reading, time_ms: int, raw: Any, quality: int) -> None:
        if isinstance(raw, ua.LocalizedText):
            raw = raw.Text or ""
        elif isinstance(raw, datetime):
            raw = raw.isoformat()
        reading.raw, reading.quality, reading.heard = raw, quality, True
        reading.sent_ms = self._clock.mono_ms()
        emit(self._sink, reading.point, time_ms, raw, quality)

    def refuse(self, reading: Reading, why: str) -> None:
        """A tag that the server does not serve is bad, and is said to be, for as long."""
        self.refused[reading.point.id] = f"{reading.point.id} ({reading.point.address}): {why}"
        self._send(reading, self._clock.now_ms(), None, BAD)

    def repeat(self, now: int) -> None:
        """An unchanged tag is as fresh as the subscription: without this it would look stale."""
        for reading in self._all:
            if reading.heard and now - reading.sent_ms >= reading.repeat_ms:
                self._send(reading, self._clock.now_ms(), reading.raw, reading.quality)

    def describe(self) -> str:
        """What an engineer should know of the tags; "" when all is well."""
        parts = []
        if self.refused:
            parts.append("not served, correct the address: " + _some(self.refused.values()))
        if self.codes:
            told = _some(f"{tag} {code}" for tag, code in sorted(self.codes.items()))
            parts.append(f"not good at the device: {told}")
        if self.lost:
            parts.append(f"the server's queue was too short {self.lost} times: raise `queue`")
        return "; ".join(parts)


def _some(texts: Iterable[str], most: int = 5) -> str:
    listed = list(texts)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return "; ".join(listed[:most]) + rest


class Items:
    """The values of one interval: a subscription of their own."""

    def __init__(self, interval: int, readings: Readings, source: Source, clock: Clock) -> None:
        self.interval = interval
        self._readings, self._source, self._clock = readings, source, clock
        self._of_node: dict[ua.NodeId, list[Reading]] = {}
        self.subscription: Subscription | None = None
        self.fault = ""

    def add(self, reading: Reading, address: str) -> None:
        """A point of this interval, and where it is on this server."""
        node = node_id(self._source, address)
        self._of_node.setdefault(node, []).append(reading)

    async def subscribe(self, client: Client) -> None:
        """Ask the server to watch; what it refuses is bad."""
        subscription = await subscribed(client, self.interval)
        refused = await self._watch(client, subscription, list(self._of_node))
        # `X[3]` is the name of a node at some servers, and an element of the node `X` at others.
        elements = self._as_elements(node for node, _ in refused)
        again = dict(await self._watch(client, subscription, elements)) if elements else {}
        for node, status in refused + list(again.items()):
            for reading in self._of_node.get(node, ()):
                self._readings.refuse(reading, status.name)
        self.subscription = subscription

    async def _watch(
        self, client: Client, subscription: Subscription, wanted: list[ua.NodeId]
    ) -> list[tuple[ua.NodeId, ua.StatusCode]]:
        options: OpcuaOptions = self._source.options
        handles = await subscription.subscribe_data_change(
            [client.get_node(node) for node in wanted],
            queuesize=options.queue or max(MIN_QUEUE, LIFETIME_MS // self.interval),
            sampling_interval=ua.Duration(self.interval),
        )
        return [
            (node, handle)
            for node, handle in zip(wanted, handles, strict=True)
            if isinstance(handle, ua.StatusCode)
        ]

    def _as_elements(self, refused: Iterable[ua.NodeId]) -> list[ua.NodeId]:
        arrays: list[ua.NodeId] = []
        for node in list(refused):
            found = element_of(str(node.Identifier)) if isinstance(node.Identifier, str) else None
            if found is None:
                continue
            base = ua.NodeId(ua.String(found[0]), node.NamespaceIndex)
            if base not in self._of_node and base not in arrays:
                arrays.append(base)
            for reading in self._of_node.pop(node):
                reading.element = found[1]
                self._of_node.setdefault(base, []).append(reading)
        return arrays

    async def follow(self) -> None:
        """Hand over what the server sends, for ever."""
        assert self.subscription is not None
        async for event in self.subscription:
            if not isinstance(event, DataChangeEvent):
                continue
            value = event.data.monitored_item.Value
            if value is not None:
                now = self._clock.now_ms()
                for reading in self._of_node.get(event.node.nodeid, ()):
                    self._readings.take(reading, value, event.value, now)

    def of(self, node: ua.NodeId) -> list[Reading]:
        """The readings of a node."""
        return self._of_node.get(node, [])

    def look_again(self) -> None:
        """After a cut nothing is to be done: the server has kept the values, or sends all anew."""


async def subscribed(client: Client, interval: int) -> Subscription:
    """A subscription that speaks at least every second and outlives a cut of a minute."""
    publishing = min(interval, KEEPALIVE_MS)
    keepalive = max(1, KEEPALIVE_MS // publishing)
    wanted = ua.CreateSubscriptionParameters(
        RequestedPublishingInterval=ua.Duration(publishing),
        RequestedMaxKeepAliveCount=ua.Counter(keepalive),
        RequestedLifetimeCount=ua.Counter(max(3 * keepalive, LIFETIME_MS // publishing)),
        MaxNotificationsPerPublish=ua.Counter(NOTIFICATIONS),
        PublishingEnabled=True,
    )
    return await client.create_subscription(
        wanted, queue_maxsize=20 * NOTIFICATIONS, overflow=OverflowPolicy.DROP_OLDEST
    )


def alive(subscription: Subscription | None, now: int) -> bool:
    """Whether the server has proved, by a notification or a keep-alive, that it watches."""
    if subscription is None or (heard := subscription.last_publish_at) is None:
        return False
    told = subscription.parameters
    every = float(told.RequestedPublishingInterval) * max(1, int(told.RequestedMaxKeepAliveCount))
    return now - heard * 1000 < 2 * max(every, KEEPALIVE_MS) + 500


def node_id(source: Source, address: str) -> ua.NodeId:
    """A node id; ConfigError with the mend when it is none."""
    try:
        return ua.NodeId.from_string(address)
    except (ua.UaError, ValueError) as error:
        raise ConfigError(
            f"source {source.id}: {address!r} is not a node id",
            mend="write it as ns=2;s=NAME or ns=2;i=NUMBER",
        ) from error
