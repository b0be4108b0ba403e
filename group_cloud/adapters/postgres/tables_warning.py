"""Tables of early warning at the group: plants, windows, learners, models, what went down.

Declared here with SQLModel; filled by `warning_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class WarningPlantRow(SQLModel, table=True):
    """A plant of a factory that sent windows."""

    __tablename__ = "warning_plant"
    site: str = Field(primary_key=True)
    plant: str = Field(primary_key=True)
    line: str
    tags: list[str] = json_column()
    at: int = big()


class WarningWindowRow(SQLModel, table=True):
    """A labelled window in its newest revision; label -1: nobody says anything of it any more."""

    __tablename__ = "warning_window"
    plant: str = Field(primary_key=True)
    at: int = big(primary_key=True)
    site: str = Field(primary_key=True)
    revision: int = big()
    label: int
    fault: str
    vector: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    learnt: bool
    received_at: int = big()
    __table_args__ = (
        Index("warning_window_new", "plant", "at", postgresql_where=text("NOT learnt")),
    )


class WarningLearnerRow(SQLModel, table=True):
    """A learner's state after a whole day."""

    __tablename__ = "warning_learner"
    tenant: str = Field(primary_key=True)
    plant: str = Field(primary_key=True)
    day: int
    """The last day that it learnt."""
    state: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    figures: dict[str, Any] = json_column()
    sites: list[str] = json_column()
    at: int = big()


class WarningModelRow(SQLModel, table=True):
    """A frozen model, proposed to people."""

    __tablename__ = "warning_model"
    id: str = Field(primary_key=True)
    tenant: str
    plant: str
    tags: list[str] = json_column()
    status: str
    model: dict[str, Any] = json_column()
    figures: dict[str, Any] = json_column()
    created_at: int = big()
    first_by: str
    decided_by: str
    decided_at: int | None = big(nullable=True)
    reason: str
    __table_args__ = (Index("warning_model_of", "tenant", "plant", "created_at"),)


class WarningPushedRow(SQLModel, table=True):
    """What was signed for one factory, under a number that only rises."""

    __tablename__ = "warning_push"
    id: str = Field(primary_key=True)
    model: str
    site: str
    plant: str
    counter: int = big()
    kind: str
    status: str
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    expires_at: int = big()
    code: str
    params: dict[str, Any] = json_column()
    at: int = big()
    __table_args__ = (
        Index("warning_push_number", "site", "counter", unique=True),
        Index("warning_push_of", "model"),
    )
