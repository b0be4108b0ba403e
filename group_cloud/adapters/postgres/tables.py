"""The cloud's own tables: factories, their events and outcomes, models, proposals, rollouts.

Declared here with SQLModel, made by the migrations, read and written by the stores beside it.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from shared.postgres import tables as common
from shared.postgres.tables import big, json_column

__all__ = [
    "CounterRow",
    "FactoryTable",
    "GroupEventRow",
    "ModelVersionRow",
    "OutcomeRow",
    "PlaybookOutcomeRow",
    "ProposalTable",
    "RolloutTable",
    "common",
]


class FactoryTable(SQLModel, table=True):
    """One factory: newest totals, when heard, how much it has sent."""

    __tablename__ = "factory"
    site: str = Field(primary_key=True)
    names: dict[str, str] = json_column()
    active: int = 0
    unacked: int = 0
    worst_priority: int | None = None
    edges_online: int = 0
    edges_total: int = 0
    events: int = big()
    last_seen: int | None = big(nullable=True)
    tenant: str = Field(default="default", foreign_key="tenant.id", index=False)
    uncounted: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    """Occurrences too old, or of a clock too wrong, for the figures."""
    __table_args__ = (Index("factory_tenant", "tenant"),)


class GroupEventRow(SQLModel, table=True):
    """The group's journal by days; the watermark keeps a position from coming twice."""

    __tablename__ = "group_event"
    source: str = Field(primary_key=True)
    epoch: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    seq: int = big(primary_key=True)
    site: str
    id: str
    type: str
    time: int = big()
    received_at: int = big(primary_key=True)
    alarm: str | None = None
    occurrence: str | None = None
    body: dict[str, Any] = json_column()
    __table_args__ = (
        Index(
            "group_event_occurrence", "site", "occurrence",
            postgresql_where=text("occurrence IS NOT NULL"),
        ),
        Index("group_event_alarm", "site", "alarm", "time",
              postgresql_where=text("alarm IS NOT NULL")),
        Index("group_event_time", "time", postgresql_using="brin"),
        {"postgresql_partition_by": "RANGE (received_at)"},
    )  # fmt: skip


class OutcomeRow(SQLModel, table=True):
    """An occurrence with its newest label and the candidates' verdicts."""

    __tablename__ = "outcome"
    site: str = Field(primary_key=True)
    occurrence: str = Field(primary_key=True)
    edge: str
    alarm: str
    label: str
    raised_at: int = big()
    received_at: int = big()
    revision: int = Field(sa_column=Column(BigInteger, Identity(), nullable=False))
    """Rises with every change: a label corrected while it was being learnt is learnt again."""
    trained: bool = False
    said_at: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    """When the factory said it: what was said earlier and comes later changes nothing."""
    cause: str = ""
    body: dict[str, Any] = json_column()
    __table_args__ = (
        Index("outcome_cause", "site", "cause", postgresql_where=text("cause <> ''")),
        Index("outcome_point", "site", "edge", "alarm", "raised_at"),
        Index(
            "outcome_judged", "site", "alarm",
            postgresql_where=text(
                "label IN ('true', 'nuisance') OR (label = '' AND body->>'dismissed' = 'true')"
            ),
        ),
        Index("outcome_untrained", "site", postgresql_where=text("NOT trained")),
    )  # fmt: skip


class PlaybookOutcomeRow(SQLModel, table=True):
    """The end of a playbook run."""

    __tablename__ = "playbook_outcome"
    site: str = Field(primary_key=True)
    run: str = Field(primary_key=True)
    playbook: str
    status: str
    received_at: int = big()
    version: int = 0
    release: str = ""
    """The digest of the very text that ran."""
    variant: str = ""
    alarm: str = ""
    occurrence: str = ""
    success: bool | None = None
    started_at: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    ended_at: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    duration_s: float | None = None
    drill: bool = False
    body: dict[str, Any] = json_column()
    __table_args__ = (
        Index("playbook_outcome_ended", "ended_at", "site", "run"),
        Index("playbook_outcome_of", "playbook", "version", "variant"),
    )


class ModelVersionRow(SQLModel, table=True):
    """A learnt model's state as plain data."""

    __tablename__ = "model_version"
    model: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    parent: int | None = None
    fingerprint: str
    created_at: int = big()
    data: dict[str, Any] = json_column()


class ProposalTable(SQLModel, table=True):
    """A proposed setting; at most one open per alarm point."""

    __tablename__ = "proposal"
    id: str = Field(primary_key=True)
    site: str
    edge: str
    alarm: str
    status: str
    created_at: int = big()
    decided_at: int | None = big(nullable=True)
    decided_by: str | None = None
    reason: str | None = None
    current: dict[str, Any] = json_column()
    proposed: dict[str, Any] = json_column()
    fingerprint: str
    nuisance: int
    body: dict[str, Any] = json_column()
    __table_args__ = (
        Index(
            "proposal_one_open", "site", "edge", "alarm", unique=True,
            postgresql_where=text("status = 'open'"),
        ),
        Index("proposal_point", "site", "edge", "alarm", "created_at"),
    )  # fmt: skip


class RolloutTable(SQLModel, table=True):
    """A signed directive and where it stands."""

    __tablename__ = "rollout"
    directive: str = Field(primary_key=True)
    plan: str = Field(index=True)
    stage: str
    kind: str
    proposals: list[str] = json_column()
    site: str
    edge: str
    counter: int = big()
    status: str
    changes: dict[str, Any] = json_column()
    """Alarm -> the setting that this directive brings."""
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    expires_at: int = big()
    at: int = big()
    code: str | None = None
    params: dict[str, Any] | None = json_column(nullable=True)
    withdrawn: list[str] = json_column()
    __table_args__ = (
        Index("rollout_number", "site", "edge", text("(kind = 'dry_run')"), "counter", unique=True),
        Index("rollout_proposals", "proposals", postgresql_using="gin"),
        Index(
            "rollout_unheard", "status", postgresql_where=text("status IN ('signed', 'sent')")
        ),
    )  # fmt: skip


class CounterRow(SQLModel, table=True):
    """The last directive number of each target: it never goes back."""

    __tablename__ = "directive_counter"
    site: str = Field(primary_key=True)
    edge: str = Field(primary_key=True)
    counter: int = big()


class AuditWitness(SQLModel, table=True):
    """The heads of the factories' audit chains, as they sent them."""

    __tablename__ = "audit_witness"
    site: str = Field(primary_key=True)
    id: int = big(primary_key=True)
    hash: str = Field(primary_key=True)
    at: int = big()
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: int = big()
