"""Shapes of linked systems and devices: links, deliveries, notices.

Part of the REST interface beside `dto.py`; no rule lives here. Times are UTC milliseconds.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from pydantic import ConfigDict, Field, model_validator

from shared.web.dto_base import Dto, Text

DeliveryStatus = Literal["due", "delivered", "dead"]
LINK_ID = r"^[a-z0-9][a-z0-9-]*$"
DELIVERY_ID = r"^[!-~]+$"
MOST_BYTES = 4_096
NoticeStatus = Literal["waiting", "acknowledged", "expired", "dropped"]


class HookAnswer(Dto):
    """What became of an inbound message; a repetition gets the same with `duplicate`."""

    id: str
    result: str
    """raised, returned, unchanged, recorded, older, ignored or too_many_alarms."""
    alarm: str | None = None
    occurrence: str | None = None
    duplicate: bool = False


class InboundLink(Dto):
    """A linked system that reports."""

    id: str
    name: Text
    verify: str
    events: int
    alarms: int
    last_at: int | None


class OutboundLink(Dto):
    """A linked system that is told by webhook."""

    id: str
    endpoint: str
    order: str
    due: int
    delivered: int
    dead: int
    failing: int
    """Failed attempts since the last success."""
    disabled_at: int | None
    error: str | None


class Links(Dto):
    """All webhooks of the site."""

    inbound: list[InboundLink]
    outbound: list[OutboundLink]


class Delivery(Dto):
    """One webhook on its way or at its end."""

    id: str
    outbound: str
    type: str
    at: int
    attempt: int
    due: int
    status: DeliveryStatus
    status_code: int | None
    error: str | None
    ended_at: int | None
    body: dict[str, Any]


class DeliveryPage(Dto):
    """Deliveries, newest first."""

    items: list[Delivery]
    next: str | None = None


class ReplayRequest(Dto):
    """Which dead deliveries to try again: one, those of one link, or all."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"outbound": "cmms"}]})

    delivery: str | None = Field(default=None, max_length=200, pattern=DELIVERY_ID)
    outbound: str | None = Field(default=None, max_length=64, pattern=LINK_ID)


class Replayed(Dto):
    """How many are due again."""

    replayed: int


class LinkedDeviceOut(Dto):
    """A device that is told over MQTT."""

    id: str
    kind: str
    name: Text
    online: bool
    seen_at: int | None
    state: dict[str, Any]
    """What it shows now, as retained by the broker."""
    waiting: int
    oldest_at: int | None
    acknowledged: int
    expired: int
    dropped: int


class LinkedDevices(Dto):
    """All devices of the site that are told over MQTT."""

    broker: bool
    """Whether the broker is connected."""
    items: list[LinkedDeviceOut]


class DeviceNoticeOut(Dto):
    """One notice to a device."""

    id: str
    seq: int
    at: int
    status: NoticeStatus
    attempts: int
    sent_at: int | None
    ended_at: int | None
    expires_at: int
    body: dict[str, Any]
    answer: dict[str, Any] | None


class NoticePage(Dto):
    """Notices of a device, newest first."""

    items: list[DeviceNoticeOut]
    next: str | None = None


class NoticeRequest(Dto):
    """A notice or an order to a device."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"text": {"zh": "请到炉区", "en": "Come to the furnace"}},
                {"text": {"zh": "去 FUR-01", "en": "Go to FUR-01"}, "order": {"go_to": "FUR-01"}},
            ]
        }
    )

    text: Text
    order: dict[str, Any] = Field(default_factory=dict, max_length=20)
    priority: int = Field(default=3, ge=1, le=4)

    @model_validator(mode="after")
    def _sendable(self) -> NoticeRequest:
        """What can be neither stored nor sent is refused here."""
        try:
            body = msgspec.json.encode(self.model_dump())
        except (OverflowError, RecursionError) as error:
            raise ValueError("a number is too large or the order too deep") from error
        if len(body) > MOST_BYTES or b"\\u0000" in body:
            raise ValueError(f"at most {MOST_BYTES} bytes, without NUL characters")
        return self


class Accepted(Dto):
    """It was taken."""

    id: str
