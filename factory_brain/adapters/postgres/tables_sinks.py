"""Checkpoints of northbound sinks."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Identity, Index, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


def _bytes(name: str) -> Any:
    return Field(sa_column=Column(name, LargeBinary, nullable=False))


def _numbered() -> Any:
    return Field(sa_column=Column(BigInteger, Identity(always=True), primary_key=True))


class SinkPosition(SQLModel, table=True):
    """How far a sink has confirmed the samples, who forwards to it, and what it was given."""

    __tablename__ = "sink_position"
    sink: str = Field(primary_key=True)
    xid: int = big()
    no: int = big()
    owner: str
    until: int = big()
    events: int = big()
    samples: int = big()
    refused: int = big()
    lost: int = big()


class SinkSample(SQLModel, table=True):
    """Samples that wait for sinks, in the order of their transactions."""

    __tablename__ = "sink_sample"
    xid: int = Field(
        sa_column=Column(
            BigInteger, primary_key=True, autoincrement=False,
            server_default=text("pg_current_xact_id()::text::bigint"),
        )
    )  # fmt: skip
    no: int = _numbered()
    at: int = big()
    count: int
    names: list[str] = Field(sa_column=Column(ARRAY(Text), nullable=False))
    tags: bytes = _bytes("tags")
    times: bytes = _bytes("times")
    values: bytes = _bytes("values")
    qualities: bytes = _bytes("qualities")


class SinkRefused(SQLModel, table=True):
    """What a target will never take."""

    __tablename__ = "sink_refused"
    no: int = _numbered()
    sink: str
    at: int = big()
    what: str
    item: dict[str, Any] = json_column()
    reason: str
    __table_args__ = (Index("sink_refused_sink", "sink", "no"),)
