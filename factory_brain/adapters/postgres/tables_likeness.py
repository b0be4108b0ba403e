"""What the group said floods resemble, declared with SQLModel, made by the migrations."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big


class FloodLikenessTable(SQLModel, table=True):
    """The newest answer about one incident."""

    __tablename__ = "flood_likeness"
    incident: str = Field(primary_key=True)
    number: int = big()
    expires_at: int = big()
    received_at: int = big()
    body: bytes
    """`FloodAnswer`, as it was signed."""
    __table_args__ = (Index("flood_likeness_expires", "expires_at"),)
