"""PostgreSQL's binary COPY form of events and samples, made as cheaply as Python can.

Called by the stores on their hot path; a general encoder costs three times as much per row.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import chain

import msgspec

from shared.outbox.receiving import Received

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TAIL = struct.pack(">h", -1)
EVENT_COLUMNS = (
    "source", "epoch", "lane", "received_at", "seq", "id", "type", "time", "late", "alarm",
    "occurrence", "body",
)  # fmt: skip
SAMPLE_COLUMNS = ("at", "value", "tag_no", "quality")
_NULL = struct.pack(">i", -1)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
"""JSON's escape of NUL, and not an escaped backslash before such letters."""
_encode = msgspec.json.Encoder().encode
_length = struct.Struct(">i").pack
_seq_and_id = struct.Struct(">iqi").pack
_time_and_late = struct.Struct(">iqi?").pack
_ROW = 2 + (4 + 8) + (4 + 8) + (4 + 4) + (4 + 2)
_SAMPLE = struct.pack(">hiqidiiih", 4, 8, 0, 8, 0.0, 4, 0, 2, 0)
_SAMPLE_OF_NOTHING = struct.Struct(">hiqiiiih").pack


def _text(value: str) -> bytes:
    data = value.encode()
    return _length(len(data)) + data


_known = lru_cache(maxsize=8192)(_text)


def event_rows(
    source: str, epoch: str, lane: str, received_at: int, items: Iterable[Received], late_ms: int
) -> bytes:
    """Rows of one lane's events; `late_ms` is the age at which an event is late.

    Raises ValueError on what PostgreSQL cannot hold.
    """
    at = struct.pack(">iq", 8, received_at)
    same = b"".join((struct.pack(">h", 12), _text(source), _text(epoch), _text(lane), at))
    late_before = received_at - late_ms
    parts: list[bytes] = [HEAD]
    for item in items:
        event = item.event
        body = event.body
        name = event.id.encode()
        data = _encode(body)
        if b"\\u0000" in data and _NUL.search(data):
            raise ValueError("a text with a NUL character")
        alarm: str | None = getattr(body, "alarm", None)
        occurrence: str | None = getattr(body, "occurrence", None)
        try:
            times = _time_and_late(8, event.time, 1, event.time < late_before)
        except struct.error as error:
            raise ValueError(f"time {event.time} is out of range") from error
        parts += (
            same,
            _seq_and_id(8, item.seq, len(name)),
            name,
            _known(event.type),
            times,
            _NULL if alarm is None else _known(alarm),
            _NULL if occurrence is None else _text(occurrence),
            _length(len(data)),
            data,
        )
    parts.append(TAIL)
    return b"".join(parts)


def sample_rows(
    times: array[int], values: array[float], tags: array[int], qualities: bytes
) -> bytes:
    """Rows of samples given in columns (machine order: q, d, i, bytes); NaN becomes null."""
    count = len(qualities)
    if count == 0:
        return HEAD + TAIL
    total = sum(values)
    if total != total:  # a NaN among them (or infinities that cancel): one by one
        return _rows_with_gaps(times, values, tags, qualities)
    # Every row has the same length: each byte of a column is laid into all rows at once.
    rows = bytearray(_SAMPLE * count)
    _lay(rows, 6, 8, times)
    _lay(rows, 18, 8, values)
    _lay(rows, 30, 4, tags)
    rows[39::_ROW] = qualities
    return b"".join((HEAD, rows, TAIL))


def _lay(rows: bytearray, offset: int, width: int, column: array) -> None:  # type: ignore[type-arg]
    data = column.tobytes()  # little-endian, as the wire and every machine we run on
    for byte in range(width):
        rows[offset + byte :: _ROW] = data[width - 1 - byte :: width]


def _rows_with_gaps(
    times: Sequence[int], values: Sequence[float], tags: Sequence[int], qualities: bytes
) -> bytes:
    whole = struct.Struct(">hiqidiiih").pack
    rows = (
        _SAMPLE_OF_NOTHING(4, 8, at, -1, 4, tag, 2, quality)
        if value != value
        else whole(4, 8, at, 8, value, 4, tag, 2, quality)
        for at, value, tag, quality in zip(times, values, tags, qualities, strict=True)
    )
    return b"".join(chain((HEAD,), rows, (TAIL,)))
