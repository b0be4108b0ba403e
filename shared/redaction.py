"""Takes secrets out of whatever is stored, logged or shown, by their values.

Told by `shared/config.py` of every secret that this process has read; asked at the borders: the
playbooks' store, the log. It holds no secret that was not read, and writes none anywhere.
"""

from __future__ import annotations

import base64
import json
from typing import Any
from urllib.parse import quote

import msgspec

SHORTEST = 6
"""Shorter values are words: taking them out would tell more than it hides."""
MOST = 2_000
HIDDEN = "[secret]"
_FORMS: dict[str, None] = {}


def remember(value: str) -> None:
    """This value must not be seen anywhere, in none of the forms that it travels in."""
    if len(value) < SHORTEST:
        return
    plain = value.removeprefix("whsec_")
    quoted = json.dumps(value)[1:-1]  # and as JSON in a text within JSON
    for form in (value, plain, quote(value, safe=""), quoted, json.dumps(quoted)[1:-1]):
        if len(form) >= SHORTEST:
            _FORMS[form] = None
    _FORMS[base64.b64encode(value.encode()).decode()] = None
    while len(_FORMS) > MOST:
        del _FORMS[next(iter(_FORMS))]


def cleaned(text: str) -> str:
    """A text without them."""
    for form in _found(text):
        text = text.replace(form, HIDDEN)
    return text


def _found(text: str) -> list[str]:
    return sorted((form for form in list(_FORMS) if form in text), key=len, reverse=True)


def clean(value: Any) -> Any:
    """Nested data without them; the same object if there is none in it."""
    if not _FORMS:
        return value
    if isinstance(value, str):
        return cleaned(value)
    text = msgspec.json.encode(value, enc_hook=str).decode()
    if not _found(text):
        return value
    return _without(value, sorted(_FORMS, key=len, reverse=True))


def _without(value: Any, forms: list[str]) -> Any:
    if isinstance(value, str):
        for form in forms:
            value = value.replace(form, HIDDEN)
        return value
    if isinstance(value, dict):
        return {_without(key, forms): _without(each, forms) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without(each, forms) for each in value]
    return value
