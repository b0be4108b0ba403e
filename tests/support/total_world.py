"""The group's ingest, store and web on a real PostgreSQL, without a bus: a database per module.

What a factory says goes through the same receiver as in production; people ask through the same
application. The bus between them has tests of its own.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from typing import Any, cast

import asyncpg
import httpx
import msgspec
from fastapi import FastAPI

from group_cloud.adapters.postgres.dispatch_store import DispatchStore
from group_cloud.adapters.postgres.fleet_store import FleetStore
from group_cloud.adapters.postgres.flood_reads import FloodReads
from group_cloud.adapters.postgres.mail_store import MailStore
from group_cloud.adapters.postgres.record_store import RecordStore
from group_cloud.adapters.postgres.tenant_store import TenantStore
from group_cloud.adapters.postgres.total_reads import TotalReads
from group_cloud.adapters.postgres.total_store import TotalStore
from group_cloud.application.dispatching.desk import DispatchDesk
from group_cloud.application.dispatching.mail import Mail
from group_cloud.application.dispatching.view import DispatchView
from group_cloud.application.fleet import FactoryView
from group_cloud.application.fleet_push import FleetPush
from group_cloud.application.fleet_view import GroupFleet
from group_cloud.application.floods.view import FloodView
from group_cloud.application.ingest import Ingest
from group_cloud.application.live import GroupLive
from group_cloud.application.operator_state import OperatorStates
from group_cloud.application.tenants import Tenants
from group_cloud.application.total import TotalSet
from group_cloud.application.total_view import TotalView
from group_cloud.bootstrap import MIGRATIONS
from group_cloud.web.app import Parts, create_app
from group_cloud.web.routes_dispatch import DispatchParts
from shared.clock import Clock, SystemClock
from shared.identity.policy import Grant, User
from shared.ids import new_epoch
from shared.messages.bodies import AlarmTransition, Body
from shared.messages.codec import encode
from shared.messages.envelope import Event, Frame
from shared.outbox.receiving import Receipt
from shared.postgres.accounts import PgAccounts
from shared.postgres.audit import audit
from shared.postgres.migrate import migrate
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver
from shared.web.auth import COOKIE
from shared.web.health import HealthParts
from tests.support.notice_world import noticing_on

DAY = 86_400_000
DAYS = 400


class _NoReports:
    """Roll-outs have tests of their own."""

    async def take(self, tx: Any, site: str, report: Any) -> None:
        """Nothing is on its way here."""


@dataclass
class Total:
    """The group's store with what writes and reads it."""

    pool: asyncpg.Pool
    clock: Clock
    records: RecordStore
    ingest: Ingest
    view: TotalView
    tenants: Tenants


def total_on(pool: asyncpg.Pool, clock: Clock | None = None) -> Total:
    clock = clock or SystemClock()
    records = RecordStore(pool)
    ingest = Ingest(clock, records, _NoReports(), TotalSet(TotalStore(), DAYS))
    ingest.receiver = FrameReceiver(pool, clock, ingest.apply)
    tenants = Tenants(TenantStore(pool), records, audit, clock)
    return Total(pool, clock, records, ingest, TotalView(TotalReads(pool), clock), tenants)


@asynccontextmanager
async def running_total(url: str) -> AsyncIterator[Total]:
    """A migrated database with the group's parts on it."""
    await migrate(url, MIGRATIONS)
    pool = await connect_pool(url)
    try:
        yield total_on(pool)
    finally:
        await pool.close()


@dataclass
class Teller:
    """A factory that speaks to the ingest."""

    total: Total
    site: str
    epoch: str = field(default_factory=new_epoch)
    seq: int = 0

    def frame(self, *told: tuple[int, Body]) -> Frame:
        events = [
            msgspec.Raw(encode(Event(id=f"{self.epoch}-{self.seq + n}", type="x", time=at, body=b)))
            for n, (at, b) in enumerate(told, 1)
        ]
        made = Frame(
            source=f"{self.site}.brain", epoch=self.epoch, lane="live", first=self.seq + 1,
            events=events,
        )  # fmt: skip
        self.seq += len(events)
        return made

    async def say(self, *told: tuple[int, Body]) -> Receipt:
        return await self.total.ingest.receive(self.frame(*told))


def transition(
    name: str, version: int, kind: str, *, raised_at: int, at: int = 0, alarm: str = "A.HI",
    priority: int = 2, returned_at: int = 0, **more: Any,
) -> tuple[int, AlarmTransition]:  # fmt: skip
    """(when it was stamped, what was said)."""
    body = AlarmTransition(
        alarm=alarm, occurrence=name, version=version, annunciated_version=1, kind=kind,
        annunciate=kind == "raised", state={}, settings_version=1, priority=priority,
        asset="FUR-01", tag="TT-101", source_time=at or raised_at, raised_at=raised_at,
        returned_at=returned_at, **more,
    )  # fmt: skip
    return at or raised_at, body


def episode(
    name: str, raised_at: int, *, acked_s: float = 30, standing_s: float = 600,
    alarm: str = "A.HI", priority: int = 2,
) -> list[tuple[int, AlarmTransition]]:  # fmt: skip
    """A raise, its acknowledgement and its return."""
    acked, back = raised_at + int(acked_s * 1000), raised_at + int(standing_s * 1000)
    same: dict[str, Any] = {"alarm": alarm, "priority": priority, "raised_at": raised_at}
    return [
        transition(name, 1, "raised", **same),
        transition(name, 1, "acknowledged", at=acked, **same),
        transition(name, 2, "returned", at=back, returned_at=back, **same),
    ]


async def people(total: Total, grants: dict[str, list[tuple[str, str]]]) -> dict[str, str]:
    """Session tokens of people with (role, tenant) grants."""
    accounts = PgAccounts(total.pool, total.clock)
    found = {}
    for name, held in grants.items():
        given = [Grant(role, area) for role, area in held]
        await accounts.create(name, "correct horse battery", given)
        found[name] = await accounts.open_session(User.of(name, given), "local")
    return found


def centre(total: Total, factories: FactoryView) -> dict[str, Any]:
    """The dispatch centre and the fleet over this store; what needs a bus or roll-outs, without."""
    nothing = cast(Any, None)
    rows = DispatchStore(total.pool)
    desk = DispatchDesk(rows, total.records, audit, total.clock)
    view = DispatchView(rows, total.records, total.clock, factories.seen_at, factories.online)
    mail = Mail(MailStore(total.pool), total.records, audit, nothing, total.clock, lambda _: b"")
    reports = FleetStore(total.pool)
    return {
        "dispatch": DispatchParts(desk, view, mail), "fleet": GroupFleet(reports, factories),
        "push": FleetPush(reports, total.records, nothing),
    }  # fmt: skip


def application(total: Total) -> FastAPI:
    """The group's web over this store; proposals, whose desk needs a bus, are not here."""
    nothing = cast(Any, None)
    factories = FactoryView(total.records, total.clock)
    live = GroupLive(factories, nothing, total.clock.now_ms)
    live.drop("proposals")
    made: dict[str, Any] = {each.name: nothing for each in fields(Parts)} | {
        "factories": factories, "live": live, "states": OperatorStates(total.records),
        "total": total.view, "tenants": total.tenants, "health": HealthParts(),
        "floods": FloodView(FloodReads(total.pool)),
        "notices": noticing_on(total.pool, total.clock).parts,
        **centre(total, factories),
    }  # fmt: skip
    parts = Parts(**made)
    return create_app(total.clock, PgAccounts(total.pool, total.clock), parts)


@asynccontextmanager
async def asking(total: Total, token: str) -> AsyncIterator[httpx.AsyncClient]:
    """A person's client."""
    transport = httpx.ASGITransport(app=application(total))
    cookies = {"Cookie": f"{COOKIE}={token}"}
    async with httpx.AsyncClient(
        transport=transport, base_url="http://group", headers=cookies, timeout=20
    ) as client:
        yield client
