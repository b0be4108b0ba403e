"""The time line as CSV rows, and cells that a spreadsheet takes for a formula made harmless. Pure.

Whatever people, devices and linked systems said comes out as text, never as a command.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from shared.web.dto_trace import TraceOut

_BEGINS = frozenset("=+-@\t\r\n＝＋－＠")
HEADER = (
    "time_utc", "time_local", "time_zone", "received_utc", "late", "uncertain", "uncertainty_ms",
    "clock", "lane", "kind", "alarm", "occurrence", "station", "unit", "actor", "tier", "details",
)  # fmt: skip


def harmless(value: object) -> str:
    """A cell's text; one that a spreadsheet might run gets an apostrophe before it."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" \u00a0\u3000")[:1] in _BEGINS and text else text


def utc(at: int | None) -> str:
    """ISO 8601 with milliseconds."""
    if at is None:
        return ""
    return f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m-%dT%H:%M:%S}.{at % 1000:03d}Z"


def local(at: int, zone: ZoneInfo) -> str:
    """The same by a wall clock, without the zone, which is stated beside it."""
    return f"{datetime.fromtimestamp(at // 1000, zone):%Y-%m-%d %H:%M:%S}.{at % 1000:03d}"


def told(params: Mapping[str, Any]) -> str:
    """Details in one cell."""
    return "; ".join(f"{key}={_plain(value)}" for key, value in params.items())


def _plain(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str | int) or value is None:
        return "" if value is None else str(value)
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_csv(trace: TraceOut) -> bytes:
    """The whole time line, for a spreadsheet (UTF-8 with its mark, so that Chinese is read)."""
    text, zone = io.StringIO(), ZoneInfo(trace.timezone)
    out = csv.writer(text, lineterminator="\r\n")
    out.writerow(HEADER)
    for each in trace.entries:
        row = (
            utc(each.at), local(each.at, zone), trace.timezone, utc(each.received_at),
            int(each.late), int(each.uncertain), each.uncertainty_ms, each.clock, each.lane,
            each.kind, each.alarm, each.occurrence, each.station, each.unit, each.actor,
            each.tier, told(each.params),
        )  # fmt: skip
        out.writerow([harmless(cell) for cell in row])
    return b"\xef\xbb\xbf" + text.getvalue().encode()
