"""The cloud's web application: base, routes, console. `openapi_app` needs no database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, cast

from fastapi import FastAPI

from group_cloud.application.fleet import FactoryView
from group_cloud.application.live import GroupLive
from group_cloud.application.operator_state import OperatorStates
from group_cloud.application.proposals import ProposalDesk
from group_cloud.web.routes import group_router, health_router
from shared.clock import Clock, SystemClock
from shared.paths import console_dist
from shared.web.app import WebOptions, create_base_app, serve_console
from shared.web.auth import Accounts, Place
from shared.web.health import HealthParts
from shared.web.health import health_router as probe_router
from shared.web.sse import Broadcaster

GROUP = Place("group", "", "集团", "Group")


@dataclass(frozen=True, slots=True)
class Parts:
    """What the routes call."""

    factories: FactoryView
    desk: ProposalDesk
    live: GroupLive
    broadcaster: Broadcaster
    ready: Callable[[], Awaitable[bool]]
    states: OperatorStates
    health: HealthParts = field(default_factory=HealthParts)


def create_app(
    clock: Clock, accounts: Accounts | None, parts: Parts, options: WebOptions | None = None
) -> FastAPI:
    """The group console's server."""
    app = create_base_app("Andon group cloud", GROUP, clock, accounts, options)
    app.include_router(
        group_router(parts.factories, parts.desk, parts.live, parts.broadcaster, parts.states)
    )
    app.include_router(health_router(parts.ready))
    app.include_router(probe_router(parts.health))
    serve_console(app, console_dist(), "command.html")
    return app


def openapi_app() -> FastAPI:
    """The application without anything behind it, to export its OpenAPI document."""
    nothing = cast(Any, None)
    return create_app(SystemClock(), None, Parts(*([nothing] * 6)))
