"""The brain's web application: base, routes, console. `openapi_app` needs no database."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, cast

from fastapi import FastAPI

from factory_brain.web.parts import Parts
from factory_brain.web.routes.alarms import alarm_router, picture
from factory_brain.web.routes.attachments import attachment_router
from factory_brain.web.routes.dead_webhooks import dead_webhook_router
from factory_brain.web.routes.desk import desk_router
from factory_brain.web.routes.directives import directive_router
from factory_brain.web.routes.drafts import draft_router
from factory_brain.web.routes.early_warnings import early_warning_router
from factory_brain.web.routes.faults import fault_router
from factory_brain.web.routes.group_mail import group_mail_router
from factory_brain.web.routes.group_playbooks import group_playbook_router
from factory_brain.web.routes.handover import handover_router
from factory_brain.web.routes.incidents import incident_router
from factory_brain.web.routes.kpi import kpi_router
from factory_brain.web.routes.links import link_router
from factory_brain.web.routes.notify import notify_router
from factory_brain.web.routes.plant import plant_router
from factory_brain.web.routes.playbooks import playbook_router
from factory_brain.web.routes.runs import run_router
from factory_brain.web.routes.shadow import shadow_router
from factory_brain.web.routes.sinks import sink_router
from factory_brain.web.routes.trace import trace_router
from factory_brain.web.routes.trends import trend_router
from factory_brain.web.routes.units import unit_router
from shared.clock import Clock, SystemClock
from shared.paths import console_dist
from shared.web.app import WebOptions, create_base_app, serve_console
from shared.web.auth import Accounts, Place
from shared.web.health import HealthParts, health_router
from shared.web.live_socket import socket_router


def create_app(
    place: Place, clock: Clock, accounts: Accounts | None, parts: Parts,
    options: WebOptions | None = None,
) -> FastAPI:  # fmt: skip
    """The factory console's server."""
    app = create_base_app("Andon factory brain", place, clock, accounts, options)
    # Before the routes of single alarms, whose path would take "shelved" for an alarm's name.
    app.include_router(desk_router(parts.desk, parts.desk_parts))
    app.include_router(attachment_router(parts.desk, parts.desk_parts))
    app.include_router(handover_router(parts.desk_parts))
    app.include_router(
        alarm_router(parts.live, parts.broadcaster, parts.desk, parts.outcomes, parts.details)
    )
    app.include_router(socket_router(parts.broadcaster, lambda: picture(parts.live)))
    app.include_router(trend_router(parts.trends))
    app.include_router(kpi_router(parts.kpi_parts))
    app.include_router(run_router(parts.runs))
    app.include_router(dead_webhook_router(parts.runs))
    app.include_router(playbook_router(parts.playbook_parts))
    app.include_router(draft_router(parts.playbook_parts))
    app.include_router(link_router(parts.link_parts))
    app.include_router(incident_router(parts.incident_parts))
    app.include_router(fault_router(parts.faults))
    app.include_router(early_warning_router(parts.warnings))
    app.include_router(group_mail_router(parts.mail))
    app.include_router(group_playbook_router(parts.group_playbooks))
    app.include_router(directive_router(parts.directives))
    app.include_router(shadow_router(parts.counted))
    app.include_router(unit_router(parts.unit_parts))
    app.include_router(trace_router(parts.unit_parts))
    app.include_router(notify_router(parts.notify_parts))
    app.include_router(sink_router(parts.sinks))
    app.include_router(plant_router(parts.fleet, parts.positions, parts.ready))
    app.include_router(health_router(parts.health or HealthParts()))
    serve_console(app, console_dist(), "index.html")
    return app


def openapi_app() -> FastAPI:
    """The application without anything behind it, to export its OpenAPI document."""
    nothing = cast(Any, None)
    parts = Parts(*([nothing] * len(fields(Parts))))
    return create_app(Place("factory", "", "", ""), SystemClock(), None, parts)
