"""Tables of the memory of floods: what is followed, what was answered, what is remembered.

Declared here with SQLModel, made by the migrations, filled by `flood_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class FloodTable(SQLModel, table=True):
    """One flood that a factory has told of, and how far it has been looked at."""

    __tablename__ = "flood"
    site: str = Field(primary_key=True)
    incident: str = Field(primary_key=True)
    revision: int = big()
    first_at: int = big()
    ended_at: int | None = big(nullable=True)
    goes_on: bool
    begun_at: int = big()
    """When the group took it up."""
    asked: int
    settled: bool
    cause: str
    number: int = big()
    """Counts what its factory was told."""
    told: str
    __table_args__ = (
        Index("flood_open", "first_at", postgresql_where=sql("goes_on AND NOT settled")),
        Index("flood_begun", "begun_at"),
    )


class FloodAnswerTable(SQLModel, table=True):
    """What was said of a flood at a horizon, and whether its cause was new."""

    __tablename__ = "flood_answer"
    site: str = Field(primary_key=True)
    incident: str = Field(primary_key=True)
    horizon: int = Field(primary_key=True)
    at: int = big()
    tenant: str
    known: bool
    settled: bool
    why: str
    trust: float
    remembered: int
    complete: bool
    nearest: dict[str, Any] | None = json_column(nullable=True)
    others: list[dict[str, Any]] = json_column()
    novel: bool | None


class FloodEpisodeTable(SQLModel, table=True):
    """A flood that is over and whose cause people recorded."""

    __tablename__ = "flood_episode"
    site: str = Field(primary_key=True)
    incident: str = Field(primary_key=True)
    revision: int = big()
    at: int = big()
    cause: str
    cause_names: dict[str, str] = json_column()
    done: list[dict[str, Any]] = json_column()
    words: str
    took_min: float
    alarms: list[Any] = json_column()
    learned_at: int = big()
    forgotten: bool
