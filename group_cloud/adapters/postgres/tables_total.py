"""Tables of the total set: tenants, occurrences, incidents, figures by day, alarm points.

Declared here with SQLModel, made by the migrations, filled by `total_store.py` in the ingest's
own transaction.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class TenantTable(SQLModel, table=True):
    """Who owns factories and sees nobody else's."""

    __tablename__ = "tenant"
    id: str = Field(primary_key=True)
    names: dict[str, str] = json_column()
    created_at: int = big()


class GroupOccurrenceTable(SQLModel, table=True):
    """One raise-to-normal episode as newest told; what the figures have counted of it."""

    __tablename__ = "group_occurrence"
    site: str = Field(primary_key=True)
    occurrence: str = Field(primary_key=True)
    alarm: str
    asset: str
    tag: str
    priority: int
    version: int
    raised_at: int = big()
    returned_at: int = big()
    acked_at: int = big()
    annunciated: bool
    counted: bool
    __table_args__ = (
        Index(
            "group_occurrence_standing", "site", "raised_at",
            postgresql_where=text("returned_at = 0 AND raised_at > 0"),
        ),
        Index("group_occurrence_raised", "raised_at", postgresql_using="brin"),
    )  # fmt: skip


class StatDayTable(SQLModel, table=True):
    """Sums of one factory, day of the raise (UTC) and priority."""

    __tablename__ = "stat_day"
    site: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    priority: int = Field(primary_key=True)
    raised: int = big()
    annunciated: int = big()
    acked: int = big()
    ack_ms: int = big()
    acked_1m: int = big()
    acked_10m: int = big()
    returned: int = big()
    standing_ms: int = big()


class StatAlarmTable(SQLModel, table=True):
    """Sums of one alarm and day."""

    __tablename__ = "stat_alarm"
    site: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    alarm: str = Field(primary_key=True)
    raised: int = big()
    annunciated: int = big()
    standing_ms: int = big()


class StatTenTable(SQLModel, table=True):
    """How many alarms were annunciated in each ten minutes of a factory."""

    __tablename__ = "stat_ten"
    site: str = Field(primary_key=True)
    ten: int = big(primary_key=True)
    annunciated: int = big()


class AlarmPointTable(SQLModel, table=True):
    """Where an alarm stands and what kind of thing it watches, as its factory's site says."""

    __tablename__ = "alarm_point"
    site: str = Field(primary_key=True)
    alarm: str = Field(primary_key=True)
    edge: str
    asset: str
    process: str
    asset_class: str
    tag_class: str
    priority: int
    names: dict[str, str] = json_column()
    tuning: dict[str, Any] | None = json_column(nullable=True)
    """The setting that runs, its bounds, side and unit; none: it may not be moved."""
    version: str
    kind: str
    side: str


class GroupIncidentTable(SQLModel, table=True):
    """One factory's incident, by its newest revision."""

    __tablename__ = "group_incident"
    site: str = Field(primary_key=True)
    id: str = Field(primary_key=True)
    revision: int = big()
    status: str
    merged_into: str
    opened_at: int = big()
    acknowledged_at: int | None = big(nullable=True)
    contained_at: int | None = big(nullable=True)
    closed_at: int | None = big(nullable=True)
    priority: int
    asset: str
    alarms: int
    standing: int
    unacked: int
    flood: bool
    cause: str
    outcome: str
    owner: str
    received_at: int = big()
    body: dict[str, Any] = json_column()
    __table_args__ = (
        Index("group_incident_opened", "opened_at", "site", "id"),
        Index(
            "group_incident_live", "site", "priority",
            postgresql_where=text("status NOT IN ('closed', 'merged')"),
        ),
        Index("group_incident_flood", "site", "id", postgresql_where=text("flood")),
        Index("group_incident_occurrences", text("(body->'occurrences')"), postgresql_using="gin"),
    )  # fmt: skip
