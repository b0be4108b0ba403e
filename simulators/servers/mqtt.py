"""The bottling line as an MQTT 3.1.1 device: telemetry, retained state, last will, commands.

Opened and published by `simulators.simulation`; never decides what the plant does. The client
library runs its own thread; everything that touches the plant is handed to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage, MQTTv311
from paho.mqtt.enums import MQTTErrorCode

from shared.clock import Clock
from shared.telemetry import logger
from simulators.equipment.model import Value, number
from simulators.plant import Plant

log = logger("mqtt_device")

TELEMETRY = ("speed", "fill_level", "jam", "reject_rate", "motor_temp", "crate")
KEEPALIVE_S = 10
MAX_BACKOFF_S = 15
MAX_BODY = 16_384
STATE_EVERY_MS = 300_000
"""The retained state is said again this often, so that a watcher may call a silent one stale."""
_VALUE_KEYS = ("value", "speed", "bpm", "on")
"""Names under which a command's argument is understood; `value` is the documented one."""


@dataclass(frozen=True, slots=True)
class MqttAccess:
    """Where the device connects and as whom."""

    host: str
    port: int
    device: str
    username: str = ""
    password_file: Path | None = None


@dataclass(frozen=True, slots=True)
class _Command:
    """A command as decoded from the wire; `signal` empty when it cannot be carried out."""

    id: str
    op: str
    signal: str
    value: Value | None
    expires: float | None = None
    """UTC milliseconds after which the sender no longer wants it done."""


def decode_command(body: bytes) -> _Command:
    """Read a command; whatever is malformed comes back without a signal, never as an error."""
    try:
        document = json.loads(body)
    except ValueError:
        return _Command("", "malformed", "", None)
    if not isinstance(document, dict):
        return _Command("", "malformed", "", None)
    op, args = str(document.get("op", "")), document.get("args") or {}
    given = (
        next((args[key] for key in _VALUE_KEYS if key in args), None)
        if isinstance(args, dict)
        else None
    )
    value = given if isinstance(given, bool | int | float) else None
    signal, value = {
        "set_speed": ("speed_sp", value),
        "stop": ("stopped", True),
        "start": ("stopped", False),
        "beacon": ("beacon", True if given is None else value),
    }.get(op, ("", value))
    until = document.get("expires")
    expires = float(until) if isinstance(until, int | float) else None
    return _Command(str(document.get("id", "")), op, signal, value, expires)


class MqttWire:
    """One MQTT device that shows one plant."""

    def __init__(self, plant: Plant, clock: Clock, access: MqttAccess) -> None:
        self._plant, self._clock, self._access = plant, clock, access
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._state_at = 0
        # Crates are told apart over restarts: there is more than a second to each of them.
        self._crates_before = clock.now_ms() // 1000 - 1_700_000_000
        self._state: dict[str, Any] = {}
        self._last_command = ""
        self._last_result = ""
        self._connected = False
        self.connects = 0
        self.dropped = 0

    async def open(self) -> None:
        """Begin to connect; the client keeps trying with backoff for as long as it is open."""
        self._loop = asyncio.get_running_loop()
        client = self._new_client(await asyncio.to_thread(self._password))
        client.connect_async(self._access.host, self._access.port, KEEPALIVE_S)
        self._client = client
        client.loop_start()

    async def close(self, *, silent: bool = False) -> None:
        """Go away: by cutting the socket (the broker publishes the will), or silently."""
        client, self._client = self._client, None
        self._connected = False
        if client is None:
            return
        stopped = asyncio.create_task(asyncio.to_thread(client.loop_stop))
        if silent:
            # A DISCONNECT makes the broker drop the will: nobody is told.
            client.disconnect()
        elif isinstance(wire := client.socket(), socket.socket):
            # As a pulled cable does: the broker finds the connection gone and speaks the will.
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)
        await stopped

    async def shutdown(self) -> None:
        """Leave in good order: say offline, then disconnect."""
        client, self._client = self._client, None
        self._connected = False
        if client is None:
            return
        if client.is_connected():
            client.publish(self._topic("status"), "offline", qos=0, retain=True)
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)

    async def publish(self) -> None:
        """Send one telemetry message, and the state when it changed."""
        if not self._connected or self._plant.frozen or self._client is None:
            return
        readings = self._plant.readings
        values = {name: _rounded(readings[name]) for name in TELEMETRY}
        if (crate := readings["crate"]) is not None:
            values["crate"] = number(crate) + self._crates_before
        self._send("telemetry", {"ts": self._clock.now_ms(), "values": values}, retain=False)
        due = self._clock.mono_ms() - self._state_at >= STATE_EVERY_MS
        if due or self._current_state() != self._state:
            self._send_state()

    def endpoint(self) -> dict[str, Any]:
        """The broker and device id, and whether the session stands."""
        return {
            "protocol": "mqtt", "host": self._access.host, "port": self._access.port,
            "device": self._access.device, "connected": self._connected,
            "connects": self.connects, "dropped": self.dropped,
        }  # fmt: skip

    def _new_client(self, password: str | None) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=self._access.device,
            clean_session=True,
            protocol=MQTTv311,
        )
        if self._access.username:
            client.username_pw_set(self._access.username, password)
        client.will_set(self._topic("status"), "offline", qos=0, retain=True)
        client.reconnect_delay_set(1, MAX_BACKOFF_S)
        client.on_connect = self._thread_connected
        client.on_disconnect = self._thread_disconnected
        client.on_message = self._thread_message
        return client

    def _password(self) -> str | None:
        path = self._access.password_file
        return path.read_text(encoding="utf-8").strip() if path is not None else None

    def _thread_connected(
        self, client: Client, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("mqtt_refused", reason=str(reason))
            return
        client.subscribe(f"notice/{self._access.device}/#", qos=1)
        self._from_thread(self._on_connected, client)

    def _thread_disconnected(
        self, client: Client, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        self._from_thread(self._on_disconnected, client)

    def _thread_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        self._from_thread(self._on_message, message.topic, bytes(message.payload))

    def _from_thread(self, call: Callable[..., None], *args: Any) -> None:
        # The loop may have gone while the client's thread was still ending.
        with contextlib.suppress(RuntimeError):
            assert self._loop is not None
            self._loop.call_soon_threadsafe(call, *args)

    def _on_connected(self, client: Client) -> None:
        if client is not self._client:
            return
        self._connected = True
        self.connects += 1
        client.publish(self._topic("status"), "online", qos=0, retain=True)
        self._send_state()
        log.info("mqtt_connected", device=self._access.device)

    def _on_disconnected(self, client: Client) -> None:
        if client is self._client:
            self._connected = False

    def _on_message(self, topic: str, body: bytes) -> None:
        if topic != f"notice/{self._access.device}/command" or len(body) > MAX_BODY:
            self.dropped += 1
            return
        order = decode_command(body)
        if order.op == "report":
            self._send_state()
            return
        if self._plant.deaf_s:  # the fault: it takes nothing and answers nothing
            return
        # A broker may hand a command over late: what has expired must not move the line.
        fresh = order.expires is None or self._clock.now_ms() <= order.expires
        known = bool(order.signal) and fresh and not self._plant.refuses
        accepted = self._plant.write(order.signal, order.value, order.op, order.id, known=known)
        if self._plant.late_s:  # the fault: done, and nobody hears of it
            return
        self._last_command = order.id
        self._last_result = "done" if accepted else "rejected"
        # Answer even when nothing changed: the sender waits for its id.
        self._send_state()

    def _current_state(self) -> dict[str, Any]:
        readings = self._plant.readings
        return {
            "speed_sp": readings["speed_sp"],
            "stopped": readings["stopped"],
            "beacon": readings["beacon"],
            "last_command": self._last_command,
            "last_result": self._last_result,
        }

    def _send_state(self) -> None:
        self._state, self._state_at = self._current_state(), self._clock.mono_ms()
        self._send("state", self._state, retain=True)

    def _send(self, leaf: str, body: dict[str, Any], *, retain: bool) -> None:
        if self._client is None:
            return
        text = json.dumps(body, separators=(",", ":"))
        result = self._client.publish(self._topic(leaf), text, qos=0, retain=retain)
        if result.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self.dropped += 1

    def _topic(self, leaf: str) -> str:
        return f"dev/{self._access.device}/{leaf}"


def _rounded(value: Value | None) -> Value | None:
    return round(value, 3) if isinstance(value, float) else value
