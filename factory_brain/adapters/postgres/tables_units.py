"""Product units, batches and their passages."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, Column, Index, String, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


def _word(key: bool = False) -> Any:
    """A name compared byte by byte."""
    return Field(sa_column=Column(String(collation="C"), primary_key=key, nullable=False))


class UnitPassage(SQLModel, table=True):
    """One stay of one unit in one station; filled by `unit_store.py`."""

    __tablename__ = "unit_passage"
    station: str = _word(key=True)
    unit: str = _word(key=True)
    entered_at: int = big(primary_key=True)
    left_at: int | None = big(nullable=True)
    batch: str = _word()
    asset: str
    source: str
    """`tag`, `rest:<who>` or `link:<which>`."""
    attributes: dict[str, Any] = json_column()
    reported_at: int = big()
    __table_args__ = (
        CheckConstraint("left_at IS NULL OR left_at >= entered_at", "unit_passage_forward"),
        Index("unit_passage_unit", "unit", "entered_at"),
        Index("unit_passage_batch", "batch", "entered_at", postgresql_where=text("batch <> ''")),
        Index("unit_passage_station", "station", "entered_at"),
        Index("unit_passage_entered", "entered_at", "station", "unit"),
        Index(
            "unit_passage_stay", text("int8range(entered_at, left_at, '[]')"),
            postgresql_using="gist",
        ),
    )  # fmt: skip


class UnitRelation(SQLModel, table=True):
    """The genealogy: a child was assembled into its parent, or split from it."""

    __tablename__ = "unit_relation"
    parent: str = _word(key=True)
    child: str = _word(key=True)
    kind: str = Field(primary_key=True)
    at: int = big()
    station: str
    source: str
    __table_args__ = (Index("unit_relation_child", "child"),)
