"""The columnar payload of MQTT devices with many tags: topic `dev/<device>/batch`, MessagePack.

Called by the MQTT driver for each such message. A message is taken whole or not at all; the usual
one (plain numbers, the same tags as before) costs no Python work per sample.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from edge_node.adapters.sources.port import BAD, GOOD, Point, Sink, emit
from shared.errors import ContractError

TOPIC = "batch"
MAX_BATCH = 1 << 20
KEPT = 256
"""So many different lists of tags are remembered."""


class _Body(msgspec.Struct):
    """Columns of one message; `t` in UTC ms."""

    tags: bytes | list[str]
    t: bytes
    v: bytes
    q: bytes = b""


_decode = msgspec.msgpack.Decoder(_Body).decode


@dataclass(frozen=True, slots=True)
class _Tags:
    """A list of tags as the engine numbers them."""

    column: bytes
    indexes: frozenset[int]
    plain: bool
    """Every value goes on as it is."""


class BatchReader:
    """Turns messages into samples of the points whose address is `batch#NAME` (or a number)."""

    def __init__(self, points: Iterable[tuple[str, Point]]) -> None:
        self._by_name = dict(points)
        self._by_index = {point.index: point for point in self._by_name.values()}
        self._known: dict[bytes | tuple[str, ...], _Tags] = {}

    def read(self, data: bytes, sink: Sink, oldest: int, newest: int, now: int) -> frozenset[int]:
        """Hand all samples on; the indexes of their points. Raises ContractError, taking nothing.

        Times outside `oldest..newest` cannot be true and are replaced by `now`.
        """
        body = self._checked(data)
        tags = self._tags(body.tags)
        count = len(body.v) // 8
        if len(tags.column) != 4 * count:
            raise ContractError("a batch's columns differ in length")
        qualities = body.q or bytes(count)
        times = memoryview(body.t).cast("q") if count else ()
        values = memoryview(body.v).cast("d") if count else ()
        true_times = not count or (oldest < min(times) and max(times) < newest)
        # One that is infinite or NaN makes the sum so too; the exact path looks at each.
        usual = tags.plain and true_times and max(qualities, default=GOOD) <= BAD
        if usual and math.isfinite(sum(values)):
            sink.columns(tags.column, body.t, body.v, qualities)
        else:
            rows = zip(memoryview(tags.column).cast("i"), times, values, qualities, strict=True)
            for index, time, value, quality in rows:
                moment = time if oldest < time < newest else now
                emit(sink, self._by_index[index], moment, value, min(quality, BAD))
        return tags.indexes

    @staticmethod
    def _checked(data: bytes) -> _Body:
        if len(data) > MAX_BATCH:
            raise ContractError(f"a batch of {len(data)} bytes exceeds {MAX_BATCH}")
        try:
            body = _decode(data)
        except msgspec.MsgspecError as error:
            raise ContractError(f"a batch is not as documented: {error}") from error
        count = len(body.v) // 8
        if len(body.v) != 8 * count or len(body.t) != 8 * count or len(body.q) not in (0, count):
            raise ContractError("a batch's columns differ in length")
        return body

    def _tags(self, given: bytes | list[str]) -> _Tags:
        key = given if isinstance(given, bytes) else tuple(given)
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= KEPT:
                self._known.clear()
            known = self._known[key] = self._resolve(given)
        return known

    def _resolve(self, given: bytes | list[str]) -> _Tags:
        if isinstance(given, bytes):
            if len(given) % 4:
                raise ContractError("a batch's `tags` are not int32")
            names: list[str] = [str(n) for n in memoryview(given).cast("i")] if given else []
        else:
            names = given
        try:
            points = [self._by_name[name] for name in names]
        except KeyError as error:
            raise ContractError(f"no tag has the address {TOPIC}#{error.args[0]}") from error
        indexes = [point.index for point in points]
        return _Tags(
            array("i", indexes).tobytes(), frozenset(indexes), all(_plain(p) for p in points)
        )


def _plain(point: Point) -> bool:
    return (
        point.kind == "number" and (point.scale, point.bias) == (1.0, 0.0)
        and point.precision is None and point.minimum == -math.inf and point.maximum == math.inf
    )  # fmt: skip


def encode_batch(tags: bytes, times: bytes, values: bytes, qualities: bytes = b"") -> bytes:
    """The payload as a device makes it."""
    body: dict[str, Any] = {"tags": tags, "t": times, "v": values}
    if qualities and any(qualities):
        body["q"] = qualities
    return msgspec.msgpack.encode(body)
