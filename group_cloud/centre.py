"""Wires the dispatch centre and the fleet into the cloud.

Called once by the bootstrap; the only place where their ports meet their adapters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from group_cloud.adapters.postgres.dispatch_store import DispatchStore
from group_cloud.adapters.postgres.fleet_store import FleetStore
from group_cloud.adapters.postgres.mail_store import MailStore
from group_cloud.application.dispatching.desk import DispatchDesk
from group_cloud.application.dispatching.mail import Mail
from group_cloud.application.dispatching.view import DispatchView
from group_cloud.application.fleet_push import FleetPush
from group_cloud.application.fleet_view import GroupFleet
from group_cloud.application.total import TotalSet
from group_cloud.domain.scope import Scope
from group_cloud.web.routes_dispatch import DispatchParts
from shared.messages.bodies import FleetReport, MailReceipt
from shared.postgres.audit import audit

if TYPE_CHECKING:
    from group_cloud.bootstrap import Cloud


@dataclass(frozen=True, slots=True)
class Centre:
    """What the routes of the dispatch centre and of the fleet call."""

    dispatch: DispatchParts
    fleet: GroupFleet
    push: FleetPush


def wire(cloud: Cloud, total: TotalSet, sign: Callable[[bytes], bytes]) -> Centre:
    """Make the parts; `run` starts them."""
    pool, clock, records, live = cloud.pool, cloud.clock, cloud.records, cloud.live
    rows, reports = DispatchStore(pool), FleetStore(pool)
    desk = DispatchDesk(rows, records, audit, clock)
    view = DispatchView(rows, records, clock, cloud.factories.seen_at, cloud.factories.online)
    mail = Mail(MailStore(pool), records, audit, cloud.bus, clock, sign)
    fleet = GroupFleet(reports, cloud.factories)
    push = FleetPush(reports, records, cloud.rollouts)
    total.takers = {FleetReport: reports.take, MailReceipt: mail.take}

    async def shown(scope: Scope) -> bytes:
        return (await view.assignments(scope, live=True)).model_dump_json().encode()

    async def urgent(scope: Scope) -> bytes:
        return (await view.factories(scope)).model_dump_json().encode()

    async def messages(scope: Scope) -> bytes:
        return (await mail.listed(scope)).model_dump_json().encode()

    live.show("assignments", shown)
    live.show("urgency", urgent)
    live.show("messages", messages)

    def changed() -> None:
        live.touch("assignments")
        live.touch("urgency")

    desk.on_change = changed
    mail.on_change = lambda: live.touch("messages")
    push.on_begun = cloud.begun
    return Centre(DispatchParts(desk, view, mail), fleet, push)


def run(cloud: Cloud, centre: Centre) -> None:
    """Start what goes on by itself."""
    cloud.service.run("assignments", centre.dispatch.desk.watch_for_ever)
    cloud.service.run("mail", centre.dispatch.mail.run)
