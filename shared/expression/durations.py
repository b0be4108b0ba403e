"""Owns the reading of duration texts such as 30s, 5m, 1h30m, 250ms, 1.5d.

Called by the resolver (window lengths) and the `duration` function.
Never knows the current time.
"""

import re

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
}
_PART = re.compile(r"(\d{1,12}(?:\.\d{1,9})?|\.\d{1,9})(ns|us|ms|s|m|h|d)", re.ASCII)


def parse_duration(text: str) -> float | None:
    """Return the seconds a duration text means, or None when it is not one."""
    if len(text) > 64:
        return None
    body = text.removeprefix("-")
    total, position = 0.0, 0
    while position < len(body):
        part = _PART.match(body, position)
        if part is None:
            return None
        total += float(part.group(1)) * _UNITS[part.group(2)]
        position = part.end()
    if position == 0:
        return None
    return -total if body != text else total
