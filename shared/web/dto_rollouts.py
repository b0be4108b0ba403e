"""Shapes of the roll-outs' REST interface: stages, every edge's result, what people may do.

Reached by the group's routes; no rule lives here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.web.dto_base import Dto, Reason
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
    status: Literal[
        "signed", "sent", "waiting", "relayed", "applied", "refused", "rolled_back"
    ]  # fmt: skip
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


class GateFigure(Dto):
    """What the health gate sees of one alarm point now."""

    site: str
    edge: str
    alarm: str
    phase: Literal["ahead", "shadow", "live", "back"]
    """ahead: nothing is counted yet; live: its edge runs it; back: it ran and was taken back."""
    since: int = 0
    until: int = 0
    days: float = 0.0
    """Time with data: of the shadow its covered days."""
    alarms: float = 0.0
    least: int = 0
    """Fewest alarms that agree with the forecast; judged when the time is over."""
    most: int | None = None
    """Most alarms that agree with it; None: there is no forecast at all."""
    expected: float | None = None
    needed_days: float | None = None
    """Covered days that the shadow wants."""
    faults: int = 0
    """Recorded faults of that time."""
    engineer_only: int = 0
    """Episodes that the engineer's own setting alone told."""
    missed: list[str] = Field(default_factory=list)
    """Recorded faults among those: one is enough to fail."""
    verdict: Literal["ahead", "no_data", "good", "below", "above", "missed"] = "ahead"


class SiteHealth(Dto):
    """How far a factory of the roll-out has told its events."""

    site: str
    heard_until: int
    edges_down: int


class RolloutMove(Dto):
    """One step of the life cycle, as it was audited."""

    at: int
    actor: str
    action: str
    state: str = ""
    came_from: str = ""
    code: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    reason: str = ""


class RolloutDetail(RolloutSummary):
    """GET /api/rollouts/{id}."""

    stages: list[RolloutStage]
    changes: list[RolloutChange]
    results: list[RolloutResult]
    gate: list[GateFigure] = Field(default_factory=list)
    """At most 200 alarm points, those that stand worst first."""
    gate_more: int = 0
    factories: list[SiteHealth] = Field(default_factory=list)
    moves: list[RolloutMove] = Field(default_factory=list)


class RolloutRequest(Dto):
    """POST /api/rollouts: approve several proposals and roll them out as one change set."""

    proposals: list[str] = Field(min_length=1, max_length=500)
    policy: str = Field(default="", max_length=64)
    """Empty: the usual one."""
    reason: Reason


class RolloutAction(Dto):
    """POST /api/rollouts/{id}/actions."""

    action: Literal["agree", "pause", "resume", "abort"]
    reason: str = Field(min_length=1, max_length=1000)
