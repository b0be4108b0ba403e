"""The brain's web application: base, routes, console. `openapi_app` needs no database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields
from typing import Any, cast

from fastapi import FastAPI

from factory_brain.application.desk import Desk
from factory_brain.application.details import Details
from factory_brain.application.fleet import FleetView
from factory_brain.application.live_view import LiveView
from factory_brain.application.outcomes import Outcomes
from factory_brain.application.trends import Trends
from factory_brain.web.routes.alarms import alarm_router
from factory_brain.web.routes.plant import plant_router
from factory_brain.web.routes.runs import Runs, run_router
from factory_brain.web.routes.trends import trend_router
from shared.clock import Clock, SystemClock
from shared.paths import console_dist
from shared.web.app import create_base_app, serve_console
from shared.web.auth import Accounts, Place
from shared.web.sse import Broadcaster


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


def create_app(place: Place, clock: Clock, accounts: Accounts | None, parts: Parts) -> FastAPI:
    """The factory console's server."""
    app = create_base_app("Andon factory brain", place, clock, accounts)
    app.include_router(
        alarm_router(parts.live, parts.broadcaster, parts.desk, parts.outcomes, parts.details)
    )
    app.include_router(trend_router(parts.trends))
    app.include_router(run_router(parts.runs))
    app.include_router(plant_router(parts.fleet, parts.positions, parts.ready))
    serve_console(app, console_dist(), "index.html")
    return app


def openapi_app() -> FastAPI:
    """The application without anything behind it, to export its OpenAPI document."""
    nothing = cast(Any, None)
    parts = Parts(*([nothing] * len(fields(Parts))))
    return create_app(Place("factory", "", "", ""), SystemClock(), None, parts)
