"""Leases of several brains."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Column, DateTime, Identity, Index, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big


def _moment(default: str | None = None) -> Any:
    made = text(default) if default else None
    return Field(sa_column=Column(DateTime(timezone=True), nullable=False, server_default=made))


class BrainRow(SQLModel, table=True):
    """One brain of this factory that runs, or ended without saying so."""

    __tablename__ = "brain"
    name: str = Field(primary_key=True)
    boot: str = Field(primary_key=True)
    """One start of it; two brains of one name are two."""
    seen_at: datetime = _moment()
    attended: bool
    """Whether somebody who may acknowledge watches one of its consoles."""
    horn: list[str] = Field(sa_column=Column(JSON, nullable=False))
    """Edges whose horn it holds for all brains."""
    life: str
    """The process that it is (see `shared/lives.py`); empty where that cannot be told."""
    address: str
    """From where the database is asked by it; empty: by a socket of the same machine."""


class LeaseRow(SQLModel, table=True):
    """What one brain alone does: `leader`, and each source."""

    __tablename__ = "lease"
    name: str = Field(primary_key=True)
    holder: str
    fence: int = big()
    """Counts the holders: what an earlier one still writes is refused."""
    until: datetime = _moment()
    ttl_ms: int
    """What its holder adds at each renewal: no lease ends later than that from now."""


class BrainNewsRow(SQLModel, table=True):
    """That something changed, for the other brains; unlogged, written by triggers."""

    __tablename__ = "brain_news"
    id: int | None = Field(sa_column=Column(BigInteger, Identity(), primary_key=True))
    xid: int = Field(
        sa_column=Column(
            BigInteger, nullable=False,
            server_default=text("((pg_current_xact_id())::text)::bigint"),
        )
    )  # fmt: skip
    by: str = Field(
        sa_column_kwargs={"server_default": text("current_setting('application_name'::text)")}
    )
    at: datetime = _moment("now()")
    kind: str
    key: str
    __table_args__ = (Index("brain_news_xid", "xid"), {"prefixes": ["UNLOGGED"]})
