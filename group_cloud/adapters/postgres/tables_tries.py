"""The table of settings that people try before they propose any.

Declared here with SQLModel; read and written by `try_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class SettingTryTable(SQLModel, table=True):
    """One question to a factory, and its answer once it has come."""

    __tablename__ = "setting_try"
    id: str = Field(primary_key=True)
    site: str
    edge: str
    alarm: str
    current: dict[str, Any] = json_column()
    proposed: dict[str, Any] = json_column()
    digest: str
    asked_by: str
    asked_at: int = big()
    answered_at: int | None = big(nullable=True)
    body: dict[str, Any] | None = json_column(nullable=True)
    __table_args__ = (Index("setting_try_asked", "asked_at"),)
