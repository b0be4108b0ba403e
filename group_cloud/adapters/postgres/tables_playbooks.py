"""Tables of the group's playbooks: versions it keeps, their roll-outs, and the pushes of those.

Declared here with SQLModel, made by the migrations, read and written by `playbook_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class PlaybookVariantTable(SQLModel, table=True):
    """One version of a playbook that the group keeps; never changed."""

    __tablename__ = "playbook_variant"
    playbook: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    text: str
    sha256: str
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signed_by: str
    errors: int
    findings: list[str] = json_column()
    note: str
    added_by: str
    added_at: int = big()


class PlaybookRolloutTable(SQLModel, table=True):
    """One roll-out of a version or of values of inputs."""

    __tablename__ = "playbook_rollout"
    id: str = Field(primary_key=True)
    state: str
    ended: bool
    playbook: str
    version: int | None = None
    inputs: dict[str, Any] = json_column()
    sites: list[str] = json_column()
    created_at: int = big()
    created_by: str
    agreed_by: str
    reason: str
    expires_at: int = big()
    dwell_ms: int = big()
    min_runs: int
    resumes: str
    stage_at: int = big()
    hold: str
    code: str
    params: dict[str, Any] = json_column()
    evidence: dict[str, Any] = json_column()
    at: int = big()
    __table_args__ = (
        Index("playbook_rollout_going", "created_at", postgresql_where=text("NOT ended")),
    )


class PlaybookPushTable(SQLModel, table=True):
    """One push to one factory; its number is the factory's next."""

    __tablename__ = "playbook_push"
    id: str = Field(primary_key=True)
    rollout: str = Field(index=True)
    site: str
    counter: int = big()
    kind: str
    restores: str
    status: str
    payload: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    signature: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    version: int | None = None
    code: str
    params: dict[str, Any] = json_column()
    at: int = big()
    __table_args__ = (
        Index("playbook_push_number", "site", "counter", unique=True),
        Index(
            "playbook_push_unheard", "site",
            postgresql_where=text("status IN ('signed', 'sent')"),
        ),
    )  # fmt: skip
