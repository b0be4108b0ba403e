"""The brain's own connection to the factory's MQTT broker, by paho's client in its thread.

Called by the devices' service; whatever comes is handed to the event loop, nothing is decided here.
Publishes are QoS 1 and nothing waits in the client: what was not confirmed is said again above.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import MQTTErrorCode

from factory_brain.application.links.ports import OnMessage
from shared.config import read_secret
from shared.telemetry import logger

log = logger("device_broker")
KEEPALIVE_S = 15
CONFIRM_S = 5.0
MAX_BODY = 16_384
TOPICS = ("ack", "status", "hello", "said")
"""What is heard of a device: `dev/<device>/<one of these>`."""


@dataclass(frozen=True, slots=True)
class BrokerAccess:
    """Where the broker is, and as whom."""

    url: str
    user: str = ""
    password_file: Path | None = None


class DeviceBroker:
    """One connection for as long as the brain lives; it comes back by itself."""

    def __init__(self, access: BrokerAccess, name: str) -> None:
        self._access, self._name = access, name
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._up = False
        self.on_message: OnMessage | None = None
        self.on_up: Callable[[], None] | None = None
        self.dropped = 0

    @property
    def up(self) -> bool:
        """Whether it is connected."""
        return self._up

    async def open(self) -> None:
        """Begin to connect; raises ConfigError when the password cannot be read."""
        self._loop = asyncio.get_running_loop()
        parts = urlsplit(self._access.url)
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=self._name, protocol=MQTTv311,
            clean_session=True,
        )  # fmt: skip
        if self._access.user and self._access.password_file is not None:
            secret = await asyncio.to_thread(
                read_secret, self._access.password_file, "MQTT password"
            )
            client.username_pw_set(self._access.user, secret)
        if parts.scheme in ("mqtts", "ssl"):
            client.tls_set()
        client.reconnect_delay_set(1, 15)
        client.on_connect = self._thread_connect
        client.on_disconnect = lambda *_: self._from_thread(self._on_down)
        client.on_message = self._thread_message
        client.on_publish = lambda *given: self._from_thread(self._confirmed, given[2])
        port = parts.port or (8883 if parts.scheme in ("mqtts", "ssl") else 1883)
        client.connect_async(parts.hostname or "127.0.0.1", port, KEEPALIVE_S)
        self._client = client
        client.loop_start()

    async def close(self) -> None:
        """Go away."""
        client, self._client, self._up = self._client, None, False
        if client is not None:
            client.disconnect()
            await asyncio.to_thread(client.loop_stop)

    async def publish(self, topic: str, body: bytes, *, retain: bool) -> bool:
        """Hand one message to the broker (QoS 1); whether it has confirmed it."""
        client, loop = self._client, self._loop
        if client is None or loop is None or not self._up:
            return False
        info = client.publish(topic, body, qos=1, retain=retain)
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            return False
        confirmed = self._waiting.setdefault(info.mid, loop.create_future())
        try:
            async with asyncio.timeout(CONFIRM_S):
                return await confirmed
        except TimeoutError:
            log.warning("mqtt_not_confirmed", topic=topic)
            return False
        finally:
            self._waiting.pop(info.mid, None)

    def _confirmed(self, mid: int) -> None:
        future = self._waiting.get(mid)
        if future is not None and not future.done():
            future.set_result(True)

    def _thread_connect(
        self, client: Client, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("mqtt_refused", reason=str(reason))
            return
        client.subscribe([(f"dev/+/{topic}", 1) for topic in TOPICS])
        self._from_thread(self._on_connected)

    def _thread_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self._from_thread(self._on_message, message.topic, bytes(message.payload))

    def _from_thread(self, call: Callable[..., None], *args: Any) -> None:
        # The loop may have gone while the client's thread was still ending.
        with contextlib.suppress(RuntimeError):
            assert self._loop is not None
            self._loop.call_soon_threadsafe(call, *args)

    def _on_connected(self) -> None:
        if self._client is None:
            return
        self._up = True
        log.info("mqtt_connected", url=self._access.url)
        if self.on_up is not None:
            self.on_up()

    def _on_down(self) -> None:
        self._up = False
        for future in self._waiting.values():
            if not future.done():
                future.set_result(False)

    def _on_message(self, topic: str, body: bytes) -> None:
        if len(body) > MAX_BODY or self.on_message is None:
            self.dropped += 1
            return
        self.on_message(topic, body)
