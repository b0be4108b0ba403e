"""Shapes of the group cloud's REST interface: proposals with their evidence, and the factories.

Reached through `dto.py`, with all the others; no rule lives here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from shared.alarm.filters import FILTERS
from shared.alarm.filters import Filter as FilterName
from shared.web.dto_base import Dto, LaneCounts, Reason, Text
from shared.web.dto_proposals import ProposalBars, ShadowEvidence, TrendDay

RolloutStateName = Literal[
    "waiting", "dry_run", "shadow", "canary_line", "canary_factory", "all",
    "paused", "rolling_back", "rolled_back", "done", "refused", "expired",
]  # fmt: skip
StageName = Literal["dry_run", "shadow", "canary_line", "canary_factory", "all"]


class Setting(Dto):
    """One alarm point's settings."""

    limit: float | None
    deadband: float
    on_delay_s: float
    off_delay_s: float
    filter: FilterName = "raw"
    """What the limit is held against: samples, their mean of 5 min, the deviation from a day."""

    @field_validator("filter", mode="before")
    @classmethod
    def _by_number(cls, told: Any) -> Any:
        """On the wire a filter is its number."""
        return FILTERS[int(told)] if isinstance(told, int | float) else told


class CandidateScore(Dto):
    """One candidate of the expert bank with its evidence."""

    setting: Setting
    false_alarms: float
    missed: float
    delay_s: float | None
    cost: float


class Evidence(Dto):
    """What a proposal rests on."""

    labelled: int
    true_alarms: int
    nuisance: int
    vanish: list[str] = Field(default_factory=list)
    """Occurrences that would not have been annunciated."""
    later: list[str] = Field(default_factory=list)
    """True alarms that would have been announced later."""


class Proposal(Dto):
    """GET /api/proposals (cloud)."""

    id: str
    site: str
    edge: str
    alarm: str
    name: Text
    unit: str
    status: Literal["open", "approved", "rejected", "superseded"]
    created_at: int
    decided_at: int | None = None
    decided_by: str | None = None
    reason: str | None = None
    current: Setting
    proposed: Setting
    bounds: dict[str, float]
    candidates: list[CandidateScore]
    evidence: Evidence
    explanation: Text
    rollout: RolloutState | None = None
    plan: RolloutBrief | None = None
    """The roll-out that brings it to the edges, and where that stands."""
    source: Literal["labels", "shadow", "person"] = "labels"
    """What found it."""
    made_by: str = ""
    """The person who proposed it; empty: the group found it."""
    made_because: str = ""
    bars: ProposalBars | None = None
    trend: list[TrendDay] = Field(default_factory=list)
    """By day; the factory's own samples are its history."""
    shadow: ShadowEvidence | None = None


class RolloutState(Dto):
    """Where an approved proposal's directive stands."""

    directive: str
    counter: int
    status: Literal[
        "signed", "sent", "waiting", "relayed", "applied", "refused", "rolled_back"
    ]  # fmt: skip
    at: int
    code: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)


class RolloutBrief(Dto):
    """Where a roll-out stands, in one line."""

    id: str
    state: RolloutStateName
    stage: StageName | None = None
    at: int
    hold: str = ""
    """What it waits for, as a code; empty: for nothing."""
    hold_params: dict[str, Any] = Field(default_factory=dict)
    waits: Text | None = None
    """The same in words."""
    code: str = ""
    """Why it was taken back, refused or given up."""
    params: dict[str, Any] = Field(default_factory=dict)
    why: Text | None = None
    """The same in words."""


class ProposalList(Dto):
    """GET /api/proposals."""

    proposals: list[Proposal]


class DecisionRequest(Dto):
    """POST /api/proposals/{id}/decision."""

    decision: Literal["approve", "reject"]
    reason: Reason


class Factory(Dto):
    """One factory as the group sees it."""

    site: str
    name: Text
    online: bool
    last_seen: int | None
    active: int
    unacked: int
    worst_priority: int | None
    events: int
    outcomes: int
    edges_online: int
    edges_total: int
    lanes: dict[str, LaneCounts] = Field(default_factory=dict)


class FactoryList(Dto):
    """GET /api/factories (cloud)."""

    factories: list[Factory]


Proposal.model_rebuild()
