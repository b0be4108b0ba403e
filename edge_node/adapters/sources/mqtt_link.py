"""A connection to an MQTT broker on the driver's own loop: paho's client without its thread.

Used by `mqtt_broker_client` and `sparkplug_client`. Confirms a message after it has been heard;
never sends an unconfirmed order a second time.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any

from paho.mqtt.client import (
    MQTT_CLEAN_START_FIRST_ONLY,
    Client,
    MQTTMessage,
    MQTTv5,
    MQTTv311,
)
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_node.adapters.sources.mqtt_options import Letter, LinkOptions, client_id, endpoint
from edge_node.adapters.sources.mqtt_tls import TlsContext, dial_fault, tls_context
from edge_node.adapters.sources.mqtt_words import refusal
from edge_node.adapters.sources.port import Source
from edge_node.adapters.sources.worker import Worker
from shared.errors import RetryableTransportError

BURST = 64
"""Messages that are taken in one turn of the loop."""
GOODBYE_S = 0.5
Hear = Callable[[str, bytes, bool], None]
"""(topic, payload, retained)."""


class _Receiver(Client):
    """paho's client, which also ends a QoS 2 delivery whose end was lost with the last connection.

    The broker then says PUBREL again, of a message that was heard long ago. Confirming by hand,
    paho answers nothing to that, though the receiver must (MQTT 4.3.3): the broker would hold a
    place of its window for it for ever, and after as many cuts as that has places send no more.
    """

    def _handle_pubrel(self) -> MQTTErrorCode:
        mid = int.from_bytes(bytes(self._in_packet["packet"][:2]), "big")
        waits = mid in self._in_messages
        done = super()._handle_pubrel()
        return done if waits or done else self.ack(mid, 2)


class Link:
    """One connection after the other, by one client that keeps its half of the session."""

    def __init__(self, source: Source, options: LinkOptions, hear: Hear, expiry_s: int = 0) -> None:
        self._source, self._options, self._hear = source, options, hear
        self._expiry_s = 0 if source.settings.get("trial") else expiry_s
        self._v5 = options.version == "5"
        self._client: Client | None = None
        self._tls: TlsContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        self._connack: asyncio.Future[Any] | None = None
        self._lost: asyncio.Future[tuple[str, str]] | None = None
        self._waiting: dict[tuple[str, int], asyncio.Future[Any]] = {}
        self._taken = 0

    @property
    def up(self) -> bool:
        """Whether the broker is there."""
        return self._lost is not None and not self._lost.done()

    def fault(self, what: str, mend: str) -> RetryableTransportError:
        """An error that names this broker and the mend."""
        source = self._source
        return RetryableTransportError(
            f"{source.driver} source {source.id} at {source.url}: {what}\n  mend: {mend}"
        )

    async def open(self, will: Letter | None, clean: bool) -> None:
        """Connect and be accepted; raises what is wrong in words."""
        host, port, secure = endpoint(self._source)
        clean = clean or bool(self._source.settings.get("trial"))
        client = self._client = self._client or self._make(clean, secure)
        if will is not None:
            client.will_set(will.topic, will.payload, will.qos, will.retain)
        # What was not confirmed is unknown by now; after minutes it would be a danger.
        client.drop_out_messages()
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()
        self._connack, self._lost = self._loop.create_future(), None
        client.connect_async(
            host, port, max(1, self._options.keepalive // 1000),
            clean_start=clean if self._v5 else MQTT_CLEAN_START_FIRST_ONLY,
            properties=self._session() if self._v5 else None,
        )  # fmt: skip
        worker = Worker(f"mqtt {self._source.id}")
        try:
            await worker.call(self._options.timeout / 1000 + 0.5, client.reconnect)
        except (OSError, ValueError, TimeoutError) as error:
            if self._tls is not None and not worker.stuck:
                self._tls.drop()
            raise self.fault(*dial_fault(error, secure)) from error
        finally:
            worker.end()
            if worker.stuck:
                self._client = None  # still in the hands of its thread
        self._lost = self._loop.create_future()
        self._attach(client)
        await self._accepted(self._connack, self._lost)

    def _session(self) -> Properties:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = self._expiry_s
        return properties

    async def _accepted(
        self, connack: asyncio.Future[Any], lost: asyncio.Future[tuple[str, str]]
    ) -> None:
        await asyncio.wait(
            [connack, lost], timeout=self._options.timeout / 1000,
            return_when=asyncio.FIRST_COMPLETED,
        )  # fmt: skip
        if connack.done():
            code = connack.result()
            if code.value >= 128:
                what, mend = refusal(code.value, code.getName())
                raise self.fault(f"the broker refuses: {what}", mend)
        elif lost.done():
            what = "it closed the connection before it answered"
            raise self.fault(what, "check that an MQTT broker listens there, and its TLS port")
        else:
            what = "connected, but no answer in time"
            raise self.fault(what, "check that an MQTT broker listens there, and its TLS port")

    def _make(self, clean: bool, secure: bool) -> Client:
        source, options = self._source, self._options
        client = _Receiver(
            CallbackAPIVersion.VERSION2, client_id(source, options),
            clean_session=None if self._v5 else clean,
            protocol=MQTTv5 if self._v5 else MQTTv311,
            reconnect_on_failure=False, manual_ack=True,
        )  # fmt: skip
        client.connect_timeout = options.timeout / 1000
        client.max_inflight_messages_set(0)  # nothing waits here, to be sent at some later time
        if user := str(source.settings.get("user") or ""):
            client.username_pw_set(user, source.password() or None)
        if secure:
            self._tls = tls_context(source, options)
            client.tls_set_context(self._tls)
        client.on_connect = lambda *given: _settle(self._connack, given[3])
        client.on_disconnect = lambda *given: self._on_lost(given[2], given[3])
        client.on_message = lambda *given: self._on_message(given[2])
        client.on_publish = lambda *given: self._answer("publish", given[2], given[3])
        client.on_subscribe = lambda *given: self._answer("subscribe", given[2], given[3])
        client.on_socket_close = lambda *given: self._detach(given[2])
        client.on_socket_register_write = lambda *given: self._want_write(given[2], True)
        client.on_socket_unregister_write = lambda *given: self._want_write(given[2], False)
        return client

    def _attach(self, client: Client) -> None:
        wire: Any = client.socket()
        if wire is None or self._loop is None:
            return
        self._loop.add_reader(wire, self._read)
        if client.want_write():
            self._loop.add_writer(wire, client.loop_write)

    def _detach(self, wire: Any) -> None:
        # The thread that dials closes old sockets, which the loop has let go of before.
        if self._loop is not None and threading.get_ident() == self._thread and wire.fileno() >= 0:
            self._loop.remove_reader(wire)
            self._loop.remove_writer(wire)

    def _want_write(self, wire: Any, wanted: bool) -> None:
        if self._loop is None or self._client is None or threading.get_ident() != self._thread:
            return
        if wanted:
            self._loop.add_writer(wire, self._client.loop_write)
        else:
            self._loop.remove_writer(wire)

    def _read(self) -> None:
        client, loop = self._client, self._loop
        for _ in range(BURST):
            wire: Any = client.socket() if client is not None else None
            if client is None or wire is None:
                return
            before = self._taken
            if client.loop_read():
                return
            # What TLS has deciphered already makes no socket readable.
            pending = isinstance(wire, ssl.SSLSocket) and wire.fileno() >= 0 and wire.pending()
            if self._taken == before and not pending:
                return
        if loop is not None:
            loop.call_soon(self._read)

    def _on_message(self, message: MQTTMessage) -> None:
        self._taken += 1
        try:
            self._hear(message.topic, bytes(message.payload), message.retain)
        except Exception as error:  # shown as the source's failure; the broker keeps the message
            self._end(f"a message cannot be taken: {error!r}", "report this")
            return
        if message.qos and self._client is not None:
            self._client.ack(message.mid, message.qos)

    def _on_lost(self, flags: Any, code: Any) -> None:
        if flags.is_disconnect_packet_from_server and code.value >= 128:
            self._end(*refusal(code.value, code.getName()))
        else:
            self._end("the connection is lost", "check the broker and the network to it")

    def _end(self, what: str, mend: str) -> None:
        _settle(self._lost, (what, mend))
        for waiting in self._waiting.values():
            _settle(waiting, None)

    def _answer(self, kind: str, mid: int, codes: Any) -> None:
        _settle(self._waiting.get((kind, mid)), codes)

    async def _reply(self, kind: str, mid: int, seconds: float) -> Any:
        """The broker's answer; None when it does not come."""
        assert self._loop is not None
        answer = self._waiting[kind, mid] = self._loop.create_future()
        try:
            return await asyncio.wait_for(answer, seconds)
        except TimeoutError:
            return None
        finally:
            del self._waiting[kind, mid]

    async def subscribe(self, filters: Mapping[str, int]) -> dict[str, str]:
        """Subscribe to all; what was refused, in words with the mend."""
        if not filters:
            return {}
        assert self._client is not None
        names = list(filters)
        wanted: Any = [
            (name, SubscribeOptions(qos=filters[name]) if self._v5 else filters[name])
            for name in names
        ]
        _, mid = self._client.subscribe(wanted)
        codes = await self._reply("subscribe", mid or 0, self._options.timeout / 1000)
        if codes is None:
            raise self.fault("no answer to the subscriptions", "look into the broker's log")
        refused = {}
        for name, code in zip(names, codes, strict=True):
            if code.value >= 128:
                what, mend = refusal(code.value, code.getName())
                refused[name] = f"{what}: {mend}"
        return refused

    async def publish(self, letter: Letter, seconds: float) -> tuple[str, str]:
        """Send once with QoS 1; (done, failed or unknown; why)."""
        if not self.up or self._client is None:
            return "failed", "not connected; not sent"
        properties = None
        if self._v5 and not letter.retain:
            # What a broker hands over later than this is no order any more.
            properties = Properties(PacketTypes.PUBLISH)
            properties.MessageExpiryInterval = max(1, round(seconds))
        info = self._client.publish(
            letter.topic, letter.payload, max(1, letter.qos), letter.retain, properties
        )
        code = await self._reply("publish", info.mid, seconds)
        if code is None:
            return "unknown", "sent; the broker has not confirmed it"
        if code.value >= 128:
            what, mend = refusal(code.value, code.getName())
            return "failed", f"the broker refuses: {what}; mend: {mend}"
        nobody = code.value == 16
        return "done", "taken by the broker; nobody listens to it" if nobody else ""

    def say(self, letter: Letter) -> None:
        """Send without waiting."""
        if self.up and self._client is not None:
            self._client.publish(letter.topic, letter.payload, letter.qos, letter.retain)

    async def watch(self, seconds: float) -> None:
        """Care for the keep-alive for so long; raises when the broker is lost."""
        assert self._lost is not None
        if self._client is not None:
            self._client.loop_misc()
        await asyncio.wait([self._lost], timeout=seconds)
        if self._lost.done():
            raise self.fault(*self._lost.result())

    async def close(self, last: Letter | None = None) -> None:
        """Say goodbye where somebody hears it; the session stays with the broker."""
        client, lost = self._client, self._lost
        if client is not None and lost is not None and not lost.done():
            if last is not None:
                await self.publish(last, GOODBYE_S)
            client.disconnect()
            await asyncio.wait([lost], timeout=GOODBYE_S)
        self._lost = None
        wire: Any = client.socket() if client is not None else None
        if wire is not None:  # a broker that does not take the goodbye
            self._detach(wire)
            wire.close()


def _settle(future: asyncio.Future[Any] | None, result: Any) -> None:
    if future is not None and not future.done():
        future.set_result(result)
