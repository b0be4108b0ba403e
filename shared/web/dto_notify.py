"""Shapes of notifications: the delivery log, who has duty, leave and swaps, answers by link.

Part of the REST interface beside `dto.py`; no rule lives here. Times are UTC milliseconds.
"""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field

from shared.web.dto_base import Dto, Text

LATEST = 4_102_444_800_000
"""The year 2100: what is later is a slip of the pen."""
Outcome = Literal[
    "queued", "sent", "retried", "failed", "summarised", "held", "escalated", "confirmed", "ended"
]


class NotificationEntry(Dto):
    """One line of the delivery log."""

    n: int
    at: int
    outcome: Outcome
    message: str | None
    """None for what a ladder does itself: `escalated`, `ended`, nobody on duty."""
    person: str
    kind: str
    channel: str
    occurrence: str
    alarm: str
    priority: int
    reason: str
    latency_ms: int | None


class NotificationPage(Dto):
    """The delivery log, newest first."""

    items: list[NotificationEntry]
    next: str | None = None


class NotifyPerson(Dto):
    """Somebody who can be told; addresses are not shown."""

    id: str
    name: Text
    language: Literal["zh", "en"]
    channels: list[str]


class OnCallRoster(Dto):
    """Who has duty on a roster."""

    roster: str
    name: Text
    person: str | None
    """None: nobody."""
    person_name: Text | None
    layer: int | None
    override: str | None
    until: int
    """Until then it is sure."""


class OnCallList(Dto):
    """Who has duty at a time."""

    at: int
    rosters: list[OnCallRoster]
    people: list[NotifyPerson]


class NotificationTest(Dto):
    """Whom to send a test message, by which channel (none: the first that may be used)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"person": "li-wei", "channel": 0}]})

    person: str = Field(max_length=64)
    channel: int | None = Field(default=None, ge=0, le=9)


class NotificationAccepted(Dto):
    """It was taken; its lines in the log have this id."""

    id: str


class OverrideRequest(Dto):
    """Leave or a swap: `by` stands in for `instead_of`; one of them may be left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"since": 1767225600000, "until": 1767312000000, "instead_of": "li-wei",
                 "by": "wang-fang", "why": "leave"}
            ]
        }
    )  # fmt: skip

    since: int = Field(ge=0, le=LATEST)
    until: int = Field(ge=0, le=LATEST)
    instead_of: str | None = Field(default=None, max_length=64)
    by: str | None = Field(default=None, max_length=64)
    why: str = Field(min_length=1, max_length=500)


class NotificationLink(Dto):
    """What a message's link is about; nothing is done by looking."""

    person: str
    kind: str
    alarm: str
    occurrence: str
    priority: int
    name: Text
    at: int


class NotificationAnswer(Dto):
    """What an answer by link did."""

    alarm: str
    occurrence: str
    result: str
    """acknowledged, already_acknowledged, noted, or the code of the desk's refusal."""
