"""The brain's own tables: occurrences, facts, snippets, settings, system conditions.

Declared here with SQLModel; filled by `alarm_store.py` and `sample_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary
from sqlmodel import Field, SQLModel

from shared.postgres import tables as common
from shared.postgres.tables import big, json_column

__all__ = [
    "AlarmSettingRow",
    "FactRow",
    "OccurrenceRow",
    "SnippetRow",
    "SystemRow",
    "common",
]


class OccurrenceRow(SQLModel, table=True):
    """One raise-to-normal episode, as folded from its events and facts."""

    __tablename__ = "occurrence"
    occurrence: str = Field(primary_key=True)
    alarm: str = Field(index=True)
    edge: str
    transition: dict[str, Any] = json_column()
    """The newest AlarmTransition by (version, time, id)."""
    order_key: str
    raised_at: int = big()
    returned_at: int | None = big(nullable=True)
    received_at: int = big()
    late: bool = False
    open: bool = Field(default=True, index=True)
    """Still of interest: active, latched, unacknowledged or unconfirmed."""
    label: str | None = None
    cause: str | None = None
    label_by: str | None = None
    label_at: int | None = big(nullable=True)
    local_action: str | None = None
    run: str | None = None
    __table_args__ = (
        Index("occurrence_alarm_raised", "alarm", "raised_at"),
        Index("occurrence_returned", "returned_at"),
    )


class FactRow(SQLModel, table=True):
    """What people did: a set per occurrence."""

    __tablename__ = "fact"
    id: str = Field(primary_key=True)
    occurrence: str = Field(index=True)
    alarm: str
    edge: str
    action: str
    actor: str
    place: str
    version_seen: int
    hlc: str
    args: dict[str, Any] = json_column()
    at: int = big()
    result: str | None = None
    """What the edge answered: applied, recorded, refused; null while on its way."""
    code: str | None = None
    __table_args__ = (Index("fact_alarm", "alarm", "action"),)


class SnippetRow(SQLModel, table=True):
    """What the tags around a raise did at full rate: columns as the edge sent them."""

    __tablename__ = "snippet"
    occurrence: str = Field(primary_key=True)
    alarm: str
    edge: str
    raised_at: int = big()
    since: int = big()
    until: int = big()
    truncated: bool = False
    names: list[str] = json_column()
    tags: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    times: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    values: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    qualities: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    __table_args__ = (Index("snippet_until", "until"),)


class AlarmSettingRow(SQLModel, table=True):
    """Settings that a directive changed, as the edge reported them applied."""

    __tablename__ = "alarm_setting"
    alarm: str = Field(primary_key=True)
    setting: dict[str, Any] = json_column()
    version: int
    at: int = big()
    site: dict[str, Any] | None = json_column(nullable=True)
    """What the site's files said of the alarm when it was tuned."""
    superseded: bool = False
    """People have rewritten that since: the edge runs theirs."""


class RelayRow(SQLModel, table=True):
    """Directives that this factory has countersigned for its edges."""

    __tablename__ = "directive_relay"
    edge: str = Field(primary_key=True)
    counter: int = big(primary_key=True)
    directive: str
    status: str
    code: str | None = None
    params: dict[str, Any] = json_column()
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    approved_by: str = ""
    at: int = big()


class SystemRow(SQLModel, table=True):
    """The product's own conditions, on or off."""

    __tablename__ = "system_condition"
    source: str = Field(primary_key=True)
    code: str = Field(primary_key=True)
    active: bool
    params: dict[str, Any] = json_column()
    at: int = big()
    episode: int = big()
    """Counts how often it came on; an acknowledgement is of one of them."""
    raised_at: int | None = big(nullable=True)
    returned_at: int | None = big(nullable=True)
    acked_by: str | None = None
    acked_at: int | None = big(nullable=True)
