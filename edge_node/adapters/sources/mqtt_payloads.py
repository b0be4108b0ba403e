"""Values out of a broker's messages: JSON, plain numbers and texts, columnar MessagePack.

Called by `mqtt_broker_client` for each message. Raises nothing: what cannot be read is counted and
told; values go to the sink alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from edge_node.adapters.sources.json_values import MISSING, as_raw, look_up, parse_path, parse_time
from edge_node.adapters.sources.mqtt_batch import BatchReader
from edge_node.adapters.sources.mqtt_broker import MqttBrokerOptions, Place, parse_address
from edge_node.adapters.sources.mqtt_topics import Routes
from edge_node.adapters.sources.port import BAD, GOOD, UNCERTAIN, Point, Sink, emit
from shared.clock import Clock
from shared.errors import ConfigError, ContractError

MAX_LEAD_MS = 60_000
"""A time that is further ahead than this cannot be true."""
_MAPS = frozenset({*range(0x80, 0x90), 0xDE, 0xDF})
"""First byte of a MessagePack map; no text and no JSON begins with it."""


class _Topic:
    """What is wanted of one topic, or of a filter."""

    def __init__(self, members: list[tuple[Point, Place]]) -> None:
        self.plain = [point for point, place in members if not place.member]
        self.members = [(point, place.path) for point, place in members if place.member]
        self.batch = BatchReader((p.member, point) for point, p in members if p.member)


class Payloads:
    """The points of a source and how messages reach them."""

    def __init__(
        self, source: str, points: tuple[Point, ...], options: MqttBrokerOptions, sink: Sink,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._options, self._sink, self._clock = options, sink, clock
        self._time = parse_path(options.time) if options.time else None
        found: dict[str, list[tuple[Point, Place]]] = {}
        for point in points:
            try:
                place = parse_address(point.address)
            except ValueError as error:
                raise ConfigError(
                    f"source {source}, tag {point.id}: {error}", mend="correct the tag's address"
                ) from error
            found.setdefault(place.topic, []).append((point, place))
        self._topics = {topic: _Topic(members) for topic, members in found.items()}
        self._routes = Routes(self._topics)
        self.malformed = 0
        self.last_fault = ""
        self.last_values: dict[int, Any] = {}
        """Newest raw value of each point, as the device sent it; what is read back comes of it."""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics and filters of all points."""
        return tuple(self._topics)

    def points_of(self, topic: str) -> list[Point]:
        """The points that a filter or topic brings."""
        wanted = self._topics.get(topic)
        return [] if wanted is None else [*wanted.plain, *(p for p, _ in wanted.members)]

    def take(self, topic: str, data: bytes, retained: bool) -> None:
        """Hand on what a message says."""
        wanted = [self._topics[name] for name in self._routes.of(topic)]
        if not wanted:
            return
        if len(data) > self._options.max_message:
            self._refuse(topic, f"{len(data)} bytes exceed max_message")
            return
        for part in wanted:
            if not data:  # a retained value that was deleted
                for point in (*part.plain, *(p for p, _ in part.members)):
                    self._emit(point, self._clock.now_ms(), None, BAD)
            elif part.members and data[0] in _MAPS:
                self._take_batch(topic, part, data)
            else:
                self._take_body(topic, part, data, retained)

    def _take_batch(self, topic: str, part: _Topic, data: bytes) -> None:
        now = self._clock.now_ms()
        try:
            part.batch.read(data, self._sink, 0, now + MAX_LEAD_MS, now)
        except ContractError as error:
            self._refuse(topic, str(error))

    def _take_body(self, topic: str, part: _Topic, data: bytes, retained: bool) -> None:
        now, body = self._clock.now_ms(), MISSING
        if part.members or (self._time is not None and data[0] in b"{["):
            try:
                body = msgspec.json.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                if part.members:
                    self._refuse(topic, f"no JSON: {error}")
        stamp = None
        if self._time is not None and isinstance(body, dict | list):
            stamp = parse_time(look_up(body, self._time), self._options.time_unit)
        if stamp is not None and stamp > now + MAX_LEAD_MS:
            stamp = None
        quality = GOOD
        if stamp is None and retained:
            if self._options.retained == "ignore":
                return
            quality = UNCERTAIN if self._options.retained == "uncertain" else GOOD
        moment = now if stamp is None else stamp
        for point in part.plain:
            text = data.decode(errors="replace").strip()
            self._emit(point, moment, as_raw(text, point.kind), quality)
        if body is not MISSING:
            for point, path in part.members:
                value = look_up(body, path)
                if value is not MISSING:  # a message need not name all
                    self._emit(point, moment, as_raw(value, point.kind), quality)

    def _emit(self, point: Point, moment: int, raw: Any, quality: int) -> None:
        self.last_values[point.index] = raw
        emit(self._sink, point, moment, raw, quality)

    def _refuse(self, topic: str, why: str) -> None:
        self.malformed += 1
        self.last_fault = f"{topic}: {why}"
