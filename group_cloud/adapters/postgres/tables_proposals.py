"""Tables of proposals: what a factory's history says of them, what a site asks of decisions.

Declared here with SQLModel, made by the migrations, filled by `history_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Column, ForeignKey, String
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class ProposalHistoryTable(SQLModel, table=True):
    """A factory's newest answer about a proposal."""

    __tablename__ = "proposal_history"
    proposal: str = Field(
        sa_column=Column(String, ForeignKey("proposal.id", ondelete="CASCADE"), primary_key=True)
    )
    digest: str
    """Of the question."""
    at: int = big()
    body: dict[str, Any] = json_column()


class SitePolicyTable(SQLModel, table=True):
    """What a site asks of the decisions about it."""

    __tablename__ = "site_policy"
    site: str = Field(primary_key=True)
    four_eyes: bool
    version: str
