"""Shapes of the dispatch centre, of messages to factories' desks and of the group's fleet.

Used by the group's routes, and by the factory's for its group messages; no rule lives here.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from shared.web.dto_base import Dto, Text


class UrgentFactory(Dto):
    """One factory with why it wants eyes."""

    site: str
    name: Text
    score: int
    parts: dict[str, int]
    """reason -> points: priority, unacknowledged, flood, silence, incidents, deadline."""
    online: bool
    active: int
    unacked: int
    worst_priority: int | None = None
    oldest_unacked_at: int | None = None
    in_ten_minutes: int
    incidents: int
    last_seen: int | None = None


class UrgentList(Dto):
    """GET /api/dispatch/factories: the most urgent first."""

    factories: list[UrgentFactory]


class ResourceOut(Dto):
    """An expert or a mobile resource."""

    id: str
    tenant: str
    kind: Literal["expert", "mobile"]
    name: Text
    skills: list[str]
    site: str
    available: bool
    busy: bool
    contact: str


class ResourceList(Dto):
    """GET /api/dispatch/resources."""

    resources: list[ResourceOut]


class ResourceIn(Dto):
    """PUT /api/dispatch/resources/{resource}."""

    tenant: str = Field(default="default", max_length=64)
    kind: Literal["expert", "mobile"]
    name: Text
    skills: list[str] = Field(default_factory=list, max_length=50)
    site: str = Field(default="", max_length=64)
    available: bool = True
    contact: str = Field(default="", max_length=200)


class AssignmentOut(Dto):
    """One resource asked to see to one incident."""

    id: str
    site: str
    incident: str
    chain: str
    resource: str | None = None
    skills: list[str]
    state: str
    offered_at: int
    accept_by: int
    on_site_by: int
    at: int
    by: str
    note: str
    missed: bool
    """Nobody was on site in time."""
    history: list[dict[str, Any]]


class AssignmentList(Dto):
    """GET /api/dispatch/assignments."""

    assignments: list[AssignmentOut]


class AssignRequest(Dto):
    """POST /api/dispatch/assignments."""

    site: str = Field(max_length=64)
    incident: str = Field(max_length=128)
    skills: list[str] = Field(default_factory=list, max_length=20)
    resource: str | None = Field(default=None, max_length=64)
    accept_s: int = Field(default=300, ge=10, le=86_400)
    on_site_s: int = Field(default=3_600, ge=60, le=7 * 86_400)
    note: str = Field(default="", max_length=1_000)


class MoveRequest(Dto):
    """POST /api/dispatch/assignments/{assignment}/moves."""

    move: Literal["accept", "decline", "depart", "arrive", "finish", "cancel"]
    note: str = Field(default="", max_length=1_000)


class MessageRequest(Dto):
    """POST /api/dispatch/messages."""

    site: str = Field(max_length=64)
    text: str = Field(min_length=1, max_length=2_000)
    priority: int = Field(default=3, ge=1, le=4)
    expires_s: int = Field(default=86_400, ge=60, le=30 * 86_400)


class MessageOut(Dto):
    """A message to a factory's desk and what became of it."""

    id: str
    site: str
    text: str
    priority: int
    author: str
    at: int
    expires_at: int
    status: str
    received_at: int | None = None
    acked_at: int | None = None
    acked_by: str = ""
    reply: str = ""


class MessageList(Dto):
    """GET /api/dispatch/messages, and at a factory GET /api/group-messages."""

    messages: list[MessageOut]


class ReplyRequest(Dto):
    """POST /api/group-messages/{message}/acknowledge."""

    reply: str = Field(default="", max_length=2_000)


class FleetEdge(Dto):
    """One edge as its brain last said."""

    edge: str
    name: Text
    online: bool
    last_seen: int | None = None
    reported: str
    """Version of the site's files that it runs."""
    desired: str
    """Version as it stands in its folder, or else at the brain."""
    drifts: bool
    settings_version: int | None = None
    fragments: str
    buffered: int
    oldest_buffered_ms: int | None = None
    clock_offset_ms: float | None = None
    journal_degraded: bool
    drivers: dict[str, str]


class FleetFactory(Dto):
    """One factory's brain and edges."""

    site: str
    name: Text
    tenant: str
    online: bool
    last_seen: int | None = None
    reported_at: int | None = None
    """When it said so; None: it never has."""
    site_here: str
    buffered: int
    oldest_buffered_ms: int | None = None
    console: str = ""
    """Where its own console is found; empty: it has not said, or nothing that may be linked to."""
    edges: list[FleetEdge]


class FleetInventory(Dto):
    """GET /api/group/fleet."""

    factories: list[FleetFactory]


class PushRequest(Dto):
    """POST /api/group/push and /preview: which alarm points, and what of their settings changes.

    What is left out stays as it is. A limit is moved by steps, as units differ between points.
    """

    sites: list[str] = Field(default_factory=list, max_length=500)
    """None named: every factory within the asker's scope."""
    alarm: str = Field(default="", max_length=200)
    """A pattern with `*`; empty: any."""
    tag_class: str = Field(default="", max_length=64)
    asset_class: str = Field(default="", max_length=64)
    side: str = Field(default="", max_length=8)
    on_delay_s: float | None = Field(default=None, ge=0, le=86_400)
    off_delay_s: float | None = Field(default=None, ge=0, le=86_400)
    deadband_factor: float | None = Field(default=None, gt=0, le=10)
    limit_steps: float | None = Field(default=None, ge=-2, le=2)
    policy: str = Field(default="", max_length=64)
    reason: str = Field(default="", max_length=1_000)
    expect: str = Field(default="", max_length=64)
    """The digest of the preview that was looked at; another picture since is refused."""


class PushPoint(Dto):
    """What would become of one alarm point."""

    site: str
    edge: str
    alarm: str
    name: Text
    unit: str
    current: dict[str, float | None]
    proposed: dict[str, float | None]
    refused: str = ""
    """Why the plant's own bounds would not have it; such points are left out."""
    params: dict[str, Any] = Field(default_factory=dict)


class PushPreview(Dto):
    """What a push would change, by node."""

    digest: str
    points: list[PushPoint]
    changes: int
    refused: int
    unchanged: int
    nodes: dict[str, int]
    """site/edge -> alarm points that would change."""


class PushBegun(Dto):
    """The roll-out that a push began: its page has every node's result and the way back."""

    rollout: str
    changes: int
