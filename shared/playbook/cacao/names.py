"""The identifiers of CACAO objects, the same for the same playbook, and Andon's own extension.

Called by both directions; knows nothing of steps.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import Any

VERSION = "1.0.0"


def identifier(kind: str, *parts: str) -> str:
    """`kind--UUID`, where the same parts give the same identifier."""
    digest = bytearray(hashlib.sha256("\n".join((kind, *parts)).encode()).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x40
    digest[8] = digest[8] & 0x3F | 0x80
    return f"{kind}--{uuid.UUID(bytes=bytes(digest))}"


AUTHOR = identifier("identity", "andon")
EXTENSION = identifier("extension-definition", "andon", "playbook", "v1")
"""Under which everything travels that CACAO has no words for."""
ANDON = identifier("group", "andon")
"""The agent that carries out every step."""


def definition() -> dict[str, Any]:
    """What CACAO wants to know about our extension."""
    return {
        "type": "extension-definition", "name": "Andon playbook/v1", "created_by": AUTHOR,
        "description": "What a step of Andon says beyond CACAO. A consumer that does not know it "
                       "must not run the playbook by itself.",
        "schema": "playbook.schema.json", "version": VERSION,
    }  # fmt: skip


def own(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields under Andon's extension."""
    return {EXTENSION: fields}


def worded(text: Any) -> str:
    """A text in both languages as one."""
    if isinstance(text, str):
        return text
    return text["zh"] if text["zh"] == text["en"] else f"{text['zh']} / {text['en']}"


_TIMES = frozenset({
    "accumulate_within", "after", "deadline", "delay", "duration", "expires", "for", "max_delay",
    "once_after", "once_within", "pause", "reminders", "schedule", "stale_after", "timeout", "wait",
    "within",
})  # fmt: skip
_FREE = frozenset({"args", "body", "data", "inputs", "labels", "metrics", "set", "set_incident"})
"""Data of the author's own, in which nothing is a time."""
_UNITS = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


def brief(value: Any, key: str = "") -> Any:
    """The times of a document as people write them: `45m`, not `2700000ms`."""
    if isinstance(value, dict) and key not in _FREE:
        return {name: brief(each, name) for name, each in value.items()}
    if isinstance(value, list):
        return [brief(each, key) for each in value]
    if key in _TIMES and isinstance(value, str) and re.fullmatch(r"\d+ms", value):
        ms = int(value.removesuffix("ms"))
        return next((f"{ms // one}{unit}" for unit, one in _UNITS if ms and not ms % one),
                    value if ms else "0s")  # fmt: skip
    return value


def slug(text: str, otherwise: str) -> str:
    """A text as an id of the language."""
    found = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40].strip("-")
    if not found or not found[0].isalpha():
        found = f"{otherwise}-{found}".strip("-")
    return found
