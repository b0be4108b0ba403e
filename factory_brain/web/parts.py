"""What the brain's routes are given, without the web framework: a brain that starts has its parts
long before it serves them.

Made by `factory_brain/bootstrap`, read by `factory_brain/web/routes`; holds no logic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from factory_brain.application.attachments import Attachments
    from factory_brain.application.desk import Desk
    from factory_brain.application.desk_lists import DeskLists
    from factory_brain.application.details import Details
    from factory_brain.application.fleet import FleetView
    from factory_brain.application.group_mail import GroupMail
    from factory_brain.application.handover import HandoverDesk
    from factory_brain.application.incidents.desk import IncidentDesk
    from factory_brain.application.incidents.story import IncidentStory
    from factory_brain.application.kpis import Journal, LiveFigures
    from factory_brain.application.links.devices import Devices
    from factory_brain.application.links.inbound import Inbound
    from factory_brain.application.links.outbound import Outbound
    from factory_brain.application.links.overview import LinkOverview
    from factory_brain.application.live_view import LiveView
    from factory_brain.application.notify.desk import NotifyDesk
    from factory_brain.application.outcomes import Outcomes
    from factory_brain.application.playbooks.authoring.drafts import Drafts
    from factory_brain.application.playbooks.authoring.migrating import Migrating
    from factory_brain.application.playbooks.authoring.replaying import Replaying
    from factory_brain.application.playbooks.authoring.shelf import Shelf
    from factory_brain.application.playbooks.authoring.views import PlaybookViews
    from factory_brain.application.playbooks.engine import Engine
    from factory_brain.application.playbooks.from_group.desk import GroupPlaybooks
    from factory_brain.application.shadow.faults import FaultDesk
    from factory_brain.application.shadow.showing import ShadowView
    from factory_brain.application.sinks.forwarding import Forwarding
    from factory_brain.application.trace.export import TraceExport
    from factory_brain.application.trace.story import TraceStory
    from factory_brain.application.trends import Trends
    from factory_brain.application.units.ports import UnitReads
    from factory_brain.application.units.questions import UnitQuestions
    from factory_brain.application.units.reports import UnitReports
    from factory_brain.application.units.turns import Turns
    from factory_brain.application.waiting_directives import WaitingDirectives
    from factory_brain.application.warning.view import WarningView
    from factory_brain.web.routes.runs import Runs
    from shared.clock import Clock
    from shared.site.site import Site
    from shared.web.checks import HealthParts
    from shared.web.sse import Broadcaster


@dataclass(frozen=True, slots=True)
class UnitParts:
    """What the routes of units and of the trace call."""

    reports: UnitReports
    questions: UnitQuestions
    reads: UnitReads
    story: TraceStory
    export: TraceExport
    clock: Clock
    turns: Turns


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What the routes of the desk call."""

    lists: DeskLists
    attachments: Attachments
    handover: HandoverDesk


@dataclass(frozen=True, slots=True)
class KpiParts:
    """What the routes call."""

    site: Site
    journal: Journal
    figures: LiveFigures
    live: LiveView
    clock: Clock


@dataclass(frozen=True, slots=True)
class LinkParts:
    """What the routes of links call."""

    inbound: Inbound
    outbound: Outbound
    devices: Devices
    overview: LinkOverview


@dataclass(frozen=True, slots=True)
class PlaybookParts:
    """What the routes of playbooks and drafts call."""

    site: Site
    clock: Clock
    shelf: Shelf
    drafts: Drafts
    views: PlaybookViews
    replaying: Replaying
    migrating: Migrating
    engine: Engine
    turns: Turns


@dataclass(frozen=True, slots=True)
class NotifyParts:
    """What the routes of notifications call."""

    desk: NotifyDesk
    site: Site


@dataclass(frozen=True, slots=True)
class IncidentParts:
    """What the routes call."""

    desk: IncidentDesk
    story: IncidentStory


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes call."""

    live: LiveView
    broadcaster: Broadcaster
    desk: Desk
    outcomes: Outcomes
    details: Details
    fleet: FleetView
    trends: Trends
    runs: Runs
    positions: Callable[[], Awaitable[dict[str, Any]]]
    ready: Callable[[], Awaitable[bool]]
    desk_parts: DeskParts
    kpi_parts: KpiParts
    link_parts: LinkParts
    incident_parts: IncidentParts
    notify_parts: NotifyParts
    health: HealthParts
    unit_parts: UnitParts
    sinks: Forwarding
    playbook_parts: PlaybookParts
    faults: FaultDesk
    mail: GroupMail
    group_playbooks: GroupPlaybooks
    directives: WaitingDirectives
    counted: ShadowView
    warnings: WarningView
