"""A plant's own MQTT broker: subscribes for the tags, publishes orders, keeps the session.

Run by the driver child. A message is confirmed to the broker after its values have been handed
over; an order is sent once.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_node.adapters.sources.mqtt_broker import MqttBrokerOptions, Place, Target, parse_write
from edge_node.adapters.sources.mqtt_link import Link
from edge_node.adapters.sources.mqtt_options import Letter
from edge_node.adapters.sources.mqtt_payloads import Payloads
from edge_node.adapters.sources.mqtt_topics import covers, plan
from edge_node.adapters.sources.port import BAD, Node, Point, Sink, Source, emit
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock

WATCH_S = 1.0
BROWSE_S = 2.0
MAX_TOPICS = 5_000


@dataclass(slots=True)
class _ReadBack:
    """An order that waits for what its tag says next."""

    index: int
    answer: asyncio.Future[Any]


class MqttBrokerDriver:
    """One connection to one broker."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: MqttBrokerOptions = source.options
        self._payloads = Payloads(source.id, source.points, self._options, sink, clock)
        self._link = Link(
            source, self._options, self._hear, expiry_s=self._options.session_expiry // 1000
        )
        self._refused: dict[str, str] = {}
        self._readback: _ReadBack | None = None
        self._seen: dict[str, bytes] | None = None

    async def connect(self) -> None:
        """Be accepted by the broker and subscribe to what the tags need."""
        presence = None if self._source.settings.get("trial") else self._options.presence
        will = birth = None
        if presence is not None:
            will, birth = (
                Letter(presence.topic, word.encode(), presence.qos, presence.retain)
                for word in (presence.offline, presence.online)
            )
        await self._link.open(will, self._options.clean_start)
        self._refused = await self._link.subscribe(self._subscriptions())
        for filter_ in self._refused:
            self._lose(filter_)
        if birth is not None:
            self._link.say(birth)
        self._sink.state("connected", self._describe())

    def _subscriptions(self) -> dict[str, int]:
        given = self._options.subscriptions
        topics = self._payloads.topics
        if self._source.settings.get("trial"):
            # A member of a shared group would take messages away from the running edge.
            given = tuple(one for one in given if not one.shared)
        wanted = plan(topics, {one.filter: one.qos for one in given}, self._options.qos)
        names = {one.filter: one.name for one in given}
        return {names.get(filter_, filter_): qos for filter_, qos in wanted.items()}

    def _lose(self, name: str) -> None:
        """Tags whose subscription was refused are bad, not silent."""
        filter_ = name.split("/", 2)[2] if name.startswith("$share/") else name
        for topic in self._payloads.topics:
            if covers(filter_, topic):
                for point in self._payloads.points_of(topic):
                    emit(self._sink, point, self._clock.now_ms(), None, BAD)

    def _hear(self, topic: str, payload: bytes, retained: bool) -> None:
        if self._seen is not None and len(self._seen) < MAX_TOPICS:
            self._seen[topic] = payload
        waiting = self._readback
        if waiting is not None:
            self._payloads.last_values.pop(waiting.index, None)
        self._payloads.take(topic, payload, retained)
        if waiting is None or waiting.answer.done():
            return
        if waiting.index in self._payloads.last_values:
            waiting.answer.set_result(self._payloads.last_values[waiting.index])

    async def run(self) -> None:
        """Watch the connection; messages arrive by themselves."""
        while True:
            self._sink.state("connected", self._describe())
            await self._link.watch(WATCH_S)

    def _describe(self) -> str:
        told = [self._source.url]
        told += [f"not subscribed to {name}: {why}" for name, why in self._refused.items()][:5]
        if self._payloads.malformed:
            count, last = self._payloads.malformed, self._payloads.last_fault
            told.append(f"malformed messages: {count}, the last {last}")
        return "; ".join(told)

    async def write(self, order: Write) -> WriteResult:
        """Publish once with QoS 1: done when the broker has confirmed it."""
        try:
            target = parse_write(order.address)
            body = payload_of(order.value)
            point = self._point_of(target)
        except (ValueError, msgspec.EncodeError) as error:
            return WriteResult(id=order.id, outcome="failed", detail=f"not sent: {error}")
        loop = asyncio.get_running_loop()
        until = loop.time() + order.timeout_ms / 1000
        if point is not None:
            self._readback = _ReadBack(point.index, loop.create_future())
        try:
            letter = Letter(target.topic, body, 1, target.retain)
            outcome, why = await self._link.publish(letter, order.timeout_ms / 1000)
            if outcome != "done" or self._readback is None:
                return WriteResult(id=order.id, outcome=outcome, detail=why)
            return await self._read_back(order, self._readback, until - loop.time(), why)
        finally:
            self._readback = None

    async def _read_back(
        self, order: Write, waiting: _ReadBack, seconds: float, why: str
    ) -> WriteResult:
        try:
            value = await asyncio.wait_for(waiting.answer, max(0.0, seconds))
        except TimeoutError:
            detail = "confirmed by the broker; its tag has not said anything since"
            return WriteResult(id=order.id, outcome="done", detail=why or detail)
        shown = value if isinstance(value, bool | int | float | str) else None
        return WriteResult(id=order.id, outcome="done", detail=why, readback=shown)

    def _point_of(self, target: Target) -> Point | None:
        wanted: Place | None = target.readback
        if wanted is None:
            return None
        address = f"{wanted.topic}#{wanted.member}" if wanted.member else wanted.topic
        for point in self._source.points:
            if point.address == address:
                return point
        raise ValueError(f"no tag of this source has the address {address!r} to be read back")

    async def browse(self, path: str) -> list[Node]:
        """The topics that are heard within two seconds, and the members of their bodies."""
        self._seen = {}
        everything = f"{path}/#" if path else "#"
        refused = await self._link.subscribe({everything: 0})
        if refused:
            raise self._link.fault(f"not subscribed to {everything}", refused[everything])
        try:
            await self._link.watch(BROWSE_S)
            found = self._seen
        finally:
            self._seen = None
        return [node for topic, data in sorted(found.items()) for node in _nodes(topic, data)]

    async def close(self) -> None:
        """Disconnect; the broker keeps the session."""
        presence, last = self._options.presence, None
        if presence is not None and not self._source.settings.get("trial"):
            last = Letter(presence.topic, presence.offline.encode(), presence.qos, presence.retain)
        await self._link.close(last)


def payload_of(value: Any) -> bytes:
    """A value on the wire: objects and lists as JSON, texts as they are, `42`, `true`."""
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return msgspec.json.encode(value)


def _nodes(topic: str, data: bytes) -> list[Node]:
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        text = data[:60].decode(errors="replace")
        return [Node(topic, topic, "text", value=text)]
    if not isinstance(body, dict | list):
        return [Node(topic, topic, _type(body), value=body)]
    return list(_members(topic, "", body, 4))


def _members(topic: str, path: str, body: Any, depth: int) -> list[Node]:
    if isinstance(body, dict | list) and depth:
        pairs = body.items() if isinstance(body, dict) else enumerate(body[:50])
        return [
            node for name, value in pairs
            for node in _members(topic, f"{path}/{_escaped(name)}", value, depth - 1)
        ]  # fmt: skip
    return [Node(f"{topic}#{path}", topic, _type(body), value=body)]


def _escaped(name: Any) -> str:
    return str(name).replace("~", "~0").replace("/", "~1")


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else "string"
