"""Tables of the playbook engine: versions, runs, the path-keyed journal, answers, deliveries."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


def _json(empty: str) -> Any:
    return Field(sa_column=Column(JSONB(), nullable=False, server_default=empty))


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
    asks: list[dict[str, Any]] = _json("[]")
    """The questions that are open."""
    control: dict[str, Any] = _json("{}")
    """What people told it: cancel, suspend."""
    watch: list[str] = _json("[]")
    """Tags of the site whose change may end its wait."""
    priority: int = Field(default=3, sa_column_kwargs={"server_default": "3"})
    slot: int = Field(default=0, sa_column_kwargs={"server_default": "0"})
    """Live runs of one key differ in it."""
    news: int = Field(default=0, sa_column=Column(BigInteger(), nullable=False, server_default="0"))
    """Counts what has become known from outside, so that a run's owner notices."""
    __table_args__ = (
        Index("run_occurrence", "occurrence"),
        Index("run_of_playbook", "playbook", "started_at"),
        Index("run_ended", "ended_at", postgresql_where=text("ended_at IS NOT NULL")),
        # The runs of a key that have not ended: a further alarm is weighed against them.
        Index("run_of_key", "playbook", "key", postgresql_where=text("ended_at IS NULL")),
        Index(
            "run_due", "wake_at", postgresql_where=text("status IN ('running', 'waiting')")
        ),
        Index("run_held", "owner", postgresql_where=text("owner IS NOT NULL")),
        Index(
            "run_watching", "id",
            postgresql_where=text("watch <> '[]'::jsonb AND status IN ('running', 'waiting')"),
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
    at: int = big()
    """When it was handed over; the schedule counts from there."""
    attempt: int = 0
    due: int = big()
    status: str = "due"
    """due, delivered or dead."""
    detach: bool = False
    error: str | None = None
    __table_args__ = (Index("delivery_due", "due", postgresql_where=text("status = 'due'")),)


class VoteRow(SQLModel, table=True):
    """What one person chose where several must choose the same."""

    __tablename__ = "vote"
    run: str = Field(primary_key=True)
    path: str = Field(primary_key=True)
    who: str = Field(primary_key=True)
    answer: str
    comment: str
    at: int = big()


class IncidentWordRow(SQLModel, table=True):
    """What a playbook said of an incident that is not there yet."""

    __tablename__ = "incident_word"
    id: str = Field(primary_key=True)
    run: str
    playbook: str
    occurrence: str
    path: str
    data: dict[str, Any] = json_column()
    at: int = big()


class EmittedRow(SQLModel, table=True):
    """An event that a playbook wrote; others may answer it."""

    __tablename__ = "emitted"
    n: int | None = Field(
        default=None, sa_column=Column(BigInteger(), Identity(always=False), primary_key=True)
    )
    id: str
    """run:path, so that it is there once."""
    run: str
    path: str
    type: str
    data: dict[str, Any] = json_column()
    at: int = big()
    xid: int = Field(
        default=0,
        sa_column=Column(
            BigInteger(), nullable=False,
            server_default=text("((pg_current_xact_id())::text)::bigint"),
        ),
    )  # fmt: skip
    """Its transaction: a reader takes what is older than the oldest one under way."""
    __table_args__ = (
        UniqueConstraint("id", name="emitted_once"), Index("emitted_at", "at"),
        Index("emitted_place", "xid", "n"),
    )  # fmt: skip


class EndpointOffRow(SQLModel, table=True):
    """An endpoint that answered 410 Gone: nothing is sent there until a person says so."""

    __tablename__ = "endpoint_off"
    endpoint: str = Field(primary_key=True)
    at: int = big()
    reason: str


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
    __table_args__ = (
        Index("notification_untold", "at", postgresql_where=text("told_at IS NULL")),
        Index("notification_run", "run"),
    )
