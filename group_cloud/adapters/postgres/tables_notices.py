"""Tables of drift notices and of what is learnt of nuisance.

Declared here with SQLModel, made by the migrations, read and written by `notice_store.py`,
`nuisance_store.py` and `shelving_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class DriftWatchTable(SQLModel, table=True):
    """How far a factory's days have been fed to its drift watch, and what the watch holds."""

    __tablename__ = "drift_watch"
    site: str = Field(primary_key=True)
    feed: str = Field(primary_key=True)
    """rates or labels: they are complete at different times."""
    began: int
    """The day from which points that never raised count as silent."""
    day: int
    """The newest day that was fed."""
    at: int = big()
    data: dict[str, Any] = json_column()


class DriftNoticeTable(SQLModel, table=True):
    """Something is no longer as it was: a person looks why."""

    __tablename__ = "drift_notice"
    id: str = Field(primary_key=True)
    site: str
    what: str
    """alarms, judged, dismissed or forecast."""
    alarm: str
    """Empty: the whole factory."""
    edge: str
    kind: str
    day: int
    before: float
    now: float
    trend: list[Any] = json_column()
    state: str
    """open, taken, closed."""
    opened_at: int = big()
    taken_at: int | None = big(nullable=True)
    taken_by: str
    closed_at: int | None = big(nullable=True)
    closed_by: str
    reason: str
    __table_args__ = (
        Index(
            "drift_notice_one_open", "site", "what", "alarm", unique=True,
            postgresql_where=text("state <> 'closed'"),
        ),
        Index("drift_notice_opened", "opened_at"),
    )  # fmt: skip


class NuisanceLabelTable(SQLModel, table=True):
    """One verdict as it was learnt: what was known when the alarm came up, and what was said of it
    before the verdict was."""

    __tablename__ = "nuisance_label"
    site: str = Field(primary_key=True)
    occurrence: str = Field(primary_key=True)
    alarm: str
    place: int = big()
    """In the order of learning."""
    nuisance: bool
    raised_at: int = big()
    seen: list[Any] = json_column()
    logistic: float | None = None
    bayes: float | None = None
    said: float | None = None
    """The champion's probability, frequencies taken into account."""
    __table_args__ = (Index("nuisance_label_place", "site", "place"),)


class NuisanceModelTable(SQLModel, table=True):
    """A factory's nuisance ranker as plain data."""

    __tablename__ = "nuisance_model"
    site: str = Field(primary_key=True)
    learnt: int = big()
    """The place of the newest verdict in it."""
    champion: str
    at: int = big()
    data: dict[str, Any] = json_column()
    floor: int = big()
    """Verdicts up to this revision are too old to be learnt."""


class NuisancePointTable(SQLModel, table=True):
    """How probably an alarm of this point is nuisance, and what that rests on."""

    __tablename__ = "nuisance_point"
    site: str = Field(primary_key=True)
    alarm: str = Field(primary_key=True)
    edge: str
    probability: float
    low: float
    high: float
    labels: int
    nuisance: int
    raised: int
    """In the last week."""
    last_true_at: int | None = big(nullable=True)
    because: list[str] = json_column()
    at: int = big()


class ShelvingProposalTable(SQLModel, table=True):
    """A point that people could shelve or look at; people decide, at the group and at the desk."""

    __tablename__ = "shelving_proposal"
    id: str = Field(primary_key=True)
    site: str
    edge: str
    alarm: str
    kind: str
    """shelve or review."""
    hours: int
    status: str
    """open, approved, rejected, withdrawn."""
    labels: int
    evidence: dict[str, Any] = json_column()
    created_at: int = big()
    decided_at: int | None = big(nullable=True)
    decided_by: str
    reason: str
    message: str
    """The message to the factory's desk."""
    __table_args__ = (
        Index(
            "shelving_proposal_one_open", "site", "alarm", unique=True,
            postgresql_where=text("status = 'open'"),
        ),
        Index("shelving_proposal_point", "site", "alarm", "created_at"),
    )  # fmt: skip
