"""The cloud's web application: base, routes, console. `openapi_app` needs no database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, fields
from typing import Any, cast

from fastapi import FastAPI

from group_cloud.application.fleet import FactoryView
from group_cloud.application.fleet_push import FleetPush
from group_cloud.application.fleet_view import GroupFleet
from group_cloud.application.floods.view import FloodView
from group_cloud.application.live import GroupLive
from group_cloud.application.operator_state import OperatorStates
from group_cloud.application.proposals import ProposalDesk
from group_cloud.application.rollout.desk import RolloutDesk
from group_cloud.application.tenants import Tenants
from group_cloud.application.total_view import TotalView
from group_cloud.application.warning.desk import WarningDesk
from group_cloud.web.routes import group_router, health_router
from group_cloud.web.routes_dispatch import DispatchParts, dispatch_router
from group_cloud.web.routes_fleet import fleet_router
from group_cloud.web.routes_floods import flood_router
from group_cloud.web.routes_notices import NoticeParts, notice_router
from group_cloud.web.routes_playbooks import BookParts, playbook_router
from group_cloud.web.routes_proposals import ProposalParts, proposal_router
from group_cloud.web.routes_rollouts import rollout_router
from group_cloud.web.routes_total import total_router
from group_cloud.web.routes_warning import warning_router
from shared.clock import Clock, SystemClock
from shared.paths import console_dist
from shared.web.app import WebOptions, create_base_app, serve_console
from shared.web.auth import Accounts, Place
from shared.web.health import HealthParts
from shared.web.health import health_router as probe_router

GROUP = Place("group", "", "集团", "Group")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes call."""

    factories: FactoryView
    desk: ProposalDesk
    live: GroupLive
    ready: Callable[[], Awaitable[bool]]
    states: OperatorStates
    total: TotalView
    tenants: Tenants
    rollouts: RolloutDesk
    dispatch: DispatchParts
    fleet: GroupFleet
    push: FleetPush
    proposing: ProposalParts
    books: BookParts
    floods: FloodView
    warnings: WarningDesk
    notices: NoticeParts
    health: HealthParts = field(default_factory=HealthParts)


def create_app(
    clock: Clock, accounts: Accounts | None, parts: Parts, options: WebOptions | None = None
) -> FastAPI:
    """The group console's server."""
    app = create_base_app("Andon group cloud", GROUP, clock, accounts, options)
    app.include_router(group_router(parts.factories, parts.desk, parts.live, parts.states))
    app.include_router(total_router(parts.total, parts.tenants))
    app.include_router(rollout_router(parts.rollouts, parts.desk))
    app.include_router(dispatch_router(parts.dispatch))
    app.include_router(fleet_router(parts.fleet, parts.push))
    app.include_router(proposal_router(parts.proposing))
    app.include_router(playbook_router(parts.books))
    app.include_router(flood_router(parts.floods))
    app.include_router(warning_router(parts.warnings))
    app.include_router(notice_router(parts.notices))
    app.include_router(health_router(parts.ready))
    app.include_router(probe_router(parts.health))
    serve_console(app, console_dist(), "command.html")
    return app


def openapi_app() -> FastAPI:
    """The application without anything behind it, to export its OpenAPI document."""
    nothing = cast(Any, None)
    return create_app(SystemClock(), None, Parts(*([nothing] * (len(fields(Parts)) - 1))))
