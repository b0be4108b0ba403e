"""The columnar MQTT payload: what is taken whole, what is looked at one by one, what is refused."""

from __future__ import annotations

import math
import struct

import msgspec
import pytest

from edge_node.adapters.sources.mqtt_batch import BatchReader, encode_batch
from edge_node.adapters.sources.port import Point
from shared.errors import ContractError

NOW = 1_700_000_000_000
POINTS = [
    ("7", Point(0, "A", "batch#7", "number")),
    ("speed", Point(1, "B", "batch#speed", "number")),
    ("9", Point(2, "C", "batch#9", "number", scale=2.0)),
    ("11", Point(3, "D", "batch#11", "boolean")),
]


class Heard:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, float, int]] = []
        self.whole = 0

    def columns(self, tags: bytes, times: bytes, values: bytes, qualities: bytes) -> None:
        n = len(qualities)
        self.whole += 1
        self.rows += zip(
            struct.unpack(f"<{n}i", tags), struct.unpack(f"<{n}q", times),
            struct.unpack(f"<{n}d", values), qualities, strict=True,
        )  # fmt: skip

    def sample(self, index: int, time_ms: int, value: float, quality: int) -> None:
        self.rows.append((index, time_ms, value, quality))

    def text(self, index: int, time_ms: int, value: str, quality: int) -> None:
        raise AssertionError("a batch has no texts")

    def state(self, state: str, detail: str = "") -> None:
        raise AssertionError("a batch is no state")


def columns(rows: list[tuple[int, int, float, int]]) -> tuple[bytes, bytes, bytes, bytes]:
    n = len(rows)
    return (
        struct.pack(f"<{n}i", *(r[0] for r in rows)), struct.pack(f"<{n}q", *(r[1] for r in rows)),
        struct.pack(f"<{n}d", *(r[2] for r in rows)), bytes(r[3] for r in rows),
    )  # fmt: skip


def read(data: bytes) -> tuple[Heard, frozenset[int]]:
    heard = Heard()
    return heard, BatchReader(POINTS).read(data, heard, NOW - 1000, NOW + 1000, NOW)


def test_plain_numbers_go_on_as_they_are():
    data = encode_batch(*columns([(7, NOW, 1.5, 0), (7, NOW + 1, 2.5, 1)]))
    heard, indexes = read(data)
    assert (heard.whole, indexes) == (1, frozenset({0}))
    assert heard.rows == [(0, NOW, 1.5, 0), (0, NOW + 1, 2.5, 1)]


def test_names_will_do_too():
    _, times, values, _ = columns([(0, NOW, 3.0, 0), (0, NOW, 4.0, 0)])
    data = msgspec.msgpack.encode({"tags": ["speed", "7"], "t": times, "v": values})
    heard, indexes = read(data)
    assert heard.rows == [(1, NOW, 3.0, 0), (0, NOW, 4.0, 0)]
    assert indexes == frozenset({0, 1})


def test_what_is_not_plain_is_looked_at_one_by_one():
    heard, _ = read(encode_batch(*columns([(9, NOW, 3.0, 0), (11, NOW, 5.0, 0)])))
    assert (heard.whole, heard.rows) == (0, [(2, NOW, 6.0, 0), (3, NOW, 1.0, 0)])
    heard, _ = read(encode_batch(*columns([(7, NOW, math.inf, 0), (7, 5, 2.0, 200)])))
    assert heard.whole == 0
    assert [(r[0], r[1], r[3]) for r in heard.rows] == [(0, NOW, 2), (0, NOW, 2)]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xc1", msgspec.msgpack.encode({"tags": b"", "t": b""}),
        encode_batch(struct.pack("<i", 8), bytes(8), bytes(8)),
        encode_batch(struct.pack("<i", 7), bytes(8), bytes(16)),
        encode_batch(struct.pack("<i", 7), bytes(8), bytes(8), b"\1\1"),
        encode_batch(b"\7", bytes(8), bytes(8)),
        msgspec.msgpack.encode({"tags": bytes(2 << 20), "t": b"", "v": b""}),
    ],
)  # fmt: skip
def test_a_malformed_batch_is_refused_whole(data: bytes):
    heard = Heard()
    with pytest.raises(ContractError):
        BatchReader(POINTS).read(data, heard, NOW - 1000, NOW + 1000, NOW)
    assert heard.rows == []


def test_nothing_is_nothing():
    heard, indexes = read(encode_batch(b"", b"", b""))
    assert (heard.rows, indexes) == ([], frozenset())
