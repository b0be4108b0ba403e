"""The table of the group's messages to this factory's desk.

Declared here with SQLModel; filled by `mail_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big


class GroupMessageRow(SQLModel, table=True):
    """One message, kept once however often its bag is read."""

    __tablename__ = "group_message"
    id: str = Field(primary_key=True)
    text: str
    priority: int
    author: str
    at: int = big()
    expires_at: int = big()
    received_at: int = big()
    acked_at: int | None = big(nullable=True)
    acked_by: str
    reply: str
    __table_args__ = (Index("group_message_at", "at", "id"),)
