"""The measuring device of `andon bench e2e`: publishes samples and notes when it is commanded.

Sample and command are both stamped here, on one clock, at the MQTT wire.
"""

from __future__ import annotations

import json
import queue
import time
from pathlib import Path
from typing import Any

from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage, MQTTv311

from shared.clock import SystemClock
from shared.errors import ConfigError
from simulators.bench_site import DEVICE


class BenchDevice:
    """An MQTT device under the benchmark's control."""

    def __init__(self, port: int, password_file: Path) -> None:
        self._clock = SystemClock()
        self._values: dict[str, bool] = {"act": False, "plain": False}
        self.commands: queue.Queue[float] = queue.Queue(100_000)
        """Monotonic seconds at which each command arrived."""
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=DEVICE, protocol=MQTTv311)
        self._client.username_pw_set(DEVICE, password_file.read_text().strip())
        self._client.on_message = self._on_message
        self._client.max_queued_messages_set(100_000)
        if self._client.connect("127.0.0.1", port) != 0:
            raise ConfigError(f"the edge's MQTT port {port} refused the bench device")
        self._client.subscribe(f"notice/{DEVICE}/#", qos=0)
        self._client.loop_start()

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        arrived = time.monotonic()
        body = json.loads(message.payload)
        if body.get("op") == "act":
            self.commands.put_nowait(arrived)
        if "id" in body:
            state = {"last_command": body["id"], "last_result": "done"}
            client.publish(f"dev/{DEVICE}/state", json.dumps(state), retain=True)

    def set(self, **values: bool) -> float:
        """Publish one sample; returns the monotonic second just before."""
        self._values.update(values)
        body = json.dumps({"ts": self._clock.now_ms(), "values": self._values})
        began = time.monotonic()
        self._client.publish(f"dev/{DEVICE}/telemetry", body, qos=0)
        return began

    def close(self) -> None:
        """Disconnect."""
        self._client.loop_stop()
        self._client.disconnect()
