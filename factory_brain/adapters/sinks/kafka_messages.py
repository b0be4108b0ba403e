"""Events and samples as Kafka messages: CloudEvents in binary mode, one key for one alarm. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from factory_brain.application.sinks.port import EventRow, SampleRow
from factory_brain.domain.cloud_event import TYPE_PREFIX, rfc3339

Header = tuple[str, bytes]


@dataclass(frozen=True, slots=True)
class Message:
    """One message."""

    topic: str
    key: bytes
    value: bytes
    headers: list[Header]
    at: int
    """UTC ms."""


def _headers(name: str, source: str, kind: str, at: int, subject: str) -> list[Header]:
    told = {
        "ce_specversion": "1.0", "ce_id": name, "ce_source": source, "ce_type": TYPE_PREFIX + kind,
        "ce_time": rfc3339(at), "ce_subject": subject, "content-type": "application/json",
    }  # fmt: skip
    return [(key, value.encode()) for key, value in told.items() if value]


def event_message(event: EventRow, site: str, topic: str) -> Message:
    """The key is the alarm, so that its changes stay in order; else the asset, else the source."""
    view = event.view
    subject = view.get("alarm") or view.get("asset") or ""
    edge = view.get("edge")
    data = {key: value for key, value in view.items() if value is not None}
    headers = _headers(
        event.id, f"/andon/{site}" + (f"/{edge}" if edge else ""), view["type"], event.time, subject
    )
    value = msgspec.json.encode(data | {"lane": event.lane, "seq": event.seq})
    return Message(
        f"{topic}.events", (subject or event.source).encode(), value, headers, event.time
    )


def sample_message(sample: SampleRow, site: str, topic: str) -> Message:
    """The key is the tag; (tag, time) is the id."""
    headers = _headers(
        f"{sample.tag}/{sample.time}", f"/andon/{site}", "sample", sample.time, sample.tag
    )
    value = msgspec.json.encode(
        {"tag": sample.tag, "asset": sample.asset, "time": sample.time, "value": sample.value,
         "quality": sample.quality}
    )  # fmt: skip
    return Message(f"{topic}.samples", sample.tag.encode(), value, headers, sample.time)
