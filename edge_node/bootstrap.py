"""Puts one edge together: the only place where settings, ports and adapters meet.

Called by the command line. A wrong site falls back to the last good one; only what makes running
impossible is raised.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from edge_node.adapters import site_copy
from edge_node.adapters.child_pipes import give_back_memory
from edge_node.adapters.late_store import LateStore, open_or_wait
from edge_node.adapters.site_copy import Candidate
from edge_node.adapters.site_parsing import parse_apart
from edge_node.adapters.site_watch import DOCUMENTS, SiteWatch
from edge_node.adapters.sqlite_store import SqliteStore
from edge_node.adapters.telemetry_parts import make_telemetry
from edge_node.application.alarm_service import AlarmService
from edge_node.application.board import Board
from edge_node.application.command_handler import CommandHandler
from edge_node.application.directive_handler import DirectiveHandler
from edge_node.application.dry_run import DryRun
from edge_node.application.engine import Engine, Parts
from edge_node.application.filter_fill import FilterFill
from edge_node.application.fragments import OfflinePlaybooks, Surroundings
from edge_node.application.journal import Journal
from edge_node.application.lookups import Lookups
from edge_node.application.modes import STATES
from edge_node.application.records import AlarmRecord, Change, Emit, PutAlarm, Snapshot, event
from edge_node.application.reflexes import Reflexes
from edge_node.application.status import DriverStatus, Names, VersionStatus
from edge_node.application.system_events import SystemEvents
from edge_node.application.uplink import Answerers, Identity, Lanes, Uplink
from edge_node.domain.annunciation import Annunciation
from edge_node.domain.settings_gate import Keys
from edge_node.fleet import Fleet
from edge_node.kernel import kernel_name
from edge_node.reload import Live, Reload, faults_of
from edge_node.rules import Rules, compile_site
from edge_node.settings import EdgeSettings
from edge_node.views import Views
from shared.alarm.states import AlarmState
from shared.bus.nats_bus import NatsBus
from shared.clock import Clock, SystemClock
from shared.errors import ConfigError, StoreError
from shared.ids import new_epoch, uuid7
from shared.messages.bodies import AlarmTransition, GapRecord
from shared.messages.codec import decode
from shared.messages.envelope import Event
from shared.messages.subjects import Node
from shared.outbox.port import Caps
from shared.security import load_public
from shared.service import Service
from shared.site.documents import Documents
from shared.telemetry import logger
from shared.tracing import open_traces

log = logger("edge")


def rules_of(settings: EdgeSettings, clock: Clock) -> tuple[Rules, Candidate]:
    """The rules of as much of the site as may run, and what is wrong with the rest of it.

    Raises ConfigError when nothing may run: no good site was ever kept here.
    """
    parse_apart(settings.site_dir, settings.state_dir / DOCUMENTS)
    documents = Documents(settings.state_dir / DOCUMENTS)

    def load(folder: Path) -> Rules:
        return compile_site(folder, settings.edge, clock, documents)

    try:
        rules = load(settings.site_dir)
    except ConfigError as fault:
        return _composed(settings, load, fault)
    try:
        site_copy.keep(settings.site_dir, settings.state_dir)
    except StoreError as error:
        log.warning("site_copy_failed", error=str(error))
    return rules, Candidate(rules.version, rules.version, settings.site_dir)


def _composed(
    settings: EdgeSettings, load: Callable[[Path], Rules], fault: ConfigError
) -> tuple[Rules, Candidate]:
    good = site_copy.last_good(settings.state_dir)
    if good is None:
        raise fault

    def check(folder: Path) -> list[ConfigError]:
        try:
            load(folder)
        except ConfigError as error:
            return faults_of(error)
        return []

    try:
        found = site_copy.compose(settings.site_dir, settings.state_dir, check)
        if found.folder is not None:
            good = site_copy.keep(found.folder, settings.state_dir)
    except (StoreError, OSError) as error:
        found = Candidate("", "", None, (*faults_of(fault), ConfigError(str(error))))
    return load(good), found


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
) -> tuple[SqliteStore | LateStore, Snapshot]:
    """The database and what it remembers, though a full disk delays it; ConfigError if damaged."""

    def gap_event(gap: GapRecord) -> Event:
        return event(uuid7(clock), "outbox.gap", clock.now_ms(), gap)

    path = settings.state_dir / "edge.db"
    caps = Caps(settings.outbox_max_events, settings.outbox_max_mb << 20)
    try:
        return open_or_wait(path, lambda at: SqliteStore(at, epoch, lanes, gap_event, caps))
    except StoreError as error:
        raise ConfigError(
            str(error),
            where=str(path),
            mend="the file is damaged: move it away and restart",
        ) from error


def _retire(record: AlarmRecord, clock: Clock) -> Change:
    """Rows that end an alarm for all to see, because its definition has gone.

    One that is shelved, disabled or out of service too: it must not come back so with its name.
    """
    if record.at_rest:
        return [PutAlarm(AlarmRecord.rested(record))]
    now = clock.now_ms()
    body = AlarmTransition(
        alarm=record.alarm, occurrence=record.occurrence, version=record.version + 1,
        annunciated_version=record.annunciated_version, kind="retired", annunciate=False,
        state=AlarmState().to_dict(), settings_version=record.settings_version, priority=4,
        asset="", tag="", source_time=now, receive_time=now, raised_at=record.raised_at,
    )  # fmt: skip
    rested = AlarmRecord.rested(msgspec.structs.replace(record, version=body.version))
    return [PutAlarm(rested), Emit(event(uuid7(clock), "alarm.retired", now, body))]


def _retired(rules: Rules, snapshot: Snapshot, clock: Clock) -> Change:
    """What the last run left standing and this site no longer knows."""
    rows: Change = []
    for record in snapshot.alarms.values():
        if record.alarm not in rules.book.units and not record.at_rest:
            rows += _retire(record, clock)
    return rows


class Edge:
    """One edge put together, ready to run."""

    def __init__(self, settings: EdgeSettings, clock: Clock | None = None) -> None:
        self._settings, self._clock = settings, clock or SystemClock()
        self._lock = lock_state(settings.state_dir)
        clock = self._clock
        self.rules, self._found = rules_of(settings, clock)
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
        journal.on_refused = lambda why: self.system.set("change_refused", True, reason=why)
        self.directives = DirectiveHandler(self.who.node, keys, book, journal, clock)
        self._outside = self.directives.recover(snapshot.meta)
        for record in snapshot.alarms.values():
            if (unit := book.units.get(record.alarm)) is not None:
                same = record.restore(unit)
                book.suppression.restore(unit, tuple(record.causes))
                if not same and unit.state.retained:  # the site was changed while nothing ran
                    book.end(unit, "reconfigured", rules.pipeline.steady())
        self._rules_now: Callable[[], Rules] = lambda: rules
        self.alarms = alarms = AlarmService(
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
        self.board = board = Board(settings.site, settings.edge, names, book, annunciation, clock)
        board.drivers = self._driver_status
        board.around.versions = VersionStatus(kernel=kernel_name())
        self.telemetry = make_telemetry(
            settings, rules.pipeline, rules.site.info.snippet, journal, self.system, clock
        )
        self.telemetry.snippets.recover(snapshot.meta, rules.pipeline.steady())
        board.journal, board.telemetry = journal.status, self.telemetry.status
        self.lookups = Lookups(board, book, rules.tags, self.telemetry.history, clock)
        self.lookups.assets = lambda: self._rules_now().site.assets
        dry_run = DryRun(lambda: self._rules_now().tags, self.telemetry.history, clock)
        self.directives.replay = dry_run.replay
        parts = Parts(
            rules.pipeline, journal, alarms, self.reflexes, rules.actuation,
            self.telemetry, board, self.system, rules.relay,
        )  # fmt: skip
        self.engine = Engine(parts, clock)
        self.engine.traces = open_traces(
            settings.otlp_endpoint, "andon-edge", site=settings.site, edge=settings.edge
        )
        self.commands = CommandHandler(
            rules.actuation,
            journal,
            clock,
            self.who.epoch,
            self.who.boot,
            snapshot.commands,
            lambda: self._rules_now().site.simulated,
        )
        around = Surroundings(book, rules.tags, rules.actuation, rules.site.bindings.devices)

        self.playbooks = OfflinePlaybooks(
            around, journal, clock, rules.pipeline.steady, lambda: board.around.brain_reachable
        )
        self.playbooks.recover(snapshot.meta)
        if STATES in snapshot.meta:
            rules.pipeline.modes.restore(decode(snapshot.meta[STATES], dict[str, tuple[str, int]]))
        answerers = Answerers(
            self.engine, alarms, self.commands, self.directives, annunciation, board,
            self.playbooks,
        )  # fmt: skip
        self.uplink = Uplink(self.who, self._connect, journal, lanes, answerers, clock)
        self.uplink.drivers = lambda: {k: s.state for k, s in rules.drivers.states.items()}

    def _driver_status(self) -> dict[str, DriverStatus]:
        return {
            source: DriverStatus(
                state=state.state,
                detail=state.detail,
                dropped=state.dropped + self._rules_now().relay.dropped.get(source, 0),
            )
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

    async def run(self, service: Service) -> None:
        """Start everything; returns when the service has stopped."""
        fleet = Fleet(
            self._settings, self.engine.take, lambda child: service.run(child.name, child.run)
        )
        drivers = self.rules.drivers
        drivers.on_state = self.engine.on_driver
        self.engine.restart_driver = lambda source: drivers.children[source].kill()
        views = Views(self._settings, self.engine, self.lookups)
        reload = self._reload(fleet)
        service.on_close("journal", self.journal.close)
        service.on_close("history", self.telemetry.history.close)
        service.on_close("traces", self.engine.traces.close)
        service.run("journal", self.journal.run)
        self._recover()
        self.engine.start()
        service.run("engine", self.engine.run)
        fleet.apply(self.rules, fleet.wanted(self.rules))
        for view in views.children:
            service.run(view.name, view.run)
        reload.say(self._found.desired, list(self._found.faults), self._found.held_back)
        watch = SiteWatch(
            self._settings.site_dir, self._settings.state_dir, self._settings.edge,
            self._found.desired,
        )  # fmt: skip
        service.run("site", partial(watch.run, reload.take))
        service.run("vitals", self.uplink.vitals)
        service.run("uplink", self.uplink.run)
        service.run("playbooks", self.playbooks.run)
        fill = FilterFill(lambda: self._rules_now().pipeline.filtered(), self.telemetry.history)
        service.run("filters", fill.run)
        give_back_memory()
        log.info(
            "edge_started", source=self.who.node.source, epoch=self.who.epoch,
            tags=len(list(self.rules.tags)), alarms=len(self.rules.book.units),
            kernel=kernel_name(), directive=self.directives.counter,
        )  # fmt: skip
        await service.run_until_signal()

    def _reload(self, fleet: Fleet) -> Reload:
        settings, clock = self._settings, self._clock
        live = Live(
            self.engine, self.alarms, self.directives, self.board, self.lookups, self.reflexes,
            self.telemetry, self.playbooks, self.system, fleet,
        )  # fmt: skip
        documents = Documents(settings.state_dir / DOCUMENTS)
        drivers = self.rules.drivers

        def compile_new(folder: Path) -> Rules:
            return compile_site(folder, settings.edge, clock, documents, drivers)

        reload = Reload(
            live, self.rules, settings.state_dir, compile_new, lambda record: _retire(record, clock)
        )
        self.uplink.site = lambda: (reload.rules.version, self.board.around.versions.site_desired)
        self._rules_now = lambda: reload.rules
        return reload

    def _recover(self) -> None:
        snapshot = self._snapshot
        self.system.recover(snapshot.meta)
        self.system.set("keys_missing", bool(self._no_keys), reason=self._no_keys)
        self.system.set("tuning_out_of_bounds", bool(self._outside), alarms=self._outside)
        self.system.set("journal_degraded", False)
        self.system.set("change_refused", False)
        rows = _retired(self.rules, snapshot, self._clock) + self.commands.interrupted()
        rows += self.directives.interrupted()
        if rows:
            self.journal.write(rows)
        pending = [
            entry for entry in snapshot.commands.values()
            if entry.origin == "reflex" and entry.outcome in ("", "failed")
        ]  # fmt: skip
        self.reflexes.reconcile(pending)
