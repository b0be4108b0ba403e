"""Tables of early warning: commissioning, windows sent, the group's pushes, judgements, warnings.

Declared here with SQLModel; filled by `warning_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class WarningNormRow(SQLModel, table=True):
    """What a plant's tags were in its commissioning; made once."""

    __tablename__ = "warning_norm"
    plant: str = Field(primary_key=True)
    tags: list[str] = json_column()
    mean: list[float] = json_column()
    sigma: list[float] = json_column()
    days: list[int] = json_column()
    made_at: int = big()


class WarningSentRow(SQLModel, table=True):
    """A window as it was last sent, or found to have no samples."""

    __tablename__ = "warning_sent"
    plant: str = Field(primary_key=True)
    at: int = big(primary_key=True)
    label: int
    fault: str
    revision: int = big()
    sent_at: int = big()


class WarningPushRow(SQLModel, table=True):
    """A push of the group as it was settled; its number is never settled again."""

    __tablename__ = "warning_settled"
    counter: int = big(primary_key=True)
    push: str
    plant: str
    kind: str
    status: str
    code: str
    params: dict[str, Any] = json_column()
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    expires_at: int = big()
    at: int = big()
    __table_args__ = (Index("warning_settled_of", "plant", "counter"),)


class WarningJudgedRow(SQLModel, table=True):
    """What was said of a window, once."""

    __tablename__ = "warning_judged"
    plant: str = Field(primary_key=True)
    at: int = big(primary_key=True)
    push: str
    silent: str
    confidence: float
    threshold: float
    hit: bool
    tags: list[str] = json_column()
    outside: int


class EarlyWarningRow(SQLModel, table=True):
    """A warning; one stands for a line at most."""

    __tablename__ = "early_warning"
    occurrence: str = Field(primary_key=True)
    alarm: str
    line: str
    plant: str
    push: str
    raised_at: int = big()
    since: int = big()
    confidence: float
    threshold: float
    tags: list[str] = json_column()
    outside: int
    many: int
    changed: int = big()
    returned_at: int | None = big(nullable=True)
    acked_by: str | None = None
    acked_at: int | None = big(nullable=True)
    label: str
    label_by: str
    label_at: int | None = big(nullable=True)
    __table_args__ = (
        Index("early_warning_standing", "alarm", unique=True,
              postgresql_where=text("returned_at IS NULL")),
        Index("early_warning_raised", "raised_at"),
    )  # fmt: skip
