"""Sparkplug B host application: subscribes to a group, tells its STATE, feeds tags, sends commands.

Run by the driver child. What a node has not denied is confirmed while it is alive; after a death
its tags are bad at once. A command is done when the node reports the value, else unknown.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_node.adapters.sources.mqtt_link import Link
from edge_node.adapters.sources.mqtt_options import Letter
from edge_node.adapters.sources.port import BAD, UNCERTAIN, Node, Point, Sink, Source, emit
from edge_node.adapters.sources.sparkplug import (
    NAMESPACE,
    Place,
    SparkplugOptions,
    host_id,
    parse_address,
)
from edge_node.adapters.sources.sparkplug_births import Definition, Reading
from edge_node.adapters.sources.sparkplug_codec import decode
from edge_node.adapters.sources.sparkplug_orders import Waiting, checked, command
from edge_node.adapters.sources.sparkplug_session import (
    REBIRTH,
    AskRebirth,
    Born,
    Doubt,
    Effect,
    Gone,
    Host,
    Values,
)
from edge_node.adapters.sources.sparkplug_values import NAMES
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError, ContractError

WATCH_S = 0.5
CONFIRM_MS = 2_000
BROWSE_S = 2.5
KINDS = frozenset({"NBIRTH", "NDEATH", "NDATA", "DBIRTH", "DDEATH", "DDATA"})


@dataclass(slots=True)
class _Tag:
    """A point and what is known of it."""

    point: Point
    reading: Reading | None = None
    heard_ms: int = 0
    absent: bool = False
    """The last birth does not name its metric."""


class SparkplugDriver:
    """One host application at one broker."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._options: SparkplugOptions = source.options
        self._trial = bool(source.settings.get("trial"))
        self._state_topic = f"{NAMESPACE}/STATE/{host_id(source)}"
        self._link = Link(source, self._options, self._hear)
        self._tags = self._arrange()
        self._nodes = {node for node, _ in self._tags}
        self._browsing = False
        self._host = self._new_host()
        self._birth: Letter | None = None
        self._order: Waiting | None = None
        self._malformed = self._historical = 0

    def _new_host(self) -> Host:
        return Host(self._options.reorder_timeout, self._options.rebirth_interval)

    def _arrange(self) -> dict[tuple[str, str], dict[str, list[_Tag]]]:
        found: dict[tuple[str, str], dict[str, list[_Tag]]] = {}
        for point in self._source.points:
            try:
                place = parse_address(point.address)
            except ValueError as error:
                raise ConfigError(
                    f"source {self._source.id}, tag {point.id}: {error}",
                    mend="correct the tag's address",
                ) from error
            metrics = found.setdefault((place.node, place.device), {})
            metrics.setdefault(place.metric, []).append(_Tag(point))
        return found

    async def connect(self) -> None:
        """Session, subscriptions, STATE in this order; then ask the nodes for their births."""
        now = self._clock.now_ms()
        self._host, self._order = self._new_host(), None
        will = None if self._trial else self._state(False, now)
        await self._link.open(will, clean=True)
        filters = {f"{NAMESPACE}/{self._options.group}/#": 1, self._state_topic: 1}
        refused = await self._link.subscribe(filters)
        if refused:
            name, why = next(iter(refused.items()))
            raise self._link.fault(f"not subscribed to {name}", why)
        self._birth = None if self._trial else self._state(True, now)
        if self._birth is not None:
            outcome, why = await self._link.publish(self._birth, self._options.timeout / 1000)
            if outcome != "done":
                raise self._link.fault(f"STATE was not taken: {why}", "let the broker permit it")
        for key in self._tags:
            self._lose(key, now)
        for node in sorted(self._nodes):
            self._act(self._host.want(node, "this host has just come", self._clock.mono_ms()))

    def _state(self, online: bool, at: int) -> Letter:
        body = msgspec.json.encode({"online": online, "timestamp": at})
        return Letter(self._state_topic, body, qos=1, retain=True)

    async def run(self) -> None:
        """Watch the connection, the waiting messages and the nodes."""
        while True:
            self._act(self._host.tick(self._clock.now_ms(), self._clock.mono_ms()))
            self._confirm()
            self._sink.state("connected", self._describe())
            await self._link.watch(WATCH_S)

    def _hear(self, topic: str, data: bytes, retained: bool) -> None:
        if topic == self._state_topic:
            self._hear_state(data)
            return
        parts = topic.split("/")
        if retained or len(parts) not in (4, 5) or parts[2] not in KINDS:
            return  # what was left behind says nothing about now
        kind, node, device = parts[2], parts[3], parts[4] if len(parts) == 5 else ""
        if (kind[0] == "D") != bool(device) or not (self._browsing or node in self._nodes):
            return
        try:
            payload = decode(data)
        except ContractError:
            self._malformed += 1
            return
        self._act(
            self._host.take(
                node, kind, device, payload, self._clock.now_ms(), self._clock.mono_ms()
            )
        )

    def _hear_state(self, data: bytes) -> None:
        try:
            body = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if self._birth is not None and isinstance(body, dict) and body.get("online") is False:
            self._link.say(self._birth)  # an old will of ours: we are here

    def _act(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Values(node, device, rows):
                    self._take((node, device), rows)
                case Born(node, device, names):
                    for metric, tags in self._tags.get((node, device), {}).items():
                        for tag in tags:
                            tag.absent = metric not in names
                            if tag.absent:
                                self._bad(tag, self._clock.now_ms())
                case Gone(node, device, at):
                    self._lose((node, device), at)
                case Doubt(node):
                    self._doubt(node)
                case AskRebirth(node, _):
                    self._command(Place(node, "", REBIRTH), Definition(REBIRTH, 11), True)

    def _take(self, key: tuple[str, str], rows: tuple[Reading, ...]) -> None:
        wanted = self._tags.get(key, {})
        for row in rows:
            if self._order is not None and not row.historical:
                self._order.see(key, row)
            for tag in wanted.get(row.name, ()):
                last = tag.reading
                if row.historical and last is not None and row.at <= last.at:
                    self._historical += 1  # of the past: it must not stand for the present
                    continue
                tag.reading, tag.heard_ms = row, self._clock.mono_ms()
                emit(self._sink, tag.point, row.at, row.value, row.quality)

    def _bad(self, tag: _Tag, at: int) -> None:
        tag.reading = None
        emit(self._sink, tag.point, at, None, BAD)

    def _lose(self, key: tuple[str, str], at: int) -> None:
        for tags in self._tags.get(key, {}).values():
            for tag in tags:
                self._bad(tag, at)

    def _doubt(self, node: str) -> None:
        now = self._clock.now_ms()
        for (name, _), metrics in self._tags.items():
            for tag in (t for tags in metrics.values() if name == node for t in tags):
                row = tag.reading
                if row is not None and row.quality != BAD:
                    emit(self._sink, tag.point, now, row.value, UNCERTAIN)

    def _confirm(self) -> None:
        """A living node reports changes only: what it has not reported has not changed."""
        mono, now = self._clock.mono_ms(), self._clock.now_ms()
        for (name, device), metrics in self._tags.items():
            node = self._host.nodes.get(name)
            if node is None or node.known(device) is None or node.waiting:
                continue
            for tag in (t for tags in metrics.values() for t in tags):
                if tag.reading is not None and mono - tag.heard_ms >= CONFIRM_MS:
                    tag.heard_ms = mono
                    emit(self._sink, tag.point, now, tag.reading.value, tag.reading.quality)

    def _describe(self) -> str:
        told = [self._source.url]
        if away := sorted(n for n in self._nodes if not self._host.node(n).born):
            told.append(f"no birth yet of {', '.join(away[:5])}: check these edge nodes")
        absent = sorted(
            tag.point.address for metrics in self._tags.values() for tags in metrics.values()
            for tag in tags if tag.absent
        )  # fmt: skip
        if absent:
            told.append(f"not in the birth: {', '.join(absent[:5])}: correct these addresses")
        if self._malformed:
            told.append(f"malformed messages: {self._malformed}")
        if self._historical:
            told.append(f"values of the past, not taken: {self._historical}")
        return "; ".join(told)

    def _command(self, place: Place, metric: Definition, value: Any) -> None:
        self._link.say(command(self._options.group, place, metric, value, self._clock.now_ms()))

    async def write(self, order: Write) -> WriteResult:
        """Send one command; done when the node reports the value."""
        if not self._link.up:
            return WriteResult(id=order.id, outcome="failed", detail="not connected; not sent")
        try:
            place, metric = checked(self._host, order)
        except ValueError as error:
            return WriteResult(id=order.id, outcome="failed", detail=f"not sent: {error}")
        waiting = Waiting(place, order.value, asyncio.get_running_loop().create_future())
        self._order = waiting
        try:
            self._command(place, metric, order.value)
            value = await asyncio.wait_for(waiting.answer, order.timeout_ms / 1000)
        except TimeoutError:
            told = "" if waiting.shown is None else f"; it reports {waiting.shown!r}"
            detail = f"sent; {place.node} has not reported the value{told}"
            return WriteResult(
                id=order.id, outcome="unknown", detail=detail, readback=waiting.shown
            )
        finally:
            self._order = None
        return WriteResult(id=order.id, outcome="done", readback=value)

    async def browse(self, path: str) -> list[Node]:
        """The nodes, devices and metrics of all births that are heard within three seconds."""
        await self._listen_for_births()
        name, _, device = path.partition("/")
        if not path:
            return [Node("", n, "edge node", True, path=n) for n in sorted(self._host.nodes)]
        node = self._host.nodes.get(name)
        if node is None:
            return []
        below = [] if device else [
            Node("", d, "device", True, path=f"{name}/{d}") for d in sorted(node.devices)
        ]  # fmt: skip
        known = node.known(device) or {}
        return below + [
            Node(f"{path}:{m.name}", m.name, NAMES.get(m.datatype, "")) for m in known.values()
        ]

    async def _listen_for_births(self) -> None:
        loop, self._browsing = asyncio.get_running_loop(), True
        end = loop.time() + BROWSE_S
        while loop.time() < end:
            self._act(self._host.tick(self._clock.now_ms(), self._clock.mono_ms()))
            await self._link.watch(WATCH_S)

    async def close(self) -> None:
        """Tell the death before leaving."""
        birth, self._birth = self._birth, None
        last = None if birth is None else self._state(False, self._clock.now_ms())
        await self._link.close(last)
