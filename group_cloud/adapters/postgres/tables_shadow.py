"""Tables of shadow counting: counts by day, verdicts on faults, the faults, what was nominated.

Declared here with SQLModel, made by the migrations, filled by `shadow_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class ShadowCountTable(SQLModel, table=True):
    """What each candidate of one alarm point would have told on one day."""

    __tablename__ = "shadow_count"
    site: str = Field(primary_key=True)
    edge: str = Field(primary_key=True)
    alarm: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    revision: int = big()
    since: int = big()
    until: int = big()
    coverage: float
    digest: str
    """Of the grid: days of one digest add up."""
    named: dict[str, Any] = json_column()
    body: dict[str, Any] = json_column()
    """All but the columns of bytes."""
    activations: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    standing: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: int = big()
    __table_args__ = (Index("shadow_count_day", "site", "day"),)


class ShadowVerdictTable(SQLModel, table=True):
    """When each candidate of one alarm point would have told of one fault."""

    __tablename__ = "shadow_verdict"
    site: str = Field(primary_key=True)
    fault: str = Field(primary_key=True)
    alarm: str = Field(primary_key=True)
    edge: str
    revision: int = big()
    fault_revision: int
    coverage: float
    grid: dict[str, Any] = json_column()
    named: dict[str, Any] = json_column()
    delays: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: int = big()
    __table_args__ = (Index("shadow_verdict_alarm", "site", "alarm"),)


class FaultTable(SQLModel, table=True):
    """A fault that happened at a factory."""

    __tablename__ = "fault"
    site: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    revision: int
    asset: str
    line: str
    start: int = big()
    end: int = big()
    cause: str
    actor: str
    recorded_at: int = big()
    alarms: list[str] = json_column()
    incident: str
    withdrawn: bool
    received_at: int = big()
    __table_args__ = (Index("fault_end", "site", "end"),)


class NominationTable(SQLModel, table=True):
    """The newest signed nominations of an edge; their number never goes back."""

    __tablename__ = "nomination"
    site: str = Field(primary_key=True)
    edge: str = Field(primary_key=True)
    counter: int = big()
    fingerprint: str
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: int = big()
    expires_at: int = big()
