"""Simulated devices that the brain tells over MQTT: beacon, wearable, robot, AR terminal.

Each remembers what it has shown, answers with acknowledgements, and shows its retained state. Used
by `andon sim` and by the tests; speaks only below its own `dev/<device>/`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage, MQTTv311

from shared.clock import Clock
from shared.config import read_secret
from shared.telemetry import logger

log = logger("linked_device")
KEEPALIVE_S = 30
KEPT = 1_000
MAX_BODY = 16_384


@dataclass(frozen=True, slots=True)
class DeviceAccess:
    """Where a device connects and as whom."""

    host: str
    port: int
    device: str
    kind: str
    password_file: Path | None = None
    password: str = ""


class LinkedDevice:
    """One device; what it remembers outlives its connections, as a device's flash does."""

    def __init__(self, access: DeviceAccess, clock: Clock) -> None:
        self.access, self._clock = access, clock
        self._client: Client | None = None
        self._lock = threading.Lock()
        self.seen: deque[dict[str, Any]] = deque(maxlen=KEPT)
        """Notices that it has shown, each once, in order."""
        self.state: dict[str, Any] = {}
        self.answers: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self.repeats = 0
        self.out_of_order = 0
        self.silent = False
        """A device that shows, but whose acknowledgements are lost."""

    async def open(self) -> None:
        """Begin to connect; it keeps trying for as long as it is open."""
        secret = self.access.password
        if self.access.password_file is not None:
            secret = await asyncio.to_thread(
                read_secret, self.access.password_file, "MQTT password"
            )
        client = Client(
            CallbackAPIVersion.VERSION2, client_id=f"device-{self.access.device}",
            protocol=MQTTv311, clean_session=True,
        )  # fmt: skip
        client.username_pw_set(self.access.device, secret)
        client.will_set(self._topic("status"), "offline", qos=1, retain=True)
        client.reconnect_delay_set(1, 15)
        client.on_connect = self._on_connect
        client.on_message = self._on_message
        client.connect_async(self.access.host, self.access.port, KEEPALIVE_S)
        self._client = client
        client.loop_start()

    async def close(self) -> None:
        """Leave in good order: say offline, then disconnect."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_connected():
            told = client.publish(self._topic("status"), "offline", qos=1, retain=True)
            with contextlib.suppress(RuntimeError, ValueError):
                await asyncio.to_thread(told.wait_for_publish, 2)
        client.disconnect()
        await asyncio.to_thread(client.loop_stop)

    def acknowledge_alarm(self, message: str, notice: dict[str, Any], person: str) -> None:
        """A person acknowledges, on this device, the alarm that it shows."""
        body = {
            "id": message, "action": "acknowledge", "person": person, "alarm": notice["alarm"],
            "occurrence": notice["occurrence"], "version": notice["version"],
        }  # fmt: skip
        self._say("said", body)

    def snapshot(self) -> dict[str, Any]:
        """What it shows and has shown."""
        with self._lock:
            return {
                "device": self.access.device, "kind": self.access.kind, "state": self.state,
                "notices": list(self.seen)[-20:], "seen": len(self.seen), "repeats": self.repeats,
            }  # fmt: skip

    def _topic(self, leaf: str) -> str:
        return f"dev/{self.access.device}/{leaf}"

    def _say(self, leaf: str, body: dict[str, Any]) -> None:
        if self._client is not None:
            self._client.publish(self._topic(leaf), json.dumps(body), qos=1)

    def _on_connect(
        self, client: Client, data: Any, flags: Any, reason: Any, properties: Any
    ) -> None:
        if reason.is_failure:
            log.warning("mqtt_refused", device=self.access.device, reason=str(reason))
            return
        client.subscribe(f"notice/{self.access.device}/#", qos=1)
        client.publish(self._topic("status"), "online", qos=1, retain=True)
        with self._lock:
            last = self.seen[-1]["seq"] if self.seen else 0
        self._say("hello", {"last": last})

    def _on_message(self, client: Client, data: Any, message: MQTTMessage) -> None:
        leaf = message.topic.rpartition("/")[2]
        if len(message.payload) > MAX_BODY:
            return
        try:
            body = json.loads(message.payload)
        except ValueError:
            return
        if not isinstance(body, dict):
            return
        with self._lock:
            if leaf == "state":
                self.state = body
            elif leaf == "answer":
                self.answers.append(body)
            elif leaf == "notice":
                self._notice(body)
        if leaf == "notice" and not self.silent:
            self._say("ack", {"id": body.get("id"), "status": "shown", "at": self._clock.now_ms()})

    def _notice(self, body: dict[str, Any]) -> None:
        """Show it, unless it was shown: then only the acknowledgement was lost."""
        if any(known["id"] == body.get("id") for known in self.seen):
            self.repeats += 1
            return
        if self.seen and body.get("seq", 0) < self.seen[-1]["seq"]:
            self.out_of_order += 1
        self.seen.append(body)
