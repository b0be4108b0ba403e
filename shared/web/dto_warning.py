"""Shapes of early warning, at a factory and at the group; no rule lives here."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.web.dto_base import Dto, Reason


class WarningJudged(Dto):
    """What a model said of one window of half an hour."""

    at: int
    """When the window ended."""
    confidence: float | None
    """None: nothing was said, see `silent`."""
    threshold: float
    silent: str = ""
    """expired, drill, inputs, or why the plant has no commissioning."""
    tags: list[str] = Field(default_factory=list)
    outside: int = 0
    """Tags beyond what the model was trained on."""


class WarningInForce(Dto):
    """The group's model that runs."""

    push: str
    approved_by: str
    issued_at: int
    expires_at: int
    expired: bool
    figures: dict[str, float]


class WarningPlant(Dto):
    """The tags of one line."""

    plant: str
    line: str
    tags: list[str]
    commissioned: list[int]
    """The days since 1970 that gave mean and sigma; empty: there are none yet."""
    lateness_days: int
    model: WarningInForce | None
    recent: list[WarningJudged]


class EarlyWarningOut(Dto):
    """One warning."""

    occurrence: str
    line: str
    raised_at: int
    returned_at: int | None
    confidence: float
    threshold: float
    tags: list[str]
    outside: int
    acked_by: str | None
    label: str
    label_by: str


class EarlyWarnings(Dto):
    """GET /api/early-warnings at a factory."""

    plants: list[WarningPlant]
    warnings: list[EarlyWarningOut]


class WarningWhere(Dto):
    """What became of a model, or of its withdrawal, at one factory."""

    site: str
    kind: Literal["model", "withdraw"]
    status: str
    """signed, sent, applied or refused."""
    counter: int
    code: str = ""
    params: dict[str, Any] = Field(default_factory=dict)
    expires_at: int
    at: int


class WarningModelOut(Dto):
    """One proposed model."""

    id: str
    tenant: str
    plant: str
    line: str
    tags: list[str]
    sites: list[str]
    status: Literal["proposed", "first_approved", "approved", "rejected", "replaced", "withdrawn"]
    figures: dict[str, float]
    created_at: int
    first_by: str = ""
    decided_by: str = ""
    decided_at: int | None = None
    reason: str = ""
    two_people: bool = False
    """A factory asks for a second person."""
    where: list[WarningWhere] = Field(default_factory=list)


class WarningLearnerOut(Dto):
    """What the group has learnt of one plant so far."""

    tenant: str
    plant: str
    line: str
    tags: list[str]
    sites: list[str]
    windows: int
    """Labelled windows that are kept."""
    waiting: int
    """Those of them that were not learnt yet."""
    figures: dict[str, float]
    lacks: list[str]
    """What is missing for a proposal: windows, normal, faults, auc."""
    at: int | None


class WarningLearning(Dto):
    """GET /api/early-warnings at the group."""

    learners: list[WarningLearnerOut]
    models: list[WarningModelOut]
    wanted: dict[str, float]
    """What a proposal must rest on at least."""


class WarningDecision(Dto):
    """A person's decision on a model."""

    action: Literal["approve", "reject", "withdraw"]
    reason: Annotated[Reason, Field(max_length=500)]
    """It goes to the factories with the model: shorter than other reasons."""
