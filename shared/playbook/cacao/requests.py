"""The request that a CACAO `http-api` or OpenC2 command describes. Sends nothing."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, without its credentials."""

    method: str
    host: str
    path: str
    body: Any
    headers: str


def request_of(command: dict[str, Any]) -> Asked:
    """Method, host, path and body of a command such as `POST http://x/y HTTP/1.1`."""
    words = str(command.get("command") or "").split()
    openc2 = str(command.get("type")).startswith("openc2")
    method = words.pop(0).upper() if words and words[0].upper() in _METHODS else "POST"
    method = method if words or openc2 or command.get("command") else "GET"
    target = words[0] if words else ""
    host, path = "", target
    if "://" in target:
        host, _, path = target.partition("://")[2].partition("/")
    headers = command.get("headers") or {}
    return Asked(method, host, path.lstrip("/"), _body(command), ", ".join(sorted(headers)))


def _body(command: dict[str, Any]) -> Any:
    text = command.get("content")
    if text is None and (encoded := command.get("content_b64")) is not None:
        try:
            text = base64.b64decode(str(encoded), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return str(encoded)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return str(text)
