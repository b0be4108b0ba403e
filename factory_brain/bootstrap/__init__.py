"""Wires the brain: the only place where its ports meet their adapters."""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from factory_brain.adapters.outward_http import HttpCalls
from factory_brain.adapters.postgres.alarm_store import AlarmStore
from factory_brain.adapters.postgres.pools import Pools, open_common, open_rest
from factory_brain.adapters.postgres.positions import Positions
from factory_brain.adapters.postgres.relay_store import PgRelayStore
from factory_brain.adapters.postgres.run_incidents import RunIncidents
from factory_brain.adapters.postgres.run_store import PgRunStore
from factory_brain.adapters.postgres.sample_store import SampleStore
from factory_brain.adapters.site_follow import SiteFollow
from factory_brain.adapters.webhook_sender import HttpWebhooks, Outside
from factory_brain.application.annunciation import Annunciation
from factory_brain.application.desk import fact_lane
from factory_brain.application.details import Details
from factory_brain.application.directive_relay import DirectiveRelay, Keys, Plant
from factory_brain.application.fact_sender import FactSender
from factory_brain.application.fleet import FleetView
from factory_brain.application.fleet_calling import call_edges
from factory_brain.application.ingest import Ingest, OnOccurrence
from factory_brain.application.live_view import RATE_WINDOW_MS, LiveView
from factory_brain.application.outcomes import Outcomes
from factory_brain.application.playbooks.desk import PlaybookDesk
from factory_brain.application.playbooks.edge_devices import EdgeDevices
from factory_brain.application.playbooks.engine import Engine, Ports
from factory_brain.application.playbooks.offline import FragmentSender
from factory_brain.application.playbooks.plant_tags import PlantTags
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.trends import Trends
from factory_brain.application.uplink import Uplink
from factory_brain.bootstrap import (
    authoring,
    brains,
    desk,
    group,
    health,
    identity,
    incidents,
    kpi,
    links,
    notify,
    opcua,
    playbooks,
    serving,
    shadow,
    sinks,
    store,
    triggers,
    units,
    warning,
)
from factory_brain.domain.rows import Occurrence
from factory_brain.settings import BrainSettings
from shared.bus.nats_bus import NatsBus
from shared.bus.streams import factory_streams
from shared.clock import Clock, SystemClock
from shared.config import read_secret
from shared.ids import new_epoch
from shared.messages.bodies import PlaybookOutcome
from shared.messages.subjects import LIVE, Node, any_node
from shared.outbox.receiving import Receiving
from shared.postgres.audit import audit
from shared.postgres.identity import stand_at
from shared.postgres.migrate import migrate
from shared.postgres.outbox import PgOutbox
from shared.postgres.receiver import FrameReceiver
from shared.security import load_private, load_public
from shared.service import Service
from shared.site.loader import Site, load_site
from shared.telemetry import logger
from shared.web.sse import Broadcaster

log = logger("brain")
MIGRATIONS = Path(__file__).parents[1] / "adapters" / "postgres" / "migrations"


async def run_brain(settings: BrainSettings) -> None:
    """Run one factory's brain until it is told to stop."""
    brain = await Brain.start(settings, heed_signals=True)
    # What stands now stands for good; a flood of events must not make the collector walk over it,
    # nor may an alarm wait while it does so once more at the start.
    gc.freeze()
    gc.enable()
    gc.set_threshold(20_000, 20, 50)
    log.info(
        "brain_started", site=settings.site, url=f"http://{settings.http_host}:{settings.http_port}"
    )
    await brain.service.run_until_signal()


class Brain:
    """The running parts of one brain."""

    def __init__(
        self, settings: BrainSettings, site: Site, pools: Pools, bus: NatsBus, clock: Clock,
        epoch: str,
    ) -> None:  # fmt: skip
        pool = pools.common
        self.settings, self.site, self.pool, self.bus, self.clock = settings, site, pool, bus, clock
        self.pools = pools
        self.asked = pool
        """Where long questions go: a pool of their own, once `units` has opened it."""
        self.service = Service()
        self.node = Node(settings.site, "brain")
        self.epoch = epoch
        self.alarms, self.samples = AlarmStore(pool), SampleStore(pool)
        self.positions = Positions(pool, pools.vital)
        self.outbox = PgOutbox(pool, self.epoch)
        self.broadcaster = Broadcaster(clock.now_ms)
        self.fleet = FleetView(settings.site, site.info.edges, clock)
        self.live = LiveView(
            site.alarms, clock, self.broadcaster, self.fleet, site.kpi.limits()
        )  # fmt: skip
        self.uplink = Uplink(
            site.info, self.epoch, new_epoch(), bus, clock, self.outbox.view(LIVE), self.outbox,
            self.alarms, self.live, self.fleet,
        )  # fmt: skip
        self.ingest = Ingest(clock, self.alarms, self.samples, self.uplink.forward)
        self.ingest.receiver = FrameReceiver(pools.intake, clock, self.ingest.apply)
        self.desk = desk.make(self)
        self.system = health.make(self)
        self.meters = health.meters(self)
        self.when_started: list[Callable[[], None]] = []
        """Called at the very end of the start: what is better loaded soon."""
        self.heard_elsewhere: list[OnOccurrence] = []
        """Told of occurrences that another brain has committed."""
        self.on_run_ended = [self.uplink.run_ended]
        """Told the end of every playbook run, before it is written: again after a kill."""
        self.outcomes = Outcomes(site.alarms, clock, self.alarms, self.samples, self.uplink, audit)
        self.details = Details(
            site.alarms, site.tags, clock, self.alarms, self.alarms, self.samples, self.live
        )
        self.trends = Trends(settings.site, site.tags, site.sources, self.samples, bus, clock)
        self.annunciation = Annunciation(
            settings.site, self.node.source, settings.lease_ttl, bus, clock, self.fleet, self.live,
            lambda: self.broadcaster.attended, self.positions.writable,
        )  # fmt: skip
        self.brains = brains.make(self)
        self.leading = self.brains.leading

    @classmethod
    async def start(cls, settings: BrainSettings, *, heed_signals: bool = False) -> Brain:
        """Check everything, migrate, connect, load, serve; raises ConfigError.

        `heed_signals`: the process is this brain's alone; it ends in order once it holds leases.
        """
        brain = await cls._connected(settings)
        try:
            await brain._prepare()
            if heed_signals:
                brain.service.heed_signals()
            await brain._run()
        except BaseException:
            # It may lead and act by now: what it holds is given back, not left to time out.
            await brain.service.shutdown()
            raise
        return brain

    @classmethod
    async def _connected(cls, settings: BrainSettings) -> Brain:
        """A brain on a migrated database and a bus, which it gives back at its end."""
        clock = SystemClock()
        site = load_site(settings.site_dir)
        stand_at("factory", settings.site, site.info.timezone)
        password = read_secret(settings.nats_password_file, "NATS password")
        epoch = new_epoch()
        me = brains.own_id(settings, epoch)
        async with AsyncExitStack() as held:
            common = await open_common(settings.database_url, me)
            held.push_async_callback(common.close)
            await migrate(settings.database_url, MIGRATIONS)
            node = Node(settings.site, "brain")
            bus = await NatsBus.connect(
                settings.nats_url, user=settings.nats_user, password=password,
                name=f"brain-{settings.site}", inbox=node.inbox, site=settings.site,
            )  # fmt: skip
            held.push_async_callback(bus.close)
            pools = await open_rest(common, settings.database_url, me)
            brain = cls(settings, site, pools, bus, clock, epoch)
            for name, pool in pools.each():
                brain.service.on_close(name, pool.close)
            brain.service.on_close("bus", bus.close)
            held.pop_all()
        return brain

    async def _prepare(self) -> None:
        for spec in factory_streams(self.settings.site):
            await self.bus.ensure_stream(spec)
        for edge in self.fleet.edges:
            await self.bus.ensure_bucket(Node(self.settings.site, edge).directive_bucket)
        await self._listen()
        now = self.clock.now_ms()
        self.live.load(
            await self.alarms.open_occurrences(),
            await self.alarms.annunciated_since(now - RATE_WINDOW_MS),
        )
        await self._refresh_system()
        self.rollups = await store.wire(self)
        self.accounts = await identity.wire(self)
        self.desk_parts = await desk.wire(self)
        self.kpi_parts = await kpi.wire(self)
        self.health_parts = await health.wire(self)
        await self._wire_playbooks()
        await self._wire_relay()
        self.link_parts = await links.wire(self)
        self.incident_parts = await incidents.wire(self)
        self.unit_parts = await units.wire(self)
        self.faults = await shadow.wire(self)
        self.counted = shadow.view(self)
        self.warnings = await warning.wire(self)
        self.playbook_parts = authoring.wire(self, self.asked)
        self.notify_parts = await notify.wire(self)
        self.sinks = await sinks.wire(self)
        self.mail = await group.wire(self)
        self.likenesses = await group.floods(self)
        self.group_playbooks = await group.playbooks(self)

    async def _listen(self) -> None:
        """Hear the edges before anything depends on them.

        Subscribed once: a supervised task that subscribes would do it again at every restart.
        """
        site = self.settings.site
        await self.bus.subscribe(any_node(site, "*", "health"), self._on_health)
        self.fleet.listening()
        self.service.run("edges-called", partial(call_edges, site, self.bus, self.fleet))

    async def _run(self) -> None:
        service, site = self.service, self.settings.site
        senders = {edge: self._sender(edge) for edge in self.fleet.edges}

        async def on_occurrence(occurrence: Occurrence, moved: bool) -> None:
            await self.live.on_occurrence(occurrence, moved)
            senders[occurrence.edge].wake() if occurrence.edge in senders else None

        self.ingest.on_occurrence.insert(0, on_occurrence)
        self.desk.on_occurrence.append(on_occurrence)
        self.desk.on_sent.append(lambda edge: senders[edge].wake() if edge in senders else None)
        self.outcomes.on_occurrence.append(on_occurrence)
        self.ingest.on_system.append(self._refresh_system)
        receiving = Receiving(
            self.bus, self.clock, self.ingest, site=site, on_forged=self._on_forged
        )

        await receiving.serve_hello()
        service.run("watermarks", receiving.report_for_ever)
        service.run("bus", self._until_deaf)
        # A live alarm waits behind no backlog: each lane is consumed by itself, edge by edge.
        self.sources = await brains.wire(self, receiving)
        self.news = brains.news(self)
        authoring.follow(self, self.news)
        self.news.on_occurrence.append(on_occurrence)
        self.news.on_occurrence += self.heard_elsewhere
        self.opcua = await opcua.wire(self)
        service.run("sources", self.sources.run)
        service.run("news", self.news.run)
        service.run("live-view", self.live.broadcast_for_ever)
        service.run("uplink", self.leading(self.uplink.drain))
        service.run("uplink-heartbeat", self.uplink.heartbeat)
        service.run("uplink-summary", self.leading(self.uplink.summarise))
        service.run("annunciation", self.leading(self.annunciation.run))

        def version(name: str) -> None:
            self.fleet.site_version = name

        follow = SiteFollow(self.site, self.settings.state_dir / "site-documents", version)
        follow.on_taken.append(partial(identity.site_taken, self))
        follow.on_taken.append(triggers.site_taken(self.releases))
        service.run("site", follow.run)
        for edge, sender in senders.items():
            service.run(f"facts-{edge}", self.leading(sender.run))
        web = serving.Serving(self)
        service.on_close("web", web.close)
        if service.stopping.is_set():
            return  # told to end before it held anything
        service.run("brains", self.brains.run)  # what is long to set up delays no renewal
        service.on_close("brains", self.brains.leave)
        service.on_close("annunciation", self._hand_down)
        await web.open()  # last, and beside the loop: alarms do not wait for the console
        for begun in self.when_started:
            begun()

    async def _hand_down(self) -> None:
        if self.brains.leader.held:
            await self.annunciation.release_all()

    async def _until_deaf(self) -> None:
        await self.bus.until_closed()
        self.service.stop()

    def _sender(self, edge: str) -> FactSender:
        node = Node(self.settings.site, edge)
        view = self.outbox.view(fact_lane(edge))
        return FactSender(node, self.node, view, self.bus, self.fleet)

    async def _on_health(self, subject: str, data: bytes) -> bytes | None:
        await self.fleet.on_health(subject, data)
        return None

    async def _on_forged(self, subject: str, reason: str) -> None:
        # One row for each edge of the site and one for all else, whatever subjects are invented.
        name = ".".join(subject.split(".")[1:3])
        known = {Node(self.settings.site, edge).source for edge in self.fleet.edges}
        source = name if name in known else f"{self.settings.site}.unknown"
        params = {"reason": reason[:500], "subject": subject[:200]}
        async with self.alarms.transaction() as tx:
            await self.alarms.set_system(
                tx, source, "frame_forged", True, params, self.clock.now_ms()
            )
        await self._refresh_system()

    async def _refresh_system(self) -> None:
        await self.system.refresh()

    async def _wire_playbooks(self) -> None:
        settings, site = self.settings, self.site
        store = PgRunStore(self.pools.plays, self.clock, RunIncidents(self.clock))
        devices = site.bindings.devices
        outside = Outside(
            settings.site, site.bindings.endpoints, settings.endpoint_urls, settings.secrets_dir
        )
        webhooks, calls = HttpWebhooks(outside, self.clock), HttpCalls(outside)
        self.service.on_close("webhooks", webhooks.close)
        self.service.on_close("http-calls", calls.close)
        self.when_started += [webhooks.warm, calls.client.warm]
        tags = PlantTags(site.tags, site.sources, self.samples, self.fleet, self.clock)
        edges = EdgeDevices(settings.site, self.bus, self.fleet, store, devices)
        ports = Ports(
            store, edges, tags, webhooks, self.clock, calls, simulated=lambda: site.simulated
        )  # fmt: skip
        engine = Engine(ports, devices, owner=brains.own_id(settings, self.epoch))
        engine.on_ended = self._run_ended
        playbooks.follow_samples(self.ingest, tags, engine)
        releases = Releases(site, store, self.clock)
        fired, made = triggers.make(self, releases)
        self.releases, self.triggers, self.engine = releases, made, engine
        self.shelf = authoring.shelf(self, releases)
        self.playbooks = PlaybookDesk(site, store, engine, self.clock, releases, made, fired)
        self.playbooks.on_run.append(self.live.run_changed)
        self.details.run_entries = self.playbooks.timeline
        await self.playbooks.load(settings.playbook_dir)
        await self.shelf.open()
        self.alarm_states = triggers.run(self, engine, fired, made)
        engine.ask_alarms(self.alarm_states)
        self.service.run("playbooks", engine.run)
        self.ingest.on_fragment.append(self.playbooks.on_fragment)
        offline = FragmentSender(
            settings.site, self.bus, self.fleet, site, lambda: self.playbooks.released
        )
        self.service.run("fragments", self.leading(offline.run))

    async def _run_ended(self, outcome: PlaybookOutcome) -> None:
        for told in self.on_run_ended:
            await told(outcome)

    async def _wire_relay(self) -> None:
        settings, info = self.settings, self.site.info
        auto = settings.auto_approve_directives
        plant = Plant(
            settings.site,
            frozenset(self.fleet.edges),
            self.site.alarms,
            info.auto_approve_directives if auto is None else auto,
        )
        keys = Keys(
            load_public(settings.release_key_file), load_private(settings.approval_key_file)
        )
        store = PgRelayStore(self.pool, self.uplink, self.site.alarms)
        await store.follow_site()
        relay = DirectiveRelay(plant, self.bus, self.clock, keys, store)
        self.ingest.on_directive.append(store.applied)
        self.directives = group.waiting(self, plant, relay)
        self.service.run("directive-relay", self.leading(relay.run))
