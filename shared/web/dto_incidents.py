"""Shapes of the REST interface for incidents: lists, detail, what people send.

Times are UTC milliseconds; the console's types are generated from these.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.web.dto import TimelineEntry
from shared.web.dto_base import Dto, Text
from shared.web.dto_floods import FloodLikeness

IncidentStatus = Literal["open", "acknowledged", "contained", "closed", "merged"]
FirstOutMark = Literal["", "first", "tie"]
OutcomeLabel = Literal["true", "nuisance", "drill"]


class Cause(Dto):
    """What may be given as a cause at this site."""

    id: str
    name: Text


class IncidentOut(Dto):
    """One incident as lists show it."""

    id: str
    status: IncidentStatus
    name: Text
    """That of its first alarm."""
    first_at: int
    last_at: int
    """When its newest alarm was raised."""
    first_out: list[str]
    """The alarms that came first; several: the clocks cannot tell which did."""
    tie: bool
    asset: str
    """The deepest asset that holds all of it."""
    asset_name: Text | None
    priority: int
    alarms: int
    standing: int
    unacked: int
    returned_at: int | None
    """When the last alarm returned; null while one stands."""
    settled: bool
    """All have returned and are acknowledged: it may be closed."""
    flood: bool
    owner: str
    opened_at: int
    acknowledged_at: int | None
    acknowledged_by: str
    contained_at: int | None
    contained_by: str
    closed_at: int | None
    closed_by: str
    cause: str
    cause_name: Text | None
    outcome: str
    reopened: int
    merged_into: str | None = None


class IncidentPage(Dto):
    """GET /api/incidents?state&limit&cursor: newest first. SSE `incidents`: changed ones."""

    items: list[IncidentOut]
    next: str | None = None


class IncidentMember(Dto):
    """One alarm of an incident."""

    occurrence: str
    alarm: str
    name: Text
    asset: str
    edge: str
    priority: int
    raised_at: int
    uncertainty_ms: int | None
    """How far the clock that stamped it may be off; null: nobody measured it."""
    returned_at: int | None
    active: bool
    acked: bool
    first_out: FirstOutMark
    hidden_behind: str
    hidden_rule: str
    marks: list[str]
    outcome: str | None
    run: str | None


class IncidentEntry(TimelineEntry):
    """One entry of an incident's time line; `alarm` where it is about one."""

    alarm: str | None = None


class Done(Dto):
    """A playbook run of an incident."""

    run: str
    playbook: str
    status: str


class SimilarIncident(Dto):
    """A past incident like this one, why it is like it, and what was done."""

    incident: IncidentOut
    score: float
    parts: dict[str, float]
    """alarms (at most 0.6), order (0.2), first (0.1), asset (0.1); their sum is the score."""
    common: list[str]
    seconds_to_close: int | None
    runs: list[Done]
    local_actions: list[str]
    notes: list[str]


class IncidentDetail(Dto):
    """GET /api/incidents/{id}."""

    incident: IncidentOut
    members: list[IncidentMember]
    timeline: list[IncidentEntry]
    similar: list[SimilarIncident]
    causes: list[Cause]
    likeness: FloodLikeness | None = None
    """What the group says it resembles, where it is a flood: advice, nothing follows from it."""


class NoteRequest(Dto):
    """POST /api/incidents/{id}/notes."""

    text: str = Field(min_length=1, max_length=4000)


class OwnRequest(Dto):
    """POST /api/incidents/{id}/owner; without a name: who asks."""

    owner: str = Field(default="", max_length=100)


class ContainRequest(Dto):
    """POST /api/incidents/{id}/contain."""

    comment: str = Field(default="", max_length=1000)


class CloseRequest(Dto):
    """POST /api/incidents/{id}/close: both are asked for, the outcome labels its alarms."""

    cause: str = Field(min_length=1, max_length=64)
    outcome: OutcomeLabel
    comment: str = Field(default="", max_length=1000)


class ReopenRequest(Dto):
    """POST /api/incidents/{id}/reopen."""

    reason: str = Field(min_length=1, max_length=1000)


class MergeRequest(Dto):
    """POST /api/incidents/{id}/merge: this and the other become one."""

    other: str = Field(min_length=1, max_length=64)


class IncidentResult(Dto):
    """What became of an action."""

    incident: str
    """The incident's id now: that of its earliest alarm."""
    accepted: bool
    code: str = "ok"
    params: dict[str, Any] = Field(default_factory=dict)
