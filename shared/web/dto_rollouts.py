"""Shapes of the roll-outs' REST interface: stages, every edge's result, what people may do.

Reached by the group's routes; no rule lives here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.web.dto_base import Dto
from shared.web.dto_group import RolloutBrief, Setting, StageName


class RolloutSummary(RolloutBrief):
    """GET /api/rollouts, one row."""

    policy: str
    created_at: int
    created_by: str
    agreed_by: str
    expires_at: int
    reason: str
    proposals: list[str]
    sites: list[str]
    points: int
    excluded: dict[str, str] = Field(default_factory=dict)
    """Alarm point -> why its factory leaves it out."""
    actions: list[str] = Field(default_factory=list)
    """What may be done now: agree, pause, resume, abort."""


class RolloutList(Dto):
    """GET /api/rollouts: newest first."""

    rollouts: list[RolloutSummary]


class RolloutChange(Dto):
    """One alarm point of the change set."""

    site: str
    edge: str
    alarm: str
    line: str
    old: Setting
    new: Setting
    stage: StageName
    """The stage in which it goes out."""
    per_day: float | None = None
    before_per_day: float | None = None
    excluded: str = ""


class RolloutResult(Dto):
    """What became of one directive of the roll-out."""

    directive: str
    site: str
    edge: str
    kind: Literal["settings", "rollback", "dry_run"]
    stage: str
    counter: int
    status: Literal["signed", "sent", "relayed", "applied", "refused", "rolled_back"]
    at: int
    alarms: list[str]
    code: str = ""
    params: dict[str, Any] = Field(default_factory=dict)


class RolloutStage(Dto):
    """One stage: what goes out in it and how far it is."""

    stage: StageName
    state: Literal["ahead", "now", "passed", "skipped", "stopped"]
    points: int
    edges: int
    answered: int
    dwell_s: float


class RolloutDetail(RolloutSummary):
    """GET /api/rollouts/{id}."""

    stages: list[RolloutStage]
    changes: list[RolloutChange]
    results: list[RolloutResult]


class RolloutRequest(Dto):
    """POST /api/rollouts: approve several proposals and roll them out as one change set."""

    proposals: list[str] = Field(min_length=1, max_length=500)
    policy: str = Field(default="", max_length=64)
    """Empty: the usual one."""
    reason: str = Field(min_length=1, max_length=1000)


class RolloutAction(Dto):
    """POST /api/rollouts/{id}/actions."""

    action: Literal["agree", "pause", "resume", "abort"]
    reason: str = Field(min_length=1, max_length=1000)
