"""A Sparkplug B edge node for tests: written with Google's protobuf, not with Andon's own codec."""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

import pytest

from tests.support.mosquitto import Device

GROUP = "plant"
INT8, INT32, INT64, FLOAT, DOUBLE, BOOLEAN, STRING = 1, 3, 4, 9, 10, 11, 12
_FIELDS = {
    INT8: "int_value", INT32: "int_value", INT64: "long_value", FLOAT: "float_value",
    DOUBLE: "double_value", BOOLEAN: "boolean_value", STRING: "string_value",
}  # fmt: skip


def _payload_class() -> Any:
    pytest.importorskip("google.protobuf", reason="NOT RUN: protobuf is not installed")
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="sparkplug.proto", package="plug", syntax="proto2"
    )

    def message(name: str, *fields: tuple[int, str, Any, str]) -> None:
        """Fields: number, name, type ("" a message of the package), `*` for repeated."""
        made = file.message_type.add(name=name)
        for number, field, kind, label in fields:
            added = made.field.add(number=number, name=field)
            added.label = kinds.LABEL_REPEATED if label == "*" else kinds.LABEL_OPTIONAL
            if isinstance(kind, str):
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".plug.{kind}"
            else:
                added.type = kind

    u32, u64, text = kinds.TYPE_UINT32, kinds.TYPE_UINT64, kinds.TYPE_STRING
    message("Property", (1, "type", u32, ""), (2, "is_null", kinds.TYPE_BOOL, ""),
            (3, "int_value", u32, ""))  # fmt: skip
    message("PropertySet", (1, "keys", text, "*"), (2, "values", "Property", "*"))
    message("MetaData", (3, "size", u64, ""), (5, "file_name", text, ""))
    message("Template", (1, "version", text, ""), (2, "metrics", "Metric", "*"),
            (4, "template_ref", text, ""), (5, "is_definition", kinds.TYPE_BOOL, ""))  # fmt: skip
    message(
        "Metric", (1, "name", text, ""), (2, "alias", u64, ""), (3, "timestamp", u64, ""),
        (4, "datatype", u32, ""), (5, "is_historical", kinds.TYPE_BOOL, ""),
        (6, "is_transient", kinds.TYPE_BOOL, ""), (7, "is_null", kinds.TYPE_BOOL, ""),
        (8, "metadata", "MetaData", ""), (9, "properties", "PropertySet", ""),
        (10, "int_value", u32, ""), (11, "long_value", u64, ""),
        (12, "float_value", kinds.TYPE_FLOAT, ""), (13, "double_value", kinds.TYPE_DOUBLE, ""),
        (14, "boolean_value", kinds.TYPE_BOOL, ""), (15, "string_value", text, ""),
        (16, "bytes_value", kinds.TYPE_BYTES, ""), (18, "template_value", "Template", ""),
    )  # fmt: skip
    message(
        "Payload", (1, "timestamp", u64, ""), (2, "metrics", "Metric", "*"), (3, "seq", u64, ""),
        (4, "uuid", text, ""), (5, "body", kinds.TYPE_BYTES, ""),
    )  # fmt: skip
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("plug.Payload"))


Payload = _payload_class()


def put(payload: Any, name: str, kind: int, value: Any, alias: int = 0, born: bool = True) -> Any:
    """Add a metric; after the birth by its alias alone."""
    metric = payload.metrics.add(timestamp=now_ms())
    if born or not alias:
        metric.name = name
    if alias:
        metric.alias = alias
    if born:
        metric.datatype = kind
    if value is None:
        metric.is_null = True
    else:
        bits = value & 0xFFFF_FFFF if kind in (INT8, INT32) else value
        setattr(metric, _FIELDS[kind], bits)
    return metric


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class EdgeNode:
    """One edge node with one device."""

    METRICS: ClassVar = {
        "Temp": (DOUBLE, 11), "Mode": (STRING, 12), "SP": (FLOAT, 13), "Run": (BOOLEAN, 14),
    }  # fmt: skip

    def __init__(self, port: int, name: str = "n1", device: str = "press") -> None:
        self._port, self.name, self.device_name = port, name, device
        self.values: dict[str, Any] = {"Temp": 41.0, "Mode": "auto", "SP": 1.5, "Run": True}
        self.bdseq, self.seq, self.births = -1, 0, 0
        self.obeys = True
        self.lock = threading.RLock()  # paho's thread answers while the test speaks
        self.commands: list[tuple[str, Any]] = []
        self.device: Device | None = None

    def topic(self, kind: str) -> str:
        tail = f"/{self.device_name}" if kind[0] == "D" else ""
        return f"spBv1.0/{GROUP}/{kind}/{self.name}{tail}"

    def start(self) -> EdgeNode:
        """Connect with its death as the will, and be born."""
        self.bdseq += 1
        device = Device(self._port)
        device.client.will_set(self.topic("NDEATH"), self._death(), 1, False)
        device.client.on_message = self._on_message
        device.start(self.topic("NCMD"), self.topic("DCMD"))
        self.device = device
        self.birth()
        return self

    def _death(self) -> bytes:
        payload = Payload(timestamp=now_ms())
        put(payload, "bdSeq", INT64, self.bdseq)
        return payload.SerializeToString()

    def _say(self, kind: str, payload: Any, qos: int = 0) -> None:
        assert self.device is not None
        self.device.client.publish(self.topic(kind), payload.SerializeToString(), qos)

    def new(self) -> Any:
        """A payload with the next sequence number."""
        payload = Payload(timestamp=now_ms(), seq=self.seq)
        self.seq = (self.seq + 1) % 256
        return payload

    def birth(self) -> None:
        """NBIRTH and DBIRTH."""
        with self.lock:
            self._birth()

    def _birth(self) -> None:
        self.births += 1
        self.seq = 0
        payload = self.new()
        put(payload, "bdSeq", INT64, self.bdseq)
        put(payload, "Node Control/Rebirth", BOOLEAN, False)
        put(payload, "Uptime", INT64, 7, 1)
        self._say("NBIRTH", payload)
        payload = self.new()
        for name, (kind, alias) in self.METRICS.items():
            put(payload, name, kind, self.values[name], alias)
        self._say("DBIRTH", payload)

    def data(self, **changed: Any) -> None:
        """DDATA by alias."""
        with self.lock:
            self.values |= changed
            payload = self.new()
            for name, value in changed.items():
                kind, alias = self.METRICS[name]
                put(payload, name, kind, value, alias, born=False)
            self._say("DDATA", payload)

    def device_death(self) -> None:
        """DDEATH."""
        with self.lock:
            self._say("DDEATH", self.new())

    def _on_message(self, client: Any, data: Any, message: Any) -> None:
        del client, data
        payload = Payload.FromString(message.payload)
        assert not payload.HasField("seq"), "a command has no sequence number"
        assert payload.timestamp
        assert (message.qos, message.retain) == (0, False)
        for metric in payload.metrics:
            if metric.name == "Node Control/Rebirth":
                assert message.topic == self.topic("NCMD")
                assert metric.boolean_value
                self.commands.append(("rebirth", True))
                if self.obeys:
                    self.birth()
                continue
            for name, (kind, alias) in self.METRICS.items():
                if metric.alias == alias and not metric.name:
                    value = getattr(metric, _FIELDS[kind])
                    self.commands.append((name, value))
                    if self.obeys:
                        self.data(**{name: value})

    def stop(self) -> None:
        """Vanish without a goodbye, so that the broker tells its death."""
        device, self.device = self.device, None
        if device is not None:
            device.client.loop_stop()
            wire = device.client.socket()
            if wire is not None:
                wire.close()
