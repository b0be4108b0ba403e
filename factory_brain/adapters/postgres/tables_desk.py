"""The alarm desk's own tables: attachments and hand-over reports.

Declared here with SQLModel; filled by `attachment_store.py` and `handover_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class AttachmentRow(SQLModel, table=True):
    """A file beside an occurrence or an incident; deleted, its content goes and its row stays."""

    __tablename__ = "attachment"
    id: str = Field(primary_key=True)
    occurrence: str | None = None
    incident: str | None = None
    name: str
    media_type: str
    size: int
    sha256: str
    by: str
    at: int = big()
    content: bytes | None = Field(sa_column=Column(LargeBinary, nullable=True))
    deleted_by: str | None = None
    deleted_at: int | None = big(nullable=True)
    __table_args__ = (
        Index("attachment_occurrence", "occurrence"),
        Index("attachment_incident", "incident"),
    )


class HandoverRow(SQLModel, table=True):
    """What one shift handed over to the next, frozen, and who took it over."""

    __tablename__ = "handover"
    id: str = Field(primary_key=True)
    shift: dict[str, Any] = json_column()
    next_shift: dict[str, Any] = json_column()
    created_at: int = big()
    created_by: str
    note: str
    content: str
    """The content as JSON text, byte for byte: `digest` is of these bytes."""
    digest: str
    counts: dict[str, Any] = json_column()
    signed_at: int | None = big(nullable=True)
    signed_by: str | None = None
    sign_note: str = ""
    __table_args__ = (Index("handover_created", "created_at"),)
