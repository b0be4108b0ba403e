"""Tables of what starts playbooks: what has fired, what is held or gathered, how far was looked.

Declared here with SQLModel; filled by `trigger_store.py` alone, under its one lock.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class TriggerFired(SQLModel, table=True):
    """What a trigger came to, once for all: a run's start, or why there is none of its own."""

    __tablename__ = "trigger_fired"
    id: str = Field(primary_key=True)
    """Follows from what fired it; the id of the run, if it got one of its own."""
    n: int | None = Field(
        default=None, sa_column=Column(BigInteger, Identity(), nullable=False, unique=True)
    )
    """The order of decisions: queued runs start in it."""
    playbook: str
    trigger: str
    key: str
    at: int = big()
    """When it happened, by the clock of its source."""
    decided_at: int = big()
    alarm: str | None = None
    occurrence: str | None = None
    outcome: str
    """started, queued, attached, ignored, throttled, gone, dipped, missed, superseded, too_deep,
    faulty."""
    run: str | None = None
    """The run that it started, waits for or joined."""
    why: str = Field(default="", sa_column_kwargs={"server_default": ""})
    """What is wrong with a faulty one."""
    __table_args__ = (
        Index("trigger_fired_occurrence", "occurrence"),
        Index("trigger_fired_run", "run", "outcome"),
        Index("trigger_fired_decided", "decided_at"),
        Index(
            "trigger_fired_queued", "playbook", "key", "n",
            postgresql_where=text("outcome = 'queued'"),
        ),
    )  # fmt: skip


class TriggerHeld(SQLModel, table=True):
    """An alarm that must stand for a while before its trigger fires."""

    __tablename__ = "trigger_held"
    id: str = Field(primary_key=True)
    playbook: str
    trigger: str
    occurrence: str = Field(index=True)
    due: int = big()
    firing: dict[str, Any] = json_column()
    __table_args__ = (Index("trigger_held_due", "due"),)


class TriggerWindow(SQLModel, table=True):
    """What a throttled trigger has gathered, for one value of its `by`."""

    __tablename__ = "trigger_window"
    playbook: str = Field(primary_key=True)
    trigger: str = Field(primary_key=True)
    by: str = Field(primary_key=True)
    since: int = big()
    until: int = big()
    count: int
    due: int | None = big(nullable=True)
    """When it fires by itself."""
    firing: dict[str, Any] | None = json_column(nullable=True)
    __table_args__ = (
        Index("trigger_window_due", "due", postgresql_where=text("due IS NOT NULL")),
        Index("trigger_window_until", "until"),
    )


class TriggerSeen(SQLModel, table=True):
    """How far something was looked at: a cron trigger's minutes, the incidents' changes."""

    __tablename__ = "trigger_seen"
    name: str = Field(primary_key=True)
    through: int = big()
    says: str = ""
    """The cron line that this counts for: another one begins anew."""


class TriggerIncident(SQLModel, table=True):
    """What an incident was when triggers looked at it last."""

    __tablename__ = "trigger_incident"
    id: str = Field(primary_key=True)
    status: str
    priority: int
    at: int = big()
    __table_args__ = (Index("trigger_incident_at", "at"),)
