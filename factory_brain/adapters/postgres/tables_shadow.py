"""Tables of shadow counting: nominated points, what was counted, faults, what was told of closings.

Declared here with SQLModel; filled by `shadow_points.py`, `shadow_days.py`, `shadow_faults.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class ShadowOrderRow(SQLModel, table=True):
    """The group's newest nominations of an edge, as they were signed."""

    __tablename__ = "shadow_order"
    edge: str = Field(primary_key=True)
    counter: int = big()
    expires_at: int = big()
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    at: int = big()


class ShadowPointRow(SQLModel, table=True):
    """An alarm point that is or was nominated, with the grid that its days are counted with."""

    __tablename__ = "shadow_point"
    alarm: str = Field(primary_key=True)
    edge: str = Field(index=True)
    active: bool
    source: str
    reason: str
    since: int = big()
    chosen_at: int = big()
    candidate: dict[str, Any] = json_column()
    given: dict[str, Any] = json_column()
    grid: dict[str, Any] = json_column()
    base: str


class ShadowDayRow(SQLModel, table=True):
    """What was counted: a day of a point is counted once for each state of its samples."""

    __tablename__ = "shadow_day"
    alarm: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    revision: int = big()
    rows: int = big()
    until: int = big()
    at: int = big()
    __table_args__ = (Index("shadow_day_day", "day"),)


class FaultRow(SQLModel, table=True):
    """A fault that happened, with or without an alarm."""

    __tablename__ = "plant_fault"
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
    comment: str
    __table_args__ = (
        Index("fault_start", "start", "id"), Index("fault_recorded", "recorded_at"),
        Index("fault_incident", "incident"),
    )  # fmt: skip


class ShadowVerdictRow(SQLModel, table=True):
    """Which fault was held against which point."""

    __tablename__ = "shadow_judged"
    fault: str = Field(primary_key=True)
    alarm: str = Field(primary_key=True)
    fault_revision: int
    revision: int = big()
    rows: int = big()
    coverage: float
    at: int = big()


class OutcomeToldRow(SQLModel, table=True):
    """Occurrences of which the group was told that they are over and nobody has judged them."""

    __tablename__ = "outcome_told"
    occurrence: str = Field(primary_key=True)
    at: int = big()
    __table_args__ = (Index("outcome_told_at", "at"),)
