"""CloudEvents 1.0 bodies (structured JSON) of what linked systems are told. Pure."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

TYPE_PREFIX = "andon."


def cloud_event(site: str, view: dict[str, Any]) -> bytes:
    """The body of one event; `id` is the event's own, the same for every receiver."""
    subject = view.get("alarm") or view.get("asset")
    document: dict[str, Any] = {
        "specversion": "1.0",
        "id": view["id"],
        "source": f"/andon/{site}" + (f"/{view['edge']}" if view.get("edge") else ""),
        "type": TYPE_PREFIX + view["type"],
        "time": rfc3339(view["time"]),
        "datacontenttype": "application/json",
    }
    if subject:
        document["subject"] = subject
    data = {k: v for k, v in view.items() if v is not None and k not in ("text_zh", "text_en")}
    data["text"] = {"zh": view.get("text_zh") or "", "en": view.get("text_en") or ""}
    return msgspec.json.encode(document | {"data": data})


def rfc3339(ms: int) -> str:
    """UTC milliseconds as RFC 3339."""
    moment = datetime.datetime.fromtimestamp(ms / 1000, tz=datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
