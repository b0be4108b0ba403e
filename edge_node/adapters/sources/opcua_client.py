"""OPC UA client: a subscription for each interval, conditions, writes, method calls, browsing.

Run by the driver child. Short cuts are healed inside the session, so that the server's queue is not
lost; what does not heal in time ends `run`, and the child connects anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from asyncua import ua
from asyncua.client.ua_client import UaClientState

from edge_node.adapters.sources.opcua import check_address, event_address, in_namespaces
from edge_node.adapters.sources.opcua_browse import look_into
from edge_node.adapters.sources.opcua_events import EventFeed
from edge_node.adapters.sources.opcua_items import LIFETIME_MS, Items, Readings, alive
from edge_node.adapters.sources.opcua_session import Session, own_thumbprint, session_of
from edge_node.adapters.sources.opcua_writes import Writer
from edge_node.adapters.sources.port import Node, Sink, Source
from edge_node.application.ipc import Write, WriteResult
from shared.clock import Clock
from shared.errors import ConfigError, RetryableTransportError

CHECK_S = 0.5
HEAL_MS = 15_000
"""How long a session may be up with a silent subscription before we start afresh."""
Feed = Items | EventFeed


class OpcuaDriver:
    """One OPC UA server."""

    def __init__(self, source: Source, sink: Sink, clock: Clock) -> None:
        self._source, self._sink, self._clock = source, sink, clock
        self._client: Session | None = None
        self._writer: Writer | None = None
        self._readings = Readings(source, sink, clock)
        self._feeds: list[Feed] = []

    async def connect(self) -> None:
        """Open a session and subscribe every tag."""
        source = self._source
        self._readings = Readings(source, self._sink, self._clock)
        self._check_addresses()
        try:
            client = self._client = await session_of(source, self._clock)
            await client.connect()
            names = await client.get_namespace_array()
            self._writer = Writer(source, client, names)
            self._feeds = self._plan(names)
            for feed in self._feeds:
                await feed.subscribe(client)
        except (OSError, TimeoutError) as error:
            what = str(error) or "it accepts the connection and does not answer"
            raise RetryableTransportError(
                f"OPC UA source {source.id}: no session with {source.url}: {what}\n"
                f"  mend: start the server, or correct the source's url or the edge's source_urls"
                f"{self._own()}"
            ) from error
        except ua.UaError as error:
            raise RetryableTransportError(
                f"OPC UA source {source.id}: {source.url} refused: {error}\n"
                "  mend: check the endpoint's path, security policy, user and password"
                f"{self._own()}"
            ) from error

    def _own(self) -> str:
        """A server that does not trust us mostly just hangs up: say what it should trust."""
        if self._source.options.security == "none" or not (own := own_thumbprint(self._source)):
            return ""
        return f"; the server must trust the edge's certificate {own}"

    def _check_addresses(self) -> None:
        for point in self._source.points:
            if wrong := check_address(point.address, point.kind):
                raise ConfigError(
                    f"source {self._source.id}, tag {point.id}: {wrong}",
                    mend="correct the tag's address",
                )

    def _plan(self, names: Sequence[str]) -> list[Feed]:
        items: dict[int, Items] = {}
        events: dict[str, EventFeed] = {}
        for point in self._source.points:
            reading = self._readings.add(point)
            text = in_namespaces(point.address, names)
            if (address := event_address(text)) is not None:
                if address.node not in events:
                    events[address.node] = EventFeed(
                        address.node, self._readings, self._source, self._clock
                    )
                events[address.node].add(reading, address)
            else:
                every = point.interval_ms
                if every not in items:
                    items[every] = Items(every, self._readings, self._source, self._clock)
                items[every].add(reading, text)
        return [*items.values(), *events.values()]

    async def run(self) -> None:
        """Hand notifications over, and repeat what is quiet while the subscription is alive."""
        try:
            async with asyncio.TaskGroup() as group:
                for feed in self._feeds:
                    group.create_task(feed.follow())
                group.create_task(self._watch())
        except ExceptionGroup as group_error:
            raise _first(group_error) from None

    async def _watch(self) -> None:
        """Show the connection's state, repeat quiet tags, give up when it does not heal."""
        alive_ms, was_alive = self._clock.mono_ms(), True
        numbers = self._numbers()
        while True:
            now = self._clock.mono_ms()
            if self._alive(now):
                alive_ms = now
                if not was_alive or numbers != self._numbers():
                    numbers = self._numbers()
                    for feed in self._feeds:
                        feed.look_again()
                was_alive = True
                self._sink.state("connected", self._describe())
                self._readings.repeat(now)
            else:
                self._fail(now - alive_ms)
                was_alive = was_alive and now - alive_ms <= 2 * CHECK_S * 1000
            await asyncio.sleep(CHECK_S)

    def _numbers(self) -> list[Any]:
        """The server's ids of our subscriptions: others after it has lost them."""
        return [f.subscription.subscription_id for f in self._feeds if f.subscription is not None]

    def _describe(self) -> str:
        faults = [feed.fault for feed in self._feeds if feed.fault]
        return "; ".join(
            part for part in (self._source.url, self._readings.describe(), *faults) if part
        )

    def _fail(self, silent_ms: int) -> None:
        if silent_ms > self._patience():
            raise RetryableTransportError(
                f"OPC UA source {self._source.id}: {self._source.url} has been silent for "
                f"{silent_ms // 1000} s; connecting anew"
            )
        if silent_ms > 2 * CHECK_S * 1000:
            self._sink.state(
                "failed",
                f"OPC UA source {self._source.id}: {self._source.url} does not answer\n"
                "  mend: check that the server runs and that this machine reaches it",
            )

    def _patience(self) -> int:
        """While the wire is cut, the session is worth healing as long as the server keeps it."""
        return HEAL_MS if self._up() else LIFETIME_MS

    def _up(self) -> bool:
        return self._client is not None and (self._client.uaclient.state is UaClientState.CONNECTED)

    def _alive(self, now: int) -> bool:
        watched = [feed.subscription for feed in self._feeds if feed.subscription is not None]
        return self._up() and all(alive(subscription, now) for subscription in watched)

    async def write(self, order: Write) -> WriteResult:
        """Write once with the node's own type and read back, or call a method once."""
        if self._writer is None or not self._up():
            return WriteResult(id=order.id, outcome="failed", detail="not connected; not sent")
        result, node, read = await self._writer.perform(order)
        if node is not None and read is not None:
            raw = read.Value.Value if read.Value is not None else None
            now = self._clock.now_ms()
            for feed in self._feeds:
                for reading in feed.of(node.nodeid):
                    self._readings.take(reading, read, raw, now)
        return result

    async def browse(self, path: str) -> list[Node]:
        """What lies below a node; "" is the folder of objects."""
        if self._client is None:
            raise RetryableTransportError(f"OPC UA source {self._source.id}: not connected")
        return await look_into(self._client, self._source, path)

    async def close(self) -> None:
        """Close the session; the server forgets the subscriptions."""
        client, self._client, self._writer = self._client, None, None
        if client is not None:
            try:
                await asyncio.wait_for(client.disconnect(), 1.5)
            finally:
                client.disconnect_socket()


def _first(error: Exception) -> Exception:
    """The fault itself, of the many wrappings that task groups put around it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
