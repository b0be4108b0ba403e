"""What a device says over MQTT, read without trust; whatever is malformed is nothing. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from shared.messages.subjects import DEVICE_PREFIX

_LONGEST = 200


@dataclass(frozen=True, slots=True)
class Heard:
    """One message of a device; `topic` is the name that the broker has checked."""

    topic: str
    leaf: str
    body: dict[str, Any]

    @property
    def id(self) -> str:
        """The id of what is acknowledged or said; empty if it has none."""
        return self.text("id")

    @property
    def online(self) -> bool:
        """Of a status: whether it is there."""
        return self.body.get("status") == "online"

    def text(self, name: str) -> str:
        """A member as text; empty if it is none."""
        value = self.body.get(name)
        return value if isinstance(value, str) and len(value) <= _LONGEST else ""


def heard_of(topic: str, body: bytes) -> Heard | None:
    """The message of `dev/<device>/<leaf>`; None for anything else."""
    parts = topic.split("/")
    if len(parts) != 3 or parts[0] != DEVICE_PREFIX:
        return None
    if parts[2] == "status":  # a last will is plain text
        return Heard(parts[1], "status", {"status": body[:20].decode(errors="replace")})
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):  # also what is no UTF-8
        return None
    return Heard(parts[1], parts[2], document) if isinstance(document, dict) else None
