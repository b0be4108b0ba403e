"""Opaque cursors of lists: what the last item of a page was sorted by.

Made and read by the routes; a cursor that this tier did not make is refused, never guessed at.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from shared.web.problem_error import ProblemError
from shared.web.storable import LEAST, MOST, storable_text

LONGEST = 1000


def cursor_of(*parts: Any) -> str:
    """The cursor that names these sort keys."""
    return base64.urlsafe_b64encode(msgspec.json.encode(parts)).rstrip(b"=").decode()


def parts_of(cursor: str, *kinds: type) -> list[Any]:
    """The sort keys of a cursor, of these kinds if any are named; else a problem `bad_cursor`."""
    try:
        padded = cursor[:LONGEST].encode() + b"=" * (-len(cursor) % 4)
        found = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError) as error:
        raise ProblemError(400, "bad_cursor") from error
    if not isinstance(found, list) or not found or not all(map(_is_key, found)):
        raise ProblemError(400, "bad_cursor")
    if kinds and tuple(type(part) for part in found) != kinds:
        raise ProblemError(400, "bad_cursor")
    return found


def _is_key(part: Any) -> bool:
    """Whether a database can compare with it: what a forged cursor holds need not be so."""
    if isinstance(part, str):
        return storable_text(part)
    return type(part) is int and LEAST <= part <= MOST
