"""The table of roll-outs: one row for each, with its change set and where it stands.

Declared here with SQLModel, made by the migrations, read and written by `plan_store.py`.
"""

# SQLModel declares __tablename__ as a declared_attr; a plain name is what it documents.
# pyright: reportAssignmentType=false
from __future__ import annotations

from typing import Any

from sqlalchemy import Index, text
from sqlmodel import Field, SQLModel

from shared.postgres.tables import big, json_column


class RolloutPlanTable(SQLModel, table=True):
    """One roll-out; its directives are rows of `rollout`."""

    __tablename__ = "rollout_plan"
    id: str = Field(primary_key=True)
    state: str
    ended: bool
    stage: str | None = None
    stage_at: int = big()
    policy_name: str
    policy: dict[str, Any] = json_column()
    changes: list[dict[str, Any]] = json_column()
    points: list[str] = json_column()
    """The alarm points of the change set: one roll-out at a time for each."""
    sites: list[str] = json_column()
    proposals: list[str] = json_column()
    created_at: int = big()
    created_by: str
    agreed_by: str
    reason: str
    expires_at: int = big()
    code: str
    params: dict[str, Any] = json_column()
    hold: str
    hold_params: dict[str, Any] = json_column()
    excluded: dict[str, str] = json_column()
    at: int = big()
    __table_args__ = (
        Index("rollout_plan_going", "created_at", postgresql_where=text("NOT ended")),
        Index("rollout_plan_points", "points", postgresql_using="gin",
              postgresql_where=text("NOT ended")),
        Index("rollout_plan_proposals", "proposals", postgresql_using="gin"),
    )  # fmt: skip
