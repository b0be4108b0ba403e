"""The event store's own tables: journal, historian, roll-ups, positions of the journal's consumers.

Declared here with SQLModel; filled by `alarm_store.py`, `sample_store.py`, `rollups.py` and
`feed.py`. What is cut by time gets its partitions from `partitions.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, BigInteger, Column, Double, Index, Integer, SmallInteger, String, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big


def _word() -> Any:
    """A key compared byte by byte: half the cost of the language's order."""
    return Field(sa_column=Column(String(collation="C"), primary_key=True))


def _number(nullable: bool = True) -> Any:
    return Field(default=None, sa_column=Column(Double, nullable=nullable))


class EventRow(SQLModel, table=True):
    """The factory's journal: every event of every edge, by position; a partition a day."""

    __tablename__ = "event"
    source: str = _word()
    epoch: str = _word()
    lane: str = _word()
    seq: int = big(primary_key=True)
    received_at: int = big(primary_key=True)
    id: str
    type: str
    time: int = big()
    late: bool = False
    alarm: str | None = None
    occurrence: str | None = None
    body: dict[str, Any] = Field(sa_column=Column(JSON, nullable=False))
    """As text: what is written often and read seldom is not taken apart."""
    __table_args__ = (
        Index("event_in_occurrence", "occurrence", postgresql_where=text("occurrence IS NOT NULL")),
        Index("event_of_alarm", "alarm", "time", postgresql_where=text("alarm IS NOT NULL")),
        Index("event_by_time", "time", postgresql_using="brin"),
        {"postgresql_partition_by": "RANGE (received_at)"},
    )


class TagName(SQLModel, table=True):
    """The historian's short number of a tag."""

    __tablename__ = "tag_name"
    no: int | None = Field(default=None, sa_column=Column(Integer, primary_key=True))
    tag: str = Field(unique=True)


class SampleRow(SQLModel, table=True):
    """The historian's slim samples, a partition a day; the view `sample` shows them by tag."""

    __tablename__ = "sample_raw"
    at: int = big(primary_key=True)
    value: float | None = _number()
    tag_no: int = Field(sa_column=Column(Integer, primary_key=True))
    quality: int = Field(sa_column=Column(SmallInteger, nullable=False))
    __table_args__ = ({"postgresql_partition_by": "RANGE (at)"},)


class SampleMinuteRow(SQLModel, table=True):
    """Samples of one tag in one minute, which begins at `at`."""

    __tablename__ = "sample_minute"
    tag_no: int = Field(sa_column=Column(Integer, primary_key=True))
    at: int = big(primary_key=True)
    count: int = Field(sa_column=Column(Integer, nullable=False))
    good: int = Field(sa_column=Column(Integer, nullable=False))
    """How many were good: sum, min and max are of these."""
    sum: float | None = _number()
    min: float | None = _number()
    max: float | None = _number()
    last: float | None = _number()
    last_at: int = big()
    __table_args__ = ({"postgresql_partition_by": "RANGE (at)"},)


class SampleHourRow(SQLModel, table=True):
    """The same in one hour."""

    __tablename__ = "sample_hour"
    tag_no: int = Field(sa_column=Column(Integer, primary_key=True))
    at: int = big(primary_key=True)
    count: int = Field(sa_column=Column(Integer, nullable=False))
    good: int = Field(sa_column=Column(Integer, nullable=False))
    sum: float | None = _number()
    min: float | None = _number()
    max: float | None = _number()
    last: float | None = _number()
    last_at: int = big()
    __table_args__ = ({"postgresql_partition_by": "RANGE (at)"},)


class RollupDirtyRow(SQLModel, table=True):
    """Samples that came and are not summarised yet."""

    __tablename__ = "rollup_dirty"
    id: int | None = Field(default=None, sa_column=Column(BigInteger, primary_key=True))
    since: int = big()
    until: int = big()
    tags: list[int] = Field(sa_column=Column(ARRAY(Integer), nullable=False))


class AlarmDayRow(SQLModel, table=True):
    """Transitions of one alarm on one day (of events), as received on one day."""

    __tablename__ = "alarm_day"
    alarm: str = Field(primary_key=True)
    day: int = Field(primary_key=True)
    """Days since 1970."""
    received_day: int = Field(primary_key=True)
    raised: int
    annunciated: int
    returned: int
    acknowledged: int


class AlarmDayDoneRow(SQLModel, table=True):
    """Days of the journal that are counted."""

    __tablename__ = "alarm_day_done"
    received_day: int = Field(primary_key=True)


class FeedConsumerRow(SQLModel, table=True):
    """A consumer of the journal that has begun."""

    __tablename__ = "feed_consumer"
    consumer: str = Field(primary_key=True)


class FeedPositionRow(SQLModel, table=True):
    """How far a consumer has come in one lane."""

    __tablename__ = "feed_position"
    consumer: str = Field(primary_key=True)
    source: str = Field(primary_key=True)
    epoch: str = Field(primary_key=True)
    lane: str = Field(primary_key=True)
    seq: int = big()
    received_at: int = big()
    """When the event there was received: where to look for the next."""
