"""Tables of authoring: releases that never change, what is withdrawn, drafts, remarks, inputs."""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, Index, LargeBinary
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class PlaybookReleaseRow(SQLModel, table=True):
    """One released version; the database refuses to change or to delete it."""

    __tablename__ = "playbook_release"
    playbook: str = Field(primary_key=True)
    version: int = Field(primary_key=True)
    digest: str
    """Of the document, as runs pin it."""
    text: str
    sha256: str
    """Of the text, as it was signed."""
    source: str
    """folder or console."""
    author: str
    reviewer: str
    note: str
    restores: int | None = None
    """The earlier version whose text this is."""
    signed_by: str
    """The key's fingerprint; `folder` for a file that was reviewed where it comes from."""
    signature: bytes | None = Field(default=None, sa_column=Column(LargeBinary, nullable=True))
    at: int = big()


class PlaybookWithdrawnRow(SQLModel, table=True):
    """Whether a playbook starts no runs, and who said so why."""

    __tablename__ = "playbook_withdrawn"
    playbook: str = Field(primary_key=True)
    withdrawn: bool
    by: str
    reason: str
    at: int = big()


class PlaybookInputRow(SQLModel, table=True):
    """This site's value of an input, as set in the console; null: as the site's file says."""

    __tablename__ = "playbook_input"
    playbook: str = Field(primary_key=True)
    name: str = Field(primary_key=True)
    value: Any = Field(default=None, sa_column=Column(JSONB(), nullable=False))
    """`{"value": …}`, or `{}` where it was taken back."""
    by: str
    at: int = big()


class PlaybookDraftRow(SQLModel, table=True):
    """A text that is being written or reviewed."""

    __tablename__ = "playbook_draft"
    id: str = Field(primary_key=True)
    playbook: str
    source: str
    """What it was made from: live, version, library, blank."""
    base: int | None = None
    """The version that it was made from."""
    text: str
    test: str
    status: str
    """open, submitted, rejected, released, discarded."""
    revision: int
    authors: list[str] = json_column()
    """Everybody who has saved it: none of them reviews it."""
    created_at: int = big()
    changed_at: int = big()
    changed_by: str
    released: int | None = None
    __table_args__ = (
        Index("playbook_draft_changed", "changed_at", "id"),
        Index(
            "playbook_draft_open", "playbook",
            postgresql_where=sql("status NOT IN ('released', 'discarded')"),
        ),
    )  # fmt: skip


class PlaybookRemarkRow(SQLModel, table=True):
    """What was said about a draft, and what was done with it."""

    __tablename__ = "playbook_remark"
    id: str = Field(primary_key=True)
    draft: str
    at: int = big()
    by: str
    kind: str
    """comment, submitted, reopened, approved, rejected, discarded."""
    revision: int
    text: str
    __table_args__ = (Index("playbook_remark_draft", "draft", "at"),)
