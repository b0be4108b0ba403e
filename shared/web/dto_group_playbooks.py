"""Shapes of playbooks from the group: pushes as a factory settled them, variants, roll-outs, ranks.

Used by the routes of both tiers; no rule lives here.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from shared.web.dto_base import Dto

PushKindName = Literal["release", "inputs", "rollback"]
PushStatusName = Literal["waiting", "applied", "refused", "rolled_back"]
RolloutStateName = Literal[
    "proposed", "canary", "all", "paused", "rolling_back", "done", "rolled_back", "refused",
    "expired",
]  # fmt: skip
SiteId = Annotated[str, Field(min_length=1, max_length=64)]
BookId = Annotated[str, Field(min_length=1, max_length=96)]


class GroupPushOut(Dto):
    """One push of the group, as this factory has settled it."""

    id: str
    counter: int
    playbook: str
    kind: PushKindName
    status: PushStatusName
    code: str
    params: dict[str, Any]
    draft: str | None
    """Where a release is reviewed."""
    offered: int | None
    """The version that came."""
    version: int | None
    """The version that it became here."""
    approved_by: str
    """Who approved it at the group."""
    reason: str
    received_at: int
    expires_at: int
    at: int
    by: str


class GroupPushList(Dto):
    """GET /api/group-playbooks."""

    policy: Literal["refuse", "ask", "accept"]
    """What this site does with playbooks from the group."""
    items: list[GroupPushOut]


class GroupInputOut(Dto):
    """One input that the group would move."""

    name: str
    now: Any
    proposed: Any
    kept_local: bool
    """This site has a value of its own, which goes on to hold."""
    least: Any = None
    most: Any = None


class GroupPushDetail(GroupPushOut):
    """GET /api/group-playbooks/{push}."""

    lines: list[str]
    """A unified diff against what is live here."""
    inputs: list[GroupInputOut]


class PushDecision(Dto):
    """POST /api/group-playbooks/{push}/decision."""

    accept: bool
    reason: str = Field(min_length=1, max_length=2000)


class VariantIn(Dto):
    """POST /api/playbook-variants."""

    text: str = Field(min_length=1, max_length=262_144)
    note: str = Field(default="", max_length=2000)


class TunableInput(Dto):
    """An input that the group may move, within the document's own bounds."""

    name: str
    type: str
    unit: str
    default: Any
    least: Any
    most: Any


class VariantOut(Dto):
    """One version that the group keeps."""

    playbook: str
    version: int
    sha256: str
    signed_by: str
    errors: int
    findings: list[str]
    note: str
    added_by: str
    added_at: int
    inputs: list[TunableInput] = Field(default_factory=list)
    """Its tunable inputs."""


class VariantList(Dto):
    """GET /api/playbook-variants."""

    variants: list[VariantOut]


class RankedOut(Dto):
    """One variant in one context."""

    version: int
    variant: str
    runs: int
    succeeded: int
    mean: float
    low: float
    """The lower end of the 90 % interval of its worth."""
    best: float
    """The probability that it is the best of those compared."""
    weight: float
    """Its share by Thompson sampling, never below the floor."""
    resolve_s: float | None


class RankingOut(Dto):
    """How variants compare in one context."""

    context: str
    runs: int
    ranked: list[RankedOut]


class InputProposalOut(Dto):
    """A value of a tunable input that did better than the usual one."""

    name: str
    now: Any
    proposed: Any
    least: Any
    most: Any
    runs_now: int
    runs_proposed: int
    best: float


class RankingList(Dto):
    """GET /api/playbook-ranking/{playbook}."""

    playbook: str
    days: int
    contexts: list[RankingOut]
    inputs: list[InputProposalOut]


class PlaybookRolloutIn(Dto):
    """POST /api/playbook-rollouts: a version, or values of inputs."""

    playbook: BookId
    version: int | None = Field(default=None, ge=1, le=999_999_999)
    inputs: dict[str, Any] = Field(default_factory=dict, max_length=50)
    sites: list[SiteId] = Field(min_length=1, max_length=200)
    """The first one is the canary."""
    dwell_s: float = Field(default=172_800.0, ge=0, le=30 * 86_400)
    min_runs: int = Field(default=1, ge=0, le=1000)
    """Runs that the canary must have seen before the others follow."""
    expires_s: float = Field(default=14 * 86_400.0, ge=60, le=60 * 86_400)
    reason: str = Field(min_length=1, max_length=2000)


class PlaybookRolloutAct(Dto):
    """POST /api/playbook-rollouts/{rollout}/actions."""

    action: Literal["approve", "refuse", "pause", "resume", "roll_back"]
    reason: str = Field(min_length=1, max_length=2000)


class PlaybookPushOut(Dto):
    """One factory's part."""

    site: str
    counter: int
    kind: PushKindName
    status: str
    code: str
    params: dict[str, Any]
    version: int | None
    at: int


class PlaybookRolloutOut(Dto):
    """One roll-out of a playbook."""

    id: str
    state: RolloutStateName
    playbook: str
    version: int | None
    inputs: dict[str, Any]
    sites: list[str]
    created_at: int
    created_by: str
    agreed_by: str
    reason: str
    expires_at: int
    dwell_s: float
    """How long the canary is watched."""
    min_runs: int
    stage_at: int
    """Since when it is where it is."""
    hold: str
    code: str
    params: dict[str, Any]
    evidence: dict[str, Any]
    pushes: list[PlaybookPushOut]


class PlaybookRolloutList(Dto):
    """GET /api/playbook-rollouts, newest first."""

    rollouts: list[PlaybookRolloutOut]
