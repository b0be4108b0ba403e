"""Tables of what the group sends of playbooks: its pushes as settled here, inputs that it tuned.

Declared here with SQLModel; read and written by `group_playbook_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class GroupPushRow(SQLModel, table=True):
    """One push of the group; its number is taken up once and for all."""

    __tablename__ = "group_push"
    counter: int = big(primary_key=True)
    id: str = Field(unique=True)
    playbook: str
    kind: str
    status: str
    """waiting, applied, refused, rolled_back."""
    code: str
    params: dict[str, Any] = json_column()
    draft: str | None = None
    """Where a person reviews it."""
    version: int | None = None
    """The release that it became."""
    before: dict[str, Any] = json_column()
    """What was in force until then: a version, or values of inputs."""
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    received_at: int = big()
    expires_at: int = big()
    at: int = big()
    by: str
    __table_args__ = (Index("group_push_of", "playbook", "counter"),)


class GroupInputRow(SQLModel, table=True):
    """The group's value of a tunable input; what the site says itself goes before it."""

    __tablename__ = "group_input"
    playbook: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: Any = Field(default=None, sa_column=Column(JSONB(), nullable=False))
    """`{"value": …}`, or `{}` where it was taken back."""
    push: str
    at: int = big()
