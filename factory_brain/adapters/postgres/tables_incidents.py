"""Tables of incidents: what they are, which occurrences they hold, what was said and done.

Declared here with SQLModel; filled by `incident_store.py` and `incident_desk_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class IncidentRow(SQLModel, table=True):
    """One incident; its id follows from its first alarm's occurrence."""

    __tablename__ = "incident"
    id: str = Field(primary_key=True)
    status: str
    """open, acknowledged, contained, closed; or merged, and then `merged_into` says into which."""
    merged_into: str | None = None
    first_at: int = big()
    last_at: int = big()
    first_out: list[str] = json_column()
    asset: str
    priority: int
    alarms: int
    standing: int
    unacked: int
    returned_at: int | None = big(nullable=True)
    settled: bool
    flood: bool
    owner: str
    opened_at: int = big()
    acknowledged_at: int | None = big(nullable=True)
    acknowledged_by: str
    contained_at: int | None = big(nullable=True)
    contained_by: str
    closed_at: int | None = big(nullable=True)
    closed_by: str
    cause: str
    outcome: str
    reopened: int
    changed: int = big()
    """Grows with every change; assigned under the lock, so in the order of commits."""
    __table_args__ = (
        Index("incident_first_at", "first_at", "id"), Index("incident_changed", "changed"),
    )  # fmt: skip


class ToldUpwardRow(SQLModel, table=True):
    """What the group was told last of one thing: `incident` or `points`."""

    __tablename__ = "told_upward"
    kind: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    revision: int = big()
    status: str
    at: int = big()


class IncidentMemberRow(SQLModel, table=True):
    """Where one occurrence belongs, and what is shown of that on its row."""

    __tablename__ = "incident_member"
    occurrence: str = Field(primary_key=True)
    alarm: str
    asset: str
    edge: str
    at: int = big()
    """Raised at, put right by the clock's offset."""
    uncertainty: int | None = None
    clock_offset: int
    clock_version: int | None = None
    """The transition that said how the clock stood: the earliest that does."""
    grp: str
    """The group that the rules found; people may have made one incident of several."""
    group_at: int = big()
    group_first: str
    incident: str
    first_out: str
    hidden_behind: str
    hidden_rule: str
    marks: list[str] = json_column()
    closed_at: int | None = big(nullable=True)
    """On the first of a group: when people closed its incident."""
    labelled: str
    to_label: bool
    changed: int = big()
    __table_args__: Any = (
        Index("incident_member_at", "at"), Index("incident_member_incident", "incident"),
        Index("incident_member_alarm", "alarm", "at"), Index("incident_member_grp", "grp"),
        Index("incident_member_changed", "changed"),
        Index("incident_member_to_label", "occurrence", postgresql_where=text("to_label")),
        Index("incident_member_hidden", "occurrence", postgresql_where=text("hidden_behind <> ''")),
    )  # fmt: skip


class IncidentEntryRow(SQLModel, table=True):
    """What people said and did about an incident, and how it came to be what it is."""

    __tablename__ = "incident_entry"
    id: str = Field(primary_key=True)
    incident: str
    at: int = big()
    lane: str
    kind: str
    params: dict[str, Any] = json_column()
    actor: str | None = None
    __table_args__ = (Index("incident_entry_of", "incident", "at"),)


class IncidentJoinRow(SQLModel, table=True):
    """Two occurrences whose incidents people made one."""

    __tablename__ = "incident_join"
    one: str = Field(primary_key=True)
    other: str = Field(primary_key=True)
    actor: str
    at: int = big()
