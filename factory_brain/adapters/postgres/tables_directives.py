"""Tables of directives that wait for people: their answers, and what the edges' trials told.

Declared here with SQLModel; read and written by `waiting_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big


class DirectiveConsentRow(SQLModel, table=True):
    """What one person said of one directive."""

    __tablename__ = "directive_consent"
    edge: str = Field(primary_key=True)
    counter: int = big(primary_key=True)
    actor: str = Field(primary_key=True)
    accept: bool
    reason: str
    at: int = big()


class DirectiveTrialRow(SQLModel, table=True):
    """What an edge found when it replayed its own signal with the new setting of an alarm."""

    __tablename__ = "directive_trial"
    rollout: str = Field(primary_key=True)
    edge: str = Field(primary_key=True)
    alarm: str = Field(primary_key=True)
    before: int
    """Alarms with the setting that runs."""
    after: int
    coverage_s: float
    at: int = big()
    __table_args__ = (Index("directive_trial_at", "at"),)
