"""Debian's mosquitto on a free port, with a configuration of its own; and devices that use it."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import CallbackAPIVersion, Client, MQTTMessage

from tests.support.edge_plants import free_port

SCRIPT = Path(__file__).with_name("get_mosquitto.sh")
START_S = 10.0


@functools.cache
def mosquitto() -> str:
    """The program; installed where that is permitted, else the test is skipped loudly."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if found is None:
        subprocess.run([str(SCRIPT)], check=False, timeout=300)
        found = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CI") == "true" and os.getuid() == 0:
            pytest.fail("mosquitto cannot be installed, though this is CI as root")
        pytest.skip("NOT RUN: there is no mosquitto (Debian: apt-get install mosquitto)")
    return found


class Broker:
    """One mosquitto; `extra` are lines of its configuration."""

    def __init__(self, folder: Path, *extra: str, anonymous: bool = True) -> None:
        self.folder, self.port = folder, free_port()
        self._lines = [
            f"listener {self.port} 127.0.0.1",
            f"allow_anonymous {'true' if anonymous else 'false'}",
            "persistence false", "log_dest stderr", "log_type all", "max_queued_messages 100000",
            *(["user root"] if os.getuid() == 0 else []), *extra,
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it listens."""
        program = mosquitto()
        conf, log = self.folder / f"{self.port}.conf", self.folder / f"{self.port}.log"
        conf.write_text("\n".join(self._lines) + "\n")
        self._process = self._launch(program, conf, log)
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise AssertionError(f"mosquitto does not start: {log.read_text()}") from None
                await asyncio.sleep(0.02)

    def log(self) -> list[str]:
        """What the broker has seen so far, without the times."""
        lines = (self.folder / f"{self.port}.log").read_text().splitlines()
        return [line.partition(": ")[2] for line in lines]

    @staticmethod
    def _launch(program: str, conf: Path, log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as out:
            return subprocess.Popen([program, "-c", str(conf)], stderr=out, stdout=out)

    async def stop(self) -> None:
        """Kill it, as a power cut does."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            await asyncio.to_thread(process.wait, 5)

    async def __aenter__(self) -> Broker:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class Device:
    """A plain MQTT client of the plant, in paho's own thread."""

    def __init__(self, port: int, user: str = "", password: str = "", **named: Any) -> None:
        self.client = Client(CallbackAPIVersion.VERSION2, **named)
        if user:
            self.client.username_pw_set(user, password)
        self.heard: list[tuple[str, bytes, bool]] = []
        self.client.on_message = self.on_message
        self._port = port

    def on_message(self, client: Any, data: Any, message: MQTTMessage) -> None:
        """Keep what was heard."""
        del client, data
        self.heard.append((message.topic, bytes(message.payload), message.retain))

    def start(self, *topics: str) -> Device:
        """Connect and subscribe."""
        self.client.connect("127.0.0.1", self._port, 30)
        self.client.loop_start()
        deadline = time.monotonic() + START_S
        while not self.client.is_connected():
            assert time.monotonic() < deadline, "the device cannot connect"
            time.sleep(0.01)
        for topic in topics:
            self.client.subscribe(topic, 1)
        return self

    def publish(self, topic: str, payload: str | bytes, qos: int = 1, retain: bool = False) -> None:
        """Send, and wait until the broker has it."""
        self.client.publish(topic, payload, qos, retain).wait_for_publish(5)

    def stop(self) -> None:
        """Leave with a goodbye."""
        self.client.disconnect()
        self.client.loop_stop()
        # Nothing refers back to it: its sockets are closed now, not by a later collection.
        self.client.on_message = None
