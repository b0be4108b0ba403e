"""Tables of the dispatch centre and of the fleet.

Declared here with SQLModel, made by the migrations, read and written by `dispatch_store.py`,
`mail_store.py` and `fleet_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Index
from sqlalchemy import text as sql
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column

_LIVE = "state IN ('offered', 'accepted', 'en_route', 'on_site')"


class ResourceTable(SQLModel, table=True):
    """An expert or a mobile resource of a tenant."""

    __tablename__ = "resource"
    id: str = Field(primary_key=True)
    tenant: str = Field(foreign_key="tenant.id")
    kind: str
    names: dict[str, str] = json_column()
    skills: list[str] = json_column()
    site: str
    available: bool
    contact: str
    changed_at: int = big()


class AssignmentTable(SQLModel, table=True):
    """One resource asked to see to one incident; a chain of them until somebody accepts."""

    __tablename__ = "assignment"
    id: str = Field(primary_key=True)
    site: str
    incident: str
    chain: str
    """The first assignment of those that followed each other."""
    resource: str | None = None
    """None: nobody was left to ask."""
    skills: list[str] = json_column()
    state: str
    offered_at: int = big()
    accept_by: int = big()
    on_site_by: int = big()
    accept_s: int = big()
    at: int = big()
    escalated: bool
    """The next one was asked, or there is nothing to ask for."""
    missed: bool
    """Nobody was on site in time."""
    by: str
    note: str
    history: list[dict[str, Any]] = json_column()
    __table_args__ = (
        Index("assignment_of", "site", "incident", "offered_at"),
        Index("assignment_busy", "resource", unique=True, postgresql_where=sql(_LIVE)),
        Index("assignment_due", "accept_by", postgresql_where=sql(f"{_LIVE} OR NOT escalated")),
    )


class DeskMessageTable(SQLModel, table=True):
    """A message of the group to a factory's desk."""

    __tablename__ = "desk_message"
    id: str = Field(primary_key=True)
    site: str
    text: str
    priority: int
    author: str
    at: int = big()
    expires_at: int = big()
    status: str
    """sent, received, acknowledged, expired."""
    received_at: int | None = big(nullable=True)
    acked_at: int | None = big(nullable=True)
    acked_by: str
    reply: str
    __table_args__ = (
        Index("desk_message_site", "site", "at"),
        Index("desk_message_waits", "site", "at", postgresql_where=sql("status = 'sent'")),
    )


class FleetReportTable(SQLModel, table=True):
    """What a factory's brain last said of itself and its edges."""

    __tablename__ = "fleet_report"
    site: str = Field(primary_key=True)
    at: int = big()
    received_at: int = big()
    body: dict[str, Any] = json_column()
