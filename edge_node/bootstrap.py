"""Puts one edge together: the only place where settings, ports and adapters meet.

Called by the command line. A wrong site falls back to the last good one; only what makes running
impossible is raised.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from edge_node.adapters import site_copy
from edge_node.adapters.child_pipes import give_back_memory
from edge_node.adapters.children import Child, Drivers
from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.application.actuation import Actuation
from edge_node.application.alarm_service import AlarmService
from edge_node.application.board import Board
from edge_node.application.command_handler import CommandHandler
from edge_node.application.directive_handler import DirectiveHandler
from edge_node.application.engine import Engine, Parts
from edge_node.application.ipc import Configure, FromChild, OperatorAction, PageStatus
from edge_node.application.journal import Journal
from edge_node.application.pipeline import Pipeline
from edge_node.application.records import AlarmRecord, Change, Emit, PutAlarm, Snapshot, event
from edge_node.application.reflexes import Reflexes, require_known
from edge_node.application.sampler import Sampler
from edge_node.application.status import DriverStatus, Names
from edge_node.application.system_events import SystemEvents
from edge_node.application.uplink import Answerers, Identity, Lanes, Uplink
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.annunciation import Annunciation
from edge_node.domain.settings_gate import Keys
from edge_node.domain.tags import TagTable
from edge_node.kernel import kernel_name
from edge_node.settings import EdgeSettings
from shared.alarm.states import AlarmState
from shared.bus.nats_bus import NatsBus
from shared.clock import Clock, SystemClock
from shared.errors import ConfigError, StoreError
from shared.ids import new_epoch, uuid7
from shared.messages.bodies import AlarmTransition, GapRecord
from shared.messages.envelope import Event
from shared.messages.subjects import Node
from shared.outbox.port import Caps
from shared.security import load_public
from shared.service import Service
from shared.site.loader import Site, load_site
from shared.telemetry import logger

log = logger("edge")


@dataclass(frozen=True, slots=True)
class Rules:
    """A checked site as this edge runs it."""

    site: Site
    tags: TagTable
    book: AlarmBook
    pipeline: Pipeline
    actuation: Actuation
    drivers: Drivers


def compile_site(folder: Path, edge: str, clock: Clock) -> Rules:
    """Load and compile one edge's part of a site; raises ConfigError with all that is wrong."""
    whole = load_site(folder)
    known = [spec.id for spec in whole.info.edges]
    if edge not in known:
        raise ConfigError(
            f"edge {edge!r} is not in site {whole.info.site!r}",
            where=str(folder / "site.yaml"),
            mend=f"add it to `edges`, or set `edge` to one of {known}",
        )
    site = whole.of_edge(edge)
    tags = TagTable(site.sources.values(), site.tags.values())
    book = AlarmBook(site.alarms.values(), lambda: uuid7(clock))
    pipeline = Pipeline(tags, book, clock)
    drivers = Drivers()
    actuation = Actuation(site.bindings.devices, tags, drivers, clock, pipeline.steady)
    require_known(list(site.reflexes.values()), actuation)
    return Rules(site, tags, book, pipeline, actuation, drivers)


def rules_of(settings: EdgeSettings, clock: Clock) -> tuple[Rules, ConfigError | None]:
    """The site's rules, or the last good ones with what is wrong with the present ones."""
    try:
        rules = compile_site(settings.site_dir, settings.edge, clock)
    except ConfigError as fault:
        good = site_copy.last_good(settings.state_dir)
        if good is None:
            raise
        log.error("site_refused", faults=str(fault), runs=str(good))
        return compile_site(good, settings.edge, clock), fault
    try:
        site_copy.keep(settings.site_dir, settings.state_dir)
    except StoreError as error:
        log.warning("site_copy_failed", error=str(error))
    return rules, None


def lock_state(folder: Path) -> int:
    """Make the state folder and take it for this process; raises ConfigError."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder / "edge.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise ConfigError(
            f"cannot use the state folder: {error.strerror}",
            where=str(folder),
            mend="make it writable for this user, or set state_dir",
        ) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(handle)
        raise ConfigError(
            "another edge engine runs on this state folder",
            where=str(folder),
            mend="stop it, or give this edge a state_dir of its own",
        ) from error
    return handle


def pinned_keys(settings: EdgeSettings) -> tuple[Keys | None, str]:
    """The two pinned keys, or why there are none: the edge then refuses every directive."""
    try:
        return Keys(
            load_public(settings.release_key_file), load_public(settings.approval_key_file)
        ), ""
    except ConfigError as error:
        return None, str(error)


def open_store(
    settings: EdgeSettings, epoch: str, lanes: Lanes, clock: Clock
) -> tuple[SqliteStore, Snapshot]:
    """The database and what it remembers; raises ConfigError when it cannot be used."""

    def gap_event(gap: GapRecord) -> Event:
        return event(uuid7(clock), "outbox.gap", clock.now_ms(), gap)

    path = settings.state_dir / "edge.db"
    caps = Caps(settings.outbox_max_events, settings.outbox_max_mb << 20)
    try:
        store = SqliteStore(path, epoch, lanes, gap_event, caps)
        return store, store.load()
    except StoreError as error:
        raise ConfigError(
            str(error),
            where=str(path),
            mend="free space on the disk; if the file is damaged, move it away and restart",
        ) from error


def _retired(rules: Rules, snapshot: Snapshot, clock: Clock) -> Change:
    """Standing alarms whose definition has gone are ended for all to see."""
    rows: Change = []
    now = clock.now_ms()
    for record in snapshot.alarms.values():
        if record.alarm in rules.book.units or record.closed:
            continue
        body = AlarmTransition(
            alarm=record.alarm, occurrence=record.occurrence, version=record.version + 1,
            annunciated_version=record.annunciated_version, kind="retired", annunciate=False,
            state=AlarmState().to_dict(), settings_version=record.settings_version, priority=4,
            asset="", tag="", source_time=now, receive_time=now, raised_at=record.raised_at,
        )  # fmt: skip
        rested = AlarmRecord(
            alarm=record.alarm, state=body.state, occurrence=record.occurrence,
            version=body.version, annunciated_version=record.annunciated_version,
        )  # fmt: skip
        emitted = Emit(event(uuid7(clock), "alarm.retired", now, body))
        rows += [PutAlarm(rested), emitted]
    return rows


class Edge:
    """One edge put together, ready to run."""

    def __init__(self, settings: EdgeSettings, clock: Clock | None = None) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._lock = lock_state(settings.state_dir)
        clock = self._clock
        self.rules, self._site_fault = rules_of(settings, clock)
        self.who = Identity(Node(settings.site, settings.edge), new_epoch(), new_epoch())
        lanes = Lanes()
        store, self._snapshot = open_store(settings, self.who.epoch, lanes, clock)
        self.journal = Journal(store, clock)
        self._assemble(lanes)

    def _assemble(self, lanes: Lanes) -> None:
        settings, clock, rules, snapshot = (
            self._settings, self._clock, self.rules, self._snapshot,
        )  # fmt: skip
        journal, book = self.journal, rules.book
        keys, self._no_keys = pinned_keys(settings)
        self.system = SystemEvents(journal, clock)
        self.directives = DirectiveHandler(self.who.node, keys, book, journal, clock)
        self._outside = self.directives.recover(snapshot.meta)
        for record in snapshot.alarms.values():
            if (unit := book.units.get(record.alarm)) is not None:
                record.restore(unit)
        alarms = AlarmService(
            book, clock, rules.pipeline.steady, snapshot.facts, snapshot.marks, snapshot.last_hlc
        )
        for record in snapshot.closed.values():
            alarms.note_closed(record)
        self.reflexes = Reflexes(
            list(rules.site.reflexes.values()), rules.actuation, journal, book, clock, self.who.boot
        )
        annunciation = Annunciation(boot=self.who.boot)
        spec = next(e for e in rules.site.info.edges if e.id == settings.edge)
        names = Names(spec.name.zh, spec.name.en)
        board = Board(settings.site, settings.edge, names, book, annunciation, clock)
        board.drivers = self._driver_status
        parts = Parts(
            rules.pipeline, journal, alarms, self.reflexes, rules.actuation,
            Sampler(rules.tags), board, self.system,
        )  # fmt: skip
        self.engine = Engine(parts, clock)
        self.commands = CommandHandler(
            rules.actuation, journal, clock, self.who.epoch, self.who.boot, snapshot.commands
        )
        answerers = Answerers(
            self.engine, alarms, self.commands, self.directives, annunciation, board
        )
        self.uplink = Uplink(self.who, self._connect, journal, lanes, answerers, clock)
        self.uplink.drivers = lambda: {k: s.state for k, s in rules.drivers.states.items()}

    def _driver_status(self) -> dict[str, DriverStatus]:
        return {
            source: DriverStatus(state=state.state, detail=state.detail, dropped=state.dropped)
            for source, state in self.rules.drivers.states.items()
        }

    async def _connect(self) -> NatsBus:
        settings, node = self._settings, self.who.node
        path = settings.nats_password_file
        try:
            password = (await asyncio.to_thread(path.read_text, "utf-8")).strip()
        except OSError as error:
            raise ConfigError(
                f"cannot read the NATS password: {error.strerror}",
                where=str(path),
                mend="enrol this edge again, or correct nats_password_file",
            ) from error
        return await NatsBus.connect(
            settings.nats_url, user=settings.nats_user, password=password,
            name=f"edge {node.source}", inbox=node.inbox, site=settings.site,
        )  # fmt: skip

    def _children(self) -> list[Child]:
        settings, rules = self._settings, self.rules
        children = []
        for source in rules.tags.sources.values():
            spec = source.spec
            given = dict(settings.device_credentials.get(spec.id, {}))
            if spec.id in settings.source_urls:
                given["url"] = settings.source_urls[spec.id]
            configure = Configure(
                source=dict(spec),  # as it is: durations in ms, not as YAML writes them
                tags=[{k: v for k, v in tag if k != "name"} for tag in source.tags],
                settings=given,
            )
            command = settings.driver_command
            children.append(rules.drivers.add(spec.id, command, configure, self.engine.take))
        rules.drivers.on_state = self.engine.on_driver
        self.engine.restart_driver = lambda source: rules.drivers.children[source].kill()
        if settings.page_port:
            children.append(self._page())
        return children

    def _page(self) -> Child:
        settings = self._settings
        command = [*settings.page_command, "--port", str(settings.page_port)]
        if settings.page_password_file is not None:
            command += ["--password-file", str(settings.page_password_file)]

        def on_message(message: FromChild) -> None:
            if isinstance(message, OperatorAction):
                task = asyncio.create_task(self.engine.act(message))
                tasks.add(task)
                task.add_done_callback(tasks.discard)

        tasks: set[asyncio.Task[None]] = set()
        first = self.engine.status_now
        page = Child(
            "page", command, lambda: PageStatus(json=first()), on_message, lambda why: None
        )
        self.engine.push = lambda body: page.send(PageStatus(json=body))
        self.engine.answer = page.send
        return page

    async def run(self, service: Service) -> None:
        """Start everything; returns when the service has stopped."""
        children = self._children()
        service.on_close("journal", self.journal.close)
        service.run("journal", self.journal.run)
        self._recover()
        self.engine.start()
        service.run("engine", self.engine.run)
        for child in children:
            service.run(child.name, child.run)
        service.run("vitals", self.uplink.vitals)
        service.run("uplink", self.uplink.run)
        give_back_memory()
        log.info(
            "edge_started", source=self.who.node.source, epoch=self.who.epoch,
            tags=len(list(self.rules.tags)), alarms=len(self.rules.book.units),
            kernel=kernel_name(), directive=self.directives.counter,
        )  # fmt: skip
        await service.run_until_signal()

    def _recover(self) -> None:
        snapshot = self._snapshot
        self.system.recover(snapshot.meta)
        fault = self._site_fault
        self.system.set("site_refused", fault is not None, faults=str(fault)[:2000])
        self.system.set("keys_missing", bool(self._no_keys), reason=self._no_keys)
        self.system.set("tuning_out_of_bounds", bool(self._outside), alarms=self._outside)
        self.system.set("journal_degraded", False)
        rows = _retired(self.rules, snapshot, self._clock) + self.commands.interrupted()
        if rows:
            self.journal.write(rows)
        pending = [
            entry for entry in snapshot.commands.values()
            if entry.origin == "reflex" and entry.outcome in ("", "failed")
        ]  # fmt: skip
        self.reflexes.reconcile(pending)
