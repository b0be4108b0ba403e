"""Every event that leaves a factory is a CloudEvent 1.0, in the structured or the binary form.

Source: cloudevents/spec v1.0.2 `spec.md`, "Context Attributes": id, source, specversion and type
are required and not empty; names are lower-case letters and digits; `time` is RFC 3339, `source` a
URI-reference; the JSON format carries `data` as it is. Checked without a library: none is needed.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from factory_brain.adapters.outward import Outside
from factory_brain.adapters.sinks.kafka_messages import Message, event_message, sample_message
from factory_brain.adapters.webhook_sender import HttpWebhooks
from factory_brain.application.playbooks.ports import Delivery
from factory_brain.application.sinks.port import EventRow, SampleRow
from factory_brain.domain.cloud_event import cloud_event
from shared.clock import SystemClock

AT = 1_700_000_000_123
TIME = "2023-11-14T22:13:20.123Z"
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_REFERENCE = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")
VIEWS: list[dict[str, Any]] = [
    {"id": "e-1", "type": "alarm.raised", "time": AT, "alarm": "FUR-01.TT-101.HIHI", "edge": "e1",
     "asset": "FUR-01", "value": 1290.5, "text_zh": "炉温高", "text_en": "hot"},
    {"id": "e-2", "type": "edge.offline", "time": AT, "edge": "e1", "value": None},
    {"id": "e-3", "type": "incident.opened", "time": AT, "asset": "FUR-01"},
]  # fmt: skip


def checked(event: dict[str, Any]) -> dict[str, Any]:
    """The event, if it is one."""
    for name in ("id", "source", "specversion", "type"):
        assert isinstance(event.get(name), str), name
        assert event[name], name
    assert event["specversion"] == "1.0"
    assert _REFERENCE.fullmatch(event["source"])
    for name, value in event.items():
        assert re.fullmatch(r"[a-z0-9]{1,20}", name), name
        assert name == "data" or (isinstance(value, str) and value), name
    assert _RFC3339.fullmatch(event["time"])
    return event


def binary(message: Message) -> dict[str, Any]:
    """A Kafka message's event: attributes are `ce_` headers, the content type is its own."""
    told = {key: value.decode() for key, value in message.headers}
    found = {key.removeprefix("ce_"): value for key, value in told.items() if key[:3] == "ce_"}
    return {**found, "datacontenttype": told["content-type"], "data": json.loads(message.value)}


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view["type"])
def test_what_linked_systems_are_told_comes_back_as_it_was(view: dict[str, Any]) -> None:
    found = checked(json.loads(cloud_event("plant-1", view)))
    assert (found["id"], found["type"]) == (view["id"], f"andon.{view['type']}")
    assert found["time"] == TIME
    assert found["datacontenttype"] == "application/json"
    given = {k: v for k, v in view.items() if v is not None and not k.startswith("text_")}
    words = {"zh": view.get("text_zh", ""), "en": view.get("text_en", "")}
    assert found["data"] == {**given, "text": words}
    assert checked(json.loads(json.dumps(found))) == found


@pytest.mark.parametrize("data", [{}, {"炉": ["°C", None, 1.5, {"a": True}]}, {"text": '"${x}"'}])
def test_what_playbooks_webhooks_tell(tmp_path: Path, data: dict[str, Any]) -> None:
    webhooks = HttpWebhooks(Outside("plant-1", {}, {}, tmp_path), SystemClock())
    body = {"type": "furnace.overtemp.raised", "time": AT, "data": data}
    delivery = Delivery(
        **{**{name: None for name in Delivery.__dataclass_fields__},
           "id": "r:/steps/a", "endpoint": "cmms", "body": body}
    )  # fmt: skip
    found = checked(json.loads(webhooks._body(delivery)))
    assert (found["id"], found["type"], found["time"]) == ("r:/steps/a", body["type"], TIME)
    assert found["data"] == data


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view["type"])
def test_what_kafka_gets_of_events(view: dict[str, Any]) -> None:
    fields = {"id": view["id"], "view": view, "time": AT, "lane": "alarm", "seq": 7,
              "source": "e1"}  # fmt: skip
    names = EventRow.__dataclass_fields__
    row = EventRow(**{**{name: None for name in names}, **fields})  # pyright: ignore[reportArgumentType]
    found = checked(binary(event_message(row, "plant-1", "andon")))
    assert (found["id"], found["type"]) == (view["id"], f"andon.{view['type']}")
    given = {k: v for k, v in view.items() if v is not None}
    assert found["data"] == {**given, "lane": "alarm", "seq": 7}


def test_what_kafka_gets_of_samples() -> None:
    fields = {"tag": "TT-101", "asset": "FUR-01", "time": AT, "value": 1.5, "quality": "good"}
    names = SampleRow.__dataclass_fields__
    row = SampleRow(**{**{name: None for name in names}, **fields})  # pyright: ignore[reportArgumentType]
    found = checked(binary(sample_message(row, "plant-1", "andon")))
    assert (found["id"], found["subject"]) == (f"TT-101/{AT}", "TT-101")
    assert found["data"] == fields


def test_the_check_sees_what_is_no_event() -> None:
    good = json.loads(cloud_event("plant-1", VIEWS[0]))
    for wrong in ({"id": ""}, {"source": "a b"}, {"specversion": "0.3"}, {"Type": "x"},
                  {"time": "yesterday"}, {"subject": ""}):  # fmt: skip
        with pytest.raises(AssertionError):
            checked({**good, **wrong})
