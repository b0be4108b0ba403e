"""Tables of the playbook engine: versions, runs, the path-keyed journal, answers, deliveries."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Index, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class PlaybookVersionRow(SQLModel, table=True):
    """A released document; runs pin its digest."""

    __tablename__ = "playbook_version"
    digest: str = Field(primary_key=True)
    playbook: str = Field(index=True)
    version: int
    semantics: int = 1
    document: dict[str, Any] = json_column()
    at: int = big()


class RunRow(SQLModel, table=True):
    """One run. Every write to it and to its journal carries the fence of its owner."""

    __tablename__ = "run"
    id: str = Field(primary_key=True)
    digest: str
    playbook: str
    version: int
    key: str
    alarm: str | None = None
    occurrence: str | None = None
    context: dict[str, Any] = json_column()
    """alarm, inputs, site, started_by: what expressions see, pinned at the start."""
    status: str
    started_at: int = big()
    ended_at: int | None = big(nullable=True)
    deadline_at: int = big()
    wake_at: int | None = big(nullable=True)
    owner: str | None = None
    lease_until: int = big()
    fence: int = big()
    ask: dict[str, Any] | None = json_column(nullable=True)
    __table_args__ = (
        UniqueConstraint("playbook", "occurrence", name="run_once_per_occurrence"),
        # One live run for each key: a further alarm attaches to it.
        Index(
            "run_live_key", "playbook", "key", unique=True,
            postgresql_where=text("status IN ('running', 'waiting')"),
        ),
        Index(
            "run_due", "wake_at", postgresql_where=text("status IN ('running', 'waiting')")
        ),
    )  # fmt: skip


class JournalRow(SQLModel, table=True):
    """What has happened at one path of a run."""

    __tablename__ = "journal"
    run: str = Field(primary_key=True)
    path: str = Field(primary_key=True)
    attempt: int = Field(primary_key=True)
    phase: str = Field(primary_key=True)
    data: dict[str, Any] = json_column()
    at: int = big()
    n: int = big()
    """Order within the run."""


class SignalRow(SQLModel, table=True):
    """An answer of a person; the first for a path wins."""

    __tablename__ = "signal"
    run: str = Field(primary_key=True)
    path: str = Field(primary_key=True)
    data: dict[str, Any] = json_column()
    at: int = big()


class DeliveryRow(SQLModel, table=True):
    """A webhook on its way: retried by schedule, dead-lettered visibly."""

    __tablename__ = "delivery"
    id: str = Field(primary_key=True)
    """The webhook-id: constant over retries."""
    run: str = Field(index=True)
    path: str
    endpoint: str
    body: dict[str, Any] = json_column()
    schedule: list[int] = json_column()
    attempt: int = 0
    due: int = big()
    status: str = "due"
    """due, delivered or dead."""
    detach: bool = False
    error: str | None = None


class FenceRow(SQLModel, table=True):
    """Commands to one device are ordered by its fence, within an edge epoch."""

    __tablename__ = "device_fence"
    device: str = Field(primary_key=True)
    epoch: str
    fence: int = big()


class NotificationRow(SQLModel, table=True):
    """What was told to whom."""

    __tablename__ = "notification"
    id: str = Field(primary_key=True)
    run: str | None = None
    at: int = big()
    channel: str
    to: list[str] = json_column()
    message: dict[str, str] = json_column()
    told_at: int | None = big(nullable=True)
    """When those who are named were told by their own channels."""
    __table_args__ = (Index("notification_untold", "at", postgresql_where=text("told_at IS NULL")),)
