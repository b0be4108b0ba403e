"""Values and times inside JSON bodies, and times in files and tables; pure.

Used by the drivers that read bodies and rows: `http_pull`, `http_push`, `sql`, `replay`.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, tzinfo
from typing import Any, Literal

MISSING: Any = object()
"""There is nothing at the path."""
TimeUnit = Literal["auto", "ms", "s", "iso"]
MAX_MS = 253_402_300_799_000
"""The end of the year 9999."""
_AUTO_MS = 100_000_000_000
"""A bare number below this is in seconds (until the year 5138), above it in milliseconds."""
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def parse_path(text: str) -> tuple[str, ...]:
    """Read a JSON pointer (`/a/b/0`) or a dotted path (`a.b[0]`); ValueError with the rule."""
    if text == "" or text.startswith("/"):
        parts = text.split("/")[1:]
        return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)
    found, end = [], 0
    for match in _PART.finditer(text):
        between = text[end : match.start()]
        if between != ("." if end and match[1] else ""):
            break
        found.append(match[1] or match[2])
        end = match.end()
    if end != len(text) or not found:
        raise ValueError(f"{text!r} is no path: write /data/0/temp or data[0].temp")
    return tuple(found)


def look_up(body: Any, path: tuple[str, ...]) -> Any:
    """What stands at the path, or MISSING."""
    for part in path:
        if isinstance(body, dict):
            body = body.get(part, MISSING)
        elif isinstance(body, list) and part.isdigit() and int(part) < len(body):
            body = body[int(part)]
        else:
            return MISSING
    return body


def parse_time(value: Any, unit: TimeUnit = "auto", zone: tzinfo = UTC) -> int | None:
    """UTC milliseconds of a number, an ISO text or a datetime; None when it is no time."""
    if isinstance(value, datetime):
        return _of(value, zone)
    if isinstance(value, str) and unit in ("auto", "iso"):
        try:
            return _of(datetime.fromisoformat(value.strip()), zone)
        except ValueError:
            if unit == "iso":
                return None
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or unit == "iso":
        return None
    if not math.isfinite(value):
        return None
    seconds = unit == "s" or (unit == "auto" and abs(value) < _AUTO_MS)
    millis = round(value * 1000) if seconds else round(value)
    return millis if 0 <= millis <= MAX_MS else None


def _of(moment: datetime, zone: tzinfo) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
    return round(aware.timestamp() * 1000)


def as_raw(value: Any, kind: str) -> Any:
    """A value of a body or row in the tag's kind: texts that hold numbers become numbers."""
    if kind == "string":
        return value if isinstance(value, str) or value is None else str(value)
    if not isinstance(value, str):
        # Decimal, numpy and the like are numbers too.
        return value if isinstance(value, bool | int | float | None) else _number(str(value))
    text = value.strip()
    if kind == "boolean" and text.lower() in _WORDS:
        return _WORDS[text.lower()]
    return _number(text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


_WORDS = {"true": True, "false": False, "on": True, "off": False, "yes": True, "no": False}
