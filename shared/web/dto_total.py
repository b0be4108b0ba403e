"""Shapes of the group's total set: events, incidents, runs, figures over factories, tenants.

Used by the group's routes alone; no rule lives here.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from shared.web.dto_base import Dto, Text


class Tenant(Dto):
    """One tenant with its factories."""

    id: str
    name: Text
    sites: list[str]


class TenantList(Dto):
    """GET /api/tenants."""

    tenants: list[Tenant]


class NewTenant(Dto):
    """POST /api/tenants."""

    id: str = Field(max_length=64)
    name: Text


class SiteTenant(Dto):
    """PUT /api/factories/{site}/tenant."""

    tenant: str = Field(max_length=64)


class GroupEvent(Dto):
    """One event of a factory, as it came up."""

    site: str
    id: str
    type: str
    time: int
    received_at: int
    alarm: str | None = None
    occurrence: str | None = None
    body: dict[str, Any]


class GroupEventPage(Dto):
    """GET /api/group/events."""

    items: list[GroupEvent]
    next: str | None = None


class GroupIncident(Dto):
    """One incident of a factory."""

    site: str
    site_name: Text
    id: str
    name: Text
    status: str
    revision: int
    opened_at: int
    acknowledged_at: int | None = None
    contained_at: int | None = None
    closed_at: int | None = None
    priority: int
    asset: str
    alarms: int
    standing: int
    unacked: int
    flood: bool
    owner: str
    cause: str
    outcome: str


class GroupIncidentPage(Dto):
    """GET /api/group/incidents."""

    items: list[GroupIncident]
    next: str | None = None


class Said(Dto):
    """How often people said so."""

    label: str
    cause: str
    count: int


class GroupRun(Dto):
    """The end of one playbook run."""

    site: str
    run: str
    playbook: str
    version: int
    release: str
    variant: str
    status: str
    success: bool | None = None
    alarm: str
    occurrence: str
    started_at: int
    ended_at: int
    duration_s: float | None = None
    resolve_s: float | None = None
    """From the alarm's raise to its return to normal."""
    drill: bool
    context: dict[str, Any]
    metrics: dict[str, Any]


class GroupRunPage(Dto):
    """GET /api/group/runs."""

    items: list[GroupRun]
    next: str | None = None


class GroupIncidentDetail(Dto):
    """GET /api/group/incidents/{site}/{incident}."""

    incident: GroupIncident
    assets: list[str]
    alarm_names: list[str]
    occurrences: list[str]
    first_out: list[str]
    said: list[Said]
    runs: list[GroupRun]


class PlaybookFigures(Dto):
    """How one version and variant of a playbook has fared."""

    playbook: str
    version: int
    variant: str
    runs: int
    succeeded: int
    sites: int
    duration_s: float | None = None
    resolve_s: float | None = None


class PlaybookFiguresList(Dto):
    """GET /api/group/playbooks."""

    items: list[PlaybookFigures]


class PriorityFigures(Dto):
    """Sums of one priority."""

    priority: int
    raised: int
    annunciated: int
    acked: int
    ack_mean_s: float | None = None
    acked_within_1m: int
    acked_within_10m: int
    returned: int
    standing_h: float


class BadActor(Dto):
    """One of the alarms that told most."""

    alarm: str
    asset: str
    name: Text
    annunciated: int
    share: float
    standing_h: float


class DayCount(Dto):
    """One day (UTC, days since 1970)."""

    day: int
    raised: int
    annunciated: int


class FactoryFigures(Dto):
    """The figures of one factory."""

    site: str
    name: Text
    priorities: list[PriorityFigures]
    days: list[DayCount]
    annunciated_per_day: float
    flood_hours: int
    worst_ten_minutes: int
    standing: int
    stale: int
    """Standing for more than a day."""
    bad_actors: list[BadActor]
    uncounted: int
    """Occurrences too old, or of a clock too wrong, for these figures."""


class GroupStatistics(Dto):
    """GET /api/group/statistics."""

    since_day: int
    until_day: int
    factories: list[FactoryFigures]


class Cause(Dto):
    """How often a cause was named at a factory."""

    site: str
    what: str
    """occurrence or incident."""
    cause: str
    label: str
    count: int


class CauseList(Dto):
    """GET /api/group/causes."""

    items: list[Cause]


class ComparedFactory(Dto):
    """One factory's part of a comparison."""

    site: str
    points: int
    raised: int
    annunciated: int
    per_point_and_day: float
    standing_h: float
    labelled: int
    nuisance: int


class Compared(Dto):
    """Like with like: one process, asset class or tag class over factories."""

    kind: str
    factories: list[ComparedFactory]


class Comparison(Dto):
    """GET /api/group/compare."""

    by: str
    since_day: int
    until_day: int
    kinds: list[Compared]
