"""Wires the cloud: the only place where its ports meet their adapters."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from group_cloud import books, centre, early_warning, flooding, noticing, proposing
from group_cloud.adapters.postgres.nomination_store import NominationStore
from group_cloud.adapters.postgres.plan_store import PlanStore
from group_cloud.adapters.postgres.record_store import RecordStore
from group_cloud.adapters.postgres.rollout_health import RolloutHealth
from group_cloud.adapters.postgres.rollout_store import ModelStore, ProposalStore, RolloutStore
from group_cloud.adapters.postgres.shadow_store import ShadowStore
from group_cloud.adapters.postgres.tenant_store import TenantStore
from group_cloud.adapters.postgres.total_reads import TotalReads
from group_cloud.adapters.postgres.total_store import TotalStore
from group_cloud.application.fleet import FactoryView
from group_cloud.application.health import checks, metrics
from group_cloud.application.ingest import Ingest
from group_cloud.application.live import GroupLive
from group_cloud.application.nominations import Nominator
from group_cloud.application.operator_state import OperatorStates
from group_cloud.application.ports import Bank
from group_cloud.application.proposals import ProposalDesk
from group_cloud.application.reports import Reports
from group_cloud.application.rollout.desk import RolloutDesk
from group_cloud.application.rollout.drive import Drive, PlanStores
from group_cloud.application.rollouts import Dispatch, Stores
from group_cloud.application.shadow import ShadowIntake
from group_cloud.application.tenants import Tenants
from group_cloud.application.total import TotalSet
from group_cloud.application.total_view import TotalView
from group_cloud.application.trainer import Trainer, TrainerStores
from group_cloud.domain.evidence import Costs, Gate
from group_cloud.domain.nomination import Spot
from group_cloud.domain.scope import Scope
from group_cloud.settings import CloudSettings
from group_cloud.web.app import Parts, create_app
from group_cloud.web.routes_proposals import ProposalParts
from shared.alarm.point import Setting
from shared.bus.nats_bus import NatsBus
from shared.bus.streams import EVENTS, cloud_streams
from shared.clock import Clock, SystemClock
from shared.config import read_secret
from shared.messages.subjects import BRAIN, any_node
from shared.outbox.receiving import Receiving
from shared.postgres.accounts import PgAccounts
from shared.postgres.audit import audit
from shared.postgres.identity import keep_anchors, open_accounts, stand_at
from shared.postgres.migrate import behind_head, migrate
from shared.postgres.pool import connect_pool
from shared.postgres.receiver import FrameReceiver
from shared.postgres.web_options import web_options
from shared.security import load_private
from shared.service import Service
from shared.telemetry import logger
from shared.web.app import WebServer
from shared.web.health import HealthParts

log = logger("cloud")
MIGRATIONS = Path(__file__).parent / "adapters" / "postgres" / "migrations"
INBOX = "_INBOX_cloud"
DAY_MS = 86_400_000
PRUNE_EVERY_S = 3600.0


def _bank(costs: Costs, gate: Gate) -> Bank:
    """Imported with the first label: River and numpy take 45 MB that a start does not need."""
    from group_cloud.learning.threshold import ExpertBank

    return ExpertBank(costs, gate)


async def run_cloud(settings: CloudSettings) -> None:
    """Run the group's cloud until it is told to stop."""
    cloud = await Cloud.start(settings)
    log.info("cloud_started", url=f"http://{settings.http_host}:{settings.http_port}")
    await cloud.service.run_until_signal()


class Cloud:
    """The running parts of the cloud."""

    def __init__(
        self, settings: CloudSettings, pool: asyncpg.Pool, bus: NatsBus, clock: Clock,
        key: Ed25519PrivateKey,
    ) -> None:  # fmt: skip
        self.settings, self.pool, self.bus, self.clock = settings, pool, bus, clock
        self.service = Service()
        self.records = RecordStore(pool)
        proposals, rollouts = ProposalStore(pool), RolloutStore(pool)
        stores = Stores(self.records, proposals, rollouts, audit)
        self.dispatch = Dispatch(stores, bus, clock, key.sign)
        owners = TenantStore(pool)
        self.tenants = Tenants(owners, self.records, audit, clock)
        self.total = TotalView(TotalReads(pool), clock)
        self.plans = PlanStore(pool)
        rolling = PlanStores(self.records, self.plans, rollouts, RolloutHealth(), audit)
        self.drive = Drive(rolling, self.dispatch, clock)
        self.rollouts = RolloutDesk(
            rolling, self.drive, clock, settings.policies(), settings.rollout_policy,
            self.tenants.sites,
        )  # fmt: skip
        self.desk = ProposalDesk(stores, self.plans, self.rollouts, clock, self.tenants.sites)
        costs = Costs(settings.cost_false, settings.cost_missed, settings.cost_delay_hour)
        gate = Gate(settings.min_nuisance, settings.min_true)
        self.trainer = Trainer(
            TrainerStores(
                self.records,
                proposals,
                rollouts,
                ModelStore(),
                audit,
                lambda point: self.proposing.counted(point),
            ),
            clock,
            lambda: _bank(costs, gate),
        )
        total = TotalSet(TotalStore(), settings.statistic_days)
        self.shadow = ShadowStore(pool)
        self.nominator = Nominator(NominationStore(pool), bus, clock, key.sign, audit)
        self.ingest = Ingest(
            clock, self.records, Reports(clock, rollouts, audit), total, ShadowIntake(self.shadow)
        )  # fmt: skip
        self.ingest.receiver = FrameReceiver(pool, clock, self.ingest.apply)
        self.factories = FactoryView(self.records, clock)
        self.live = GroupLive(self.factories, self.desk, clock.now_ms)
        self.ingest.on_outcome = self.trainer.wake
        self.ingest.on_report = self._reported
        self.ingest.on_shadow = self.drive.wake
        self.ingest.on_factory = self._told
        self.ingest.on_hello = self.dispatch.welcome
        self.trainer.on_proposals = self.live.touch_proposals
        self.desk.on_change = self.live.touch_proposals
        self.desk.on_begun = self.begun
        self._show_rollouts()
        self.centre = centre.wire(self, total, key.sign)
        self.proposing = proposing.wire(self, stores, total, key.sign)
        self.books = books.wire(self, total, key)
        self.floods = flooding.wire(self, key.sign)
        self.warnings = early_warning.wire(self, total, key.sign)
        self.noticing = noticing.wire(self, self.centre.dispatch.mail)

    def _show_rollouts(self) -> None:
        async def shown(scope: Scope) -> bytes:
            return (await self.rollouts.listed(scope)).model_dump_json().encode()

        def touch() -> None:
            self.live.touch("rollouts")
            self.live.touch_proposals()
            self.nominator.wake()

        async def trials(site: str) -> dict[Spot, Setting]:
            return {
                Spot(each.point.edge, each.point.alarm): each.setting
                for each in await self.plans.in_shadow()
                if each.point.site == site
            }

        self.nominator.trials = trials

        self.live.show("rollouts", shown)
        self.drive.on_change = self.rollouts.on_change = self.dispatch.on_change = touch

    def _told(self) -> None:
        """Something came from a factory."""
        self.books.drive.heard()
        for name in ("factories", "urgency", "messages"):
            self.live.touch(name)

    def _reported(self) -> None:
        """An edge or a factory has answered."""
        self.live.touch_proposals()
        self.live.touch("rollouts")
        self.drive.wake()

    def begun(self) -> None:
        """A roll-out has begun."""
        self.dispatch.wake()
        self.drive.wake()
        self.live.touch("rollouts")

    @classmethod
    async def start(cls, settings: CloudSettings) -> Cloud:
        """Check everything, migrate, connect, serve; raises ConfigError."""
        clock = SystemClock()
        stand_at("group", "", "UTC")
        key = load_private(settings.release_key_file)
        password = read_secret(settings.nats_password_file, "NATS password")
        pool = await connect_pool(settings.database_url)
        await migrate(settings.database_url, MIGRATIONS)
        bus = await NatsBus.connect(
            settings.nats_url, user=settings.nats_user, password=password, name="cloud",
            inbox=INBOX,
        )  # fmt: skip
        cloud = cls(settings, pool, bus, clock, key)
        cloud.service.on_close("database", pool.close)
        cloud.service.on_close("bus", bus.close)
        for spec in cloud_streams():
            await bus.ensure_stream(spec)
        accounts = await open_accounts(pool, clock, settings, cloud.service, site="")
        keep_anchors(pool, clock, key, cloud.service, tier="group", site="")
        cloud._run(await cloud._listen())
        cloud._serve(accounts)
        return cloud

    async def _listen(self) -> Receiving:
        """Subscribe once: a supervised task that subscribes would do it again at every restart."""
        receiving = Receiving(
            self.bus, self.clock, self.ingest, site="*", on_forged=self._on_forged
        )
        await self.bus.subscribe(any_node("*", BRAIN, "health"), self._on_health)
        await receiving.serve_hello()
        return receiving

    def _run(self, receiving: Receiving) -> None:
        service = self.service
        service.run("watermarks", receiving.report_for_ever)
        service.run("bus", self._until_deaf)
        service.run("ingest", lambda: receiving.consume(EVENTS, "cloud"))
        service.run("trainer", self.trainer.run)
        service.run("nominations", self.nominator.run)
        service.run("dispatch", self.dispatch.run)
        service.run("rollouts", self.drive.run)
        centre.run(self, self.centre)
        proposing.run(self, self.proposing)
        books.run(self, self.books)
        flooding.run(self, self.floods)
        early_warning.run(self, self.warnings)
        noticing.run(self, self.noticing)
        service.run("live", self.live.broadcast_for_ever)
        service.run("seen", self.factories.save_for_ever)
        service.run("housekeeping", self._prune_for_ever)

    async def _until_deaf(self) -> None:
        await self.bus.until_closed()
        self.service.stop()

    def _serve(self, accounts: PgAccounts) -> None:
        states = OperatorStates(self.records)
        parts = Parts(
            self.factories, self.desk, self.live, self._ready, states, self.total, self.tenants,
            self.rollouts, self.centre.dispatch, self.centre.fleet, self.centre.push,
            ProposalParts(self.desk, self.proposing.own, self.proposing.histories,
                          self.proposing.limits, self.proposing.trying, self.tenants),
            self.books.parts, self.floods.view, self.warnings.desk, self.noticing.parts,
            self._health(),
        )  # fmt: skip
        app = create_app(self.clock, accounts, parts, web_options(self.settings))
        server = WebServer(app, self.settings.http_host, self.settings.http_port)
        self.service.run("web", server.run)
        self.service.on_close("web", server.close)

    def _health(self) -> HealthParts:
        async def migrations() -> str:
            return await behind_head(self.pool, MIGRATIONS)

        async def text() -> str:
            size = (self.pool.get_size(), self.pool.get_idle_size())
            return await metrics(self.factories, self.live, size)

        found = checks(self._writable, migrations, lambda: self.bus.connected, self.service.stopped)
        opened = self.settings.metrics_open
        return HealthParts(found, text if opened else None, self.settings.readiness_details)

    async def _writable(self) -> bool:
        try:
            await self.pool.execute(
                "UPDATE watermark SET updated_at = updated_at WHERE false", timeout=2
            )
            read_only = await self.pool.fetchval("SHOW transaction_read_only", timeout=2)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        return read_only == "off"

    async def _on_health(self, subject: str, data: bytes) -> bytes | None:
        await self.factories.on_health(subject, data)
        return None

    async def _on_forged(self, subject: str, reason: str) -> None:
        async with self.records.transaction() as tx:
            await audit(
                tx, self.clock.now_ms(), "group", "frame_forged", subject, {"reason": reason}
            )

    async def _ready(self) -> bool:
        if not self.bus.connected:
            return False
        try:
            await self.pool.fetchval("SELECT 1", timeout=2)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
            return False
        return True

    async def _prune_for_ever(self) -> None:
        while True:
            now = self.clock.now_ms()
            await self.records.partitions.make_ahead(now)
            await self.records.prune(now - self.settings.event_days * DAY_MS)
            await self.records.prune_total(now - self.settings.statistic_days * DAY_MS)
            await self.shadow.prune(now - self.settings.shadow_days * DAY_MS)
            await self.floods.store.prune(now - self.settings.statistic_days * DAY_MS)
            await asyncio.sleep(PRUNE_EVERY_S)
