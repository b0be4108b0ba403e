"""What of a request a database could never hold: NUL, lone surrogates, numbers beyond 64 bits.

Asked by the boundary of the web application before a route sees the request; changes nothing.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

LEAST, MOST = -(2**63), 2**63 - 1
_DOUBTFUL = re.compile(rb"\\u0000|\\u[dD][89a-fA-F]|[0-9]{19}|[0-9][eE]\+?[0-9]{3}|NaN|Infinity")
"""Bytes without any of these need no closer look, which is nearly every request."""
_WHOLE = re.compile(r"\s*[+-]?[0-9][0-9_]*\s*")
Fault = tuple[list[str], str]
"""Where in the request, and the kind of fault."""


def storable_text(text: str) -> bool:
    """Whether PostgreSQL can hold it."""
    return "\0" not in text and not any("\ud800" <= letter <= "\udfff" for letter in text)


def fault_of_path(path: bytes) -> Fault | None:
    """What is wrong with a path as it was sent."""
    return (["path"], "string_nul") if b"\0" in unquote_to_bytes(path) else None


def fault_of_query(query: bytes) -> Fault | None:
    """The first parameter that could not be stored."""
    if b"%00" not in query and not re.search(rb"[0-9_]{19}", query):
        return None
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if "\0" in value or "\0" in name:
            return ["query", name.replace("\0", "")], "string_nul"
        if _WHOLE.fullmatch(value) and not _in_range(value):
            return ["query", name], "int_parsing_size"
    return None


def _in_range(text: str) -> bool:
    digits = text.strip().lstrip("+-").replace("_", "").lstrip("0")
    return len(digits) <= 19 and LEAST <= int(text.strip().replace("_", "")) <= MOST


def fault_of_body(body: bytes) -> Fault | None:
    """The first value of a JSON body that could not be stored; what is no JSON is not our case."""
    if not _DOUBTFUL.search(body):
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return _look(document)


def _look(document: Any) -> Fault | None:
    waiting: list[tuple[list[str], Any]] = [(["body"], document)]
    while waiting:
        at, value = waiting.pop()
        if isinstance(value, dict):
            if not all(map(storable_text, value)):
                return at, "string_unicode"
            waiting += [([*at, name], inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [([*at, str(n)], inner) for n, inner in enumerate(value)]
        elif isinstance(value, str) and not storable_text(value):
            return at, "string_nul" if "\0" in value else "string_unicode"
        elif isinstance(value, float) and not math.isfinite(value):
            return at, "finite_number"
        elif isinstance(value, int) and not LEAST <= value <= MOST:
            return at, "int_parsing_size"
    return None
