"""Notifications and their delivery log."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class NotifyCaseRow(SQLModel, table=True):
    """An occurrence on a ladder."""

    __tablename__ = "notify_case"
    id: str = Field(primary_key=True)
    occurrence: str = Field(index=True)
    alarm: str
    ladder: str
    rule: str
    edge: str
    priority: int
    version: int
    """The annunciated version that put it on the ladder: a newer one starts it again."""
    at: int = big()
    base: int = big()
    status: str
    why: str
    round: int
    step: int
    told: int
    stepped_at: int = big()
    nag_at: int | None = big(nullable=True)
    due: int | None = big(nullable=True)
    ack_until: int | None = big(nullable=True)
    unreached: bool
    ack_over: bool
    answered: bool
    __table_args__ = (
        Index("notify_case_due", "priority", "due", postgresql_where=text("due IS NOT NULL")),
    )


class NotifyMessageRow(SQLModel, table=True):
    """One message to one person: queued, gathered, summarised, sent or failed."""

    __tablename__ = "notify_message"
    id: str = Field(primary_key=True)
    person: str
    kind: str
    case_id: str | None = None
    n: int
    """Which telling of the case it belongs to."""
    occurrence: str
    alarm: str
    version: int
    edge: str
    priority: int
    facts: dict[str, Any] = json_column()
    kinds: list[str] = json_column()
    """Kinds of channel that the step asks for."""
    at: int = big()
    due: int | None = big(nullable=True)
    status: str
    reason: str
    channel: int
    attempt: int
    summary: str | None = None
    ended_at: int | None = big(nullable=True)
    confirmed_at: int | None = big(nullable=True)
    claims: int
    """How often it was taken in hand; only the newest claim settles it."""
    __table_args__ = (
        Index("notify_message_due", "status", "due", postgresql_where=text("due IS NOT NULL")),
        Index("notify_message_person", "person", "at"),
        Index("notify_message_case", "case_id", "n"),
        Index("notify_message_confirmed", "confirmed_at"),
    )


class NotifyLogRow(SQLModel, table=True):
    """The delivery log: every attempt and every reason why there was none."""

    __tablename__ = "notify_log"
    n: int = Field(sa_column=Column(BigInteger, Identity(), primary_key=True))
    at: int = big()
    outcome: str
    """queued, sent, failed, retried, summarised, held, escalated, confirmed or ended."""
    message: str | None = None
    person: str
    kind: str
    channel: str
    occurrence: str
    alarm: str
    priority: int
    reason: str
    latency_ms: int | None = big(nullable=True)
    __table_args__ = (
        Index("notify_log_person", "person", "n"),
        Index("notify_log_occurrence", "occurrence", "n"), Index("notify_log_at", "at"),
    )  # fmt: skip


class RosterOverrideRow(SQLModel, table=True):
    """Leave or a swap that somebody entered."""

    __tablename__ = "roster_override"
    id: str = Field(primary_key=True)
    roster: str = Field(index=True)
    since: int = big()
    until: int = big()
    instead_of: str | None = None
    by: str | None = None
    why: str
    actor: str
    at: int = big()
    cancelled_at: int | None = big(nullable=True)


class NotifyKeyRow(SQLModel, table=True):
    """The key by which links in messages are signed: the same for all brains of the site."""

    __tablename__ = "notify_key"
    id: int = Field(primary_key=True, sa_column_kwargs={"autoincrement": False})
    key: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
