"""A plant device at the MQTT wire, as small as can be: so that the bench measures the node.

Speaks MQTT 3.1.1 with QoS 0 over one socket; notes when commands arrive.
"""

from __future__ import annotations

import json
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable
from typing import Any

from edge_node.bench.site import DEVICE
from edge_node.bench.world import BenchFailed, Node
from shared.embedded.ports import LOOPBACK

CONNECT, CONNACK, PUBLISH, SUBSCRIBE = 0x10, 0x20, 0x30, 0x82
KEEP_ALIVE_S = 0
"""None: the server does not end a bench that is busy elsewhere."""


def packet(kind: int, body: bytes) -> bytes:
    """One MQTT packet with its length."""
    size, length = len(body), bytearray()
    while True:
        size, low = divmod(size, 128)
        length.append(low | (0x80 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body


def text(value: str) -> bytes:
    """A string with its length."""
    data = value.encode()
    return struct.pack(">H", len(data)) + data


def publish(topic: str, payload: bytes) -> bytes:
    """A message below the device's topic, ready to send."""
    return packet(PUBLISH, text(f"dev/{DEVICE}/{topic}") + payload)


class Device:
    """The device's connection."""

    def __init__(self, node: Node) -> None:
        self.commands: queue.Queue[float] = queue.Queue(100_000)
        """Monotonic second at which each `act` arrived."""
        self._socket = socket.create_connection((LOOPBACK, node.server.mqtt_port or 0), 10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._stream = self._socket.makefile("rb")
        flags = struct.pack(">BBH", 4, 0xC2, KEEP_ALIVE_S)
        self._socket.sendall(packet(
            CONNECT, text("MQTT") + flags + text(DEVICE) + text(DEVICE) + text(node.password)
        ))  # fmt: skip
        kind, answer = self._read()
        if kind != CONNACK or answer[1]:
            raise BenchFailed(f"the MQTT server refused the bench device ({answer!r})")
        self._socket.sendall(packet(SUBSCRIBE, b"\0\1" + text(f"notice/{DEVICE}/#") + b"\0"))
        self._socket.settimeout(None)
        self._send_lock = threading.Lock()
        threading.Thread(target=self._listen, daemon=True).start()

    def _read(self) -> tuple[int, bytes]:
        kind = self._stream.read(1)
        if not kind:
            raise OSError("the server has closed the connection")
        size = shift = 0
        while True:
            byte = self._stream.read(1)[0]
            size |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return kind[0], self._stream.read(size)

    def _listen(self) -> None:
        while True:
            try:
                kind, body = self._read()
            except (OSError, ValueError, IndexError):
                return
            if kind & 0xF0 == PUBLISH:
                arrived = time.monotonic()
                order = json.loads(body[2 + struct.unpack_from(">H", body)[0] :])
                self._obey(order, arrived)

    def _obey(self, order: dict[str, Any], arrived: float) -> None:
        if order.get("op") == "act":
            self.commands.put_nowait(arrived)
        state = {"last_command": order.get("id"), "last_result": "done"}
        self.send(publish("state", json.dumps(state).encode()))

    def send(self, data: bytes) -> None:
        """Send packets."""
        with self._send_lock:
            self._socket.sendall(data)

    def act(self, on: bool) -> float:
        """Publish the sample that sets off the reflex; the monotonic second just before."""
        began = time.monotonic()
        self.send(publish("act", json.dumps({"values": {"act": on}}).encode()))
        return began

    def pace(self, make: Callable[[int], bytes], per_second: float, seconds: float) -> int:
        """Send messages at a steady rate, late ones at once; how many."""
        began, sent, total = time.monotonic(), 0, int(per_second * seconds)
        while sent < total:
            due = min(int((time.monotonic() - began) * per_second) + 1, total)
            while sent < due:
                self.send(make(sent))
                sent += 1
            time.sleep(0.001)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        return sent

    def close(self) -> None:
        """Hang up."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
