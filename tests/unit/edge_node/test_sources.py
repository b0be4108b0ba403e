"""The pure parts of the drivers: addresses, request planning, typing, bounded batch."""

from __future__ import annotations

import math
import struct
from array import array
from typing import Any, cast

import msgspec
import pytest
from asyncua import ua

from edge_node.adapters.sources import batch
from edge_node.adapters.sources.batch import Batcher
from edge_node.adapters.sources.mqtt import parse_address as parse_topic
from edge_node.adapters.sources.opcua_values import as_type, quality_of
from edge_node.adapters.sources.port import BAD, GOOD, Kind, Point, emit
from edge_node.application.ipc import DriverState, FromChild, Samples, WriteResult
from shared.errors import ConfigError


def point(kind: Kind = "number", scale: float = 1.0, bias: float = 0.0, address: str = "") -> Point:
    return Point(3, "T", address, kind, scale, bias)


class Sink:
    """Collects what a driver hands over."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, ...]] = []

    def sample(self, *row: Any) -> None:
        self.seen.append(row)

    text = sample

    def state(self, state: str, detail: str = "") -> None:
        self.seen.append((state, detail))


class Pipe:
    """Stands at the engine's end and decodes the frames."""

    def __init__(self) -> None:
        self.frames: list[FromChild] = []

    def write(self, frame: bytes) -> None:
        assert struct.unpack(">I", frame[:4])[0] == len(frame) - 4
        self.frames.append(msgspec.msgpack.decode(frame[4:], type=FromChild))


@pytest.mark.parametrize(
    ("kind", "raw", "quality", "wanted"),
    [
        ("number", 75, GOOD, (3, 9, 8.5, 0)), ("number", 75, 1, (3, 9, 8.5, 1)),
        ("boolean", True, GOOD, (3, 9, 1.0, 0)), ("boolean", 0, GOOD, (3, 9, 0.0, 0)),
        ("string", "AUTO", GOOD, (3, 9, "AUTO", 0)), ("string", 5, GOOD, (3, 9, "", 2)),
        ("string", "AUTO", BAD, (3, 9, "", 2)),
    ],
)  # fmt: skip
def test_readings_are_scaled_and_typed(
    kind: Kind, raw: Any, quality: int, wanted: tuple[Any, ...]
) -> None:
    sink = Sink()
    emit(sink, point(kind, 0.1, 1.0), 9, raw, quality)
    assert sink.seen == [wanted]


@pytest.mark.parametrize("raw", [None, "75", math.inf, math.nan, [1]])
def test_what_is_no_number_is_bad_and_not_a_value(raw: Any) -> None:
    sink = Sink()
    emit(sink, point(), 9, raw, GOOD)
    assert math.isnan(sink.seen[0][2])
    assert sink.seen[0][3] == BAD


@pytest.mark.parametrize(
    ("code", "quality"),
    [(0, 0), (0x40000000, 1), (0x408F0000, 1), (0x80000000, 2), (0x808C0000, 2), (0xC0000000, 2)],
)
def test_opcua_quality_is_the_severity(code: int, quality: int) -> None:
    assert quality_of(ua.StatusCode(ua.UInt32(code))) == quality


def test_an_order_takes_the_node_s_type_or_is_refused() -> None:
    kinds = ua.VariantType
    assert as_type(1, kinds.Boolean) is True
    assert as_type(41, kinds.Double) == 41.0
    assert as_type(3.0, kinds.Int32) == 3
    for value, kind in (("x", kinds.Double), (2, kinds.Boolean), (2.5, kinds.Int32)):
        with pytest.raises(ValueError, match="cannot be written"):
            as_type(value, kind)


def test_mqtt_addresses() -> None:
    at = point(address="a/telemetry#values.speed")
    assert parse_topic("line", at) == ("a.telemetry", ("values", "speed"))
    for wrong in ("telemetry", "#x", "t#", "a b#c", "a.b#c"):
        with pytest.raises(ConfigError, match="topic#member"):
            parse_topic("line", point(address=wrong))


def test_a_full_batch_drops_the_oldest_and_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "MAX_SAMPLES", 100)
    pipe = Pipe()
    batcher = Batcher(cast(Any, pipe))
    batcher.state("connected")
    for i in range(125):
        batcher.sample(i, i, float(i), 0)
    batcher.result(WriteResult(id="w", outcome="done"))
    batcher.write_out()
    state, result, samples = pipe.frames
    assert state == DriverState(state="connected", dropped=30)
    assert isinstance(result, WriteResult)
    assert isinstance(samples, Samples)
    assert list(array("i", samples.tags)) == list(range(30, 125))
    assert len(samples.values) == 8 * len(samples.qualities)
    batcher.write_out()
    assert len(pipe.frames) == 3
