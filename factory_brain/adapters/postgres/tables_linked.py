"""Linked devices: webhooks in and out, notices."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class HookSource(SQLModel, table=True):
    """A linked system as a source of events: its epoch and how far it has counted."""

    __tablename__ = "hook_source"
    link: str = Field(primary_key=True)
    epoch: str
    seq: int = big()


class HookMessage(SQLModel, table=True):
    """A message taken, with the answer it was given: a repetition gets the same."""

    __tablename__ = "hook_message"
    link: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    answer: dict[str, Any] = json_column()
    at: int = big()
    __table_args__ = (Index("hook_message_at", "link", "at"),)


class HookAlarm(SQLModel, table=True):
    """An alarm of a linked system: the brain stands where an edge stands for its own."""

    __tablename__ = "hook_alarm"
    alarm: str = Field(primary_key=True)
    link: str = Field(index=True)
    data: dict[str, Any] = json_column()
    shelved_until: int | None = big(nullable=True)


class HookEvent(SQLModel, table=True):
    """An event of a linked system on its way into the journal."""

    __tablename__ = "hook_event"
    link: str = Field(primary_key=True)
    seq: int = big(primary_key=True)
    event: bytes = Field(sa_column=Column(LargeBinary, nullable=False))


class HookFact(SQLModel, table=True):
    """A person's fact that was applied to a linked system's alarm."""

    __tablename__ = "hook_fact"
    id: str = Field(primary_key=True)
    at: int = big()


class LinkDelivery(SQLModel, table=True):
    """A webhook to a linked system: retried by schedule, dead-lettered visibly."""

    __tablename__ = "link_delivery"
    id: str = Field(primary_key=True)
    """The webhook-id: constant over retries and replays."""
    n: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(), nullable=False, unique=True)
    )
    outbound: str
    type: str
    body: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: int = big()
    attempt: int = 0
    due: int = big()
    status: str = "due"
    """due, delivered or dead."""
    status_code: int | None = None
    error: str | None = None
    ended_at: int | None = big(nullable=True)
    __table_args__ = (
        Index("link_delivery_due", "outbound", "due", postgresql_where=text("status = 'due'")),
        Index("link_delivery_n", "outbound", "status", "n"),
        Index("link_delivery_occurrence", text("occurrence_of_delivery(body)")),
    )


class LinkOutbound(SQLModel, table=True):
    """How a linked system takes what it is told."""

    __tablename__ = "link_outbound"
    outbound: str = Field(primary_key=True)
    disabled_at: int | None = big(nullable=True)
    failing: int = 0
    """Failed attempts since the last success."""
    error: str | None = None


class LinkPosition(SQLModel, table=True):
    """How far linked systems were told of something that is no part of the journal."""

    __tablename__ = "link_position"
    name: str = Field(primary_key=True)
    seq: int = big()


class LinkIncident(SQLModel, table=True):
    """The status of an incident that linked systems were told last."""

    __tablename__ = "link_incident"
    id: str = Field(primary_key=True)
    status: str


class LinkDevice(SQLModel, table=True):
    """A device that is told over MQTT."""

    __tablename__ = "link_device"
    device: str = Field(primary_key=True)
    seq: int = big()
    """Of its newest notice."""
    online: bool = False
    seen_at: int | None = big(nullable=True)


class DeviceNotice(SQLModel, table=True):
    """What a device must acknowledge, in the order of its numbers."""

    __tablename__ = "device_notice"
    device: str = Field(primary_key=True)
    seq: int = big(primary_key=True)
    id: str = Field(unique=True)
    body: dict[str, Any] = json_column()
    at: int = big()
    expires_at: int = big()
    status: str = "waiting"
    """waiting, acknowledged, expired, or dropped (too many waited)."""
    attempts: int = 0
    sent_at: int | None = big(nullable=True)
    ended_at: int | None = big(nullable=True)
    answer: dict[str, Any] | None = json_column(nullable=True)
    __table_args__ = (
        Index(
            "device_notice_waiting", "device", "seq", postgresql_where=text("status = 'waiting'")
        ),
        Index("device_notice_occurrence", text("(body ->> 'occurrence')")),
    )


class DeviceSaid(SQLModel, table=True):
    """What a device said, with the answer it was given: said again, answered the same."""

    __tablename__ = "device_said"
    device: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    answer: dict[str, Any] = json_column()
    at: int = big()
