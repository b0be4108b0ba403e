"""Takes over a change of the site while everything runs: alarms, values and connections go on.

Called by the bootstrap with what `site_watch` has found and checked. The swap itself is one step of
the engine's loop: no sample is judged half by the old rules and half by the new ones.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edge_node.adapters.site_copy import Candidate, keep
from edge_node.adapters.telemetry_parts import around_of
from edge_node.application.alarm_service import AlarmService
from edge_node.application.board import Board
from edge_node.application.directive_handler import DirectiveHandler
from edge_node.application.engine import Engine
from edge_node.application.fragments import OfflinePlaybooks, Surroundings
from edge_node.application.lookups import Lookups
from edge_node.application.records import AlarmRecord, Change
from edge_node.application.reflexes import Reflexes
from edge_node.application.system_events import SystemEvents
from edge_node.application.telemetry import Telemetry
from edge_node.domain.site_change import AlarmChanges, compare, move
from edge_node.fleet import Fleet
from edge_node.rules import Rules
from shared.errors import ConfigError, StoreError
from shared.site.reader import SiteFaults
from shared.telemetry import logger

log = logger("site")
MOST_TEXT = 2000
Retire = Callable[[AlarmRecord], Change]
"""Rows that end an alarm whose definition has gone: it stays neither standing nor hidden."""


@dataclass(frozen=True, slots=True)
class Live:
    """All that goes on over a change of the site."""

    engine: Engine
    alarms: AlarmService
    directives: DirectiveHandler
    board: Board
    lookups: Lookups
    reflexes: Reflexes
    telemetry: Telemetry
    playbooks: OfflinePlaybooks
    system: SystemEvents
    fleet: Fleet


class Reload:
    """Brings candidates of a site into force."""

    def __init__(
        self, live: Live, rules: Rules, state_dir: Path,
        compile_new: Callable[[Path], Rules], retire: Retire,
    ) -> None:  # fmt: skip
        self._live, self.rules = live, rules
        self._state_dir, self._compile, self._retire = state_dir, compile_new, retire
        self._said: str | None = None

    async def take(self, found: Candidate) -> bool:
        """One change of the site's folder: run what may run of it, say what may not.

        False when what may run could not be taken now: the disk may do so later.
        """
        faults, taken = list(found.faults), True
        if found.folder is not None and found.runs != self.rules.version:
            try:
                folder = await asyncio.to_thread(keep, found.folder, self._state_dir)
                new = await asyncio.to_thread(self._compile, folder)
                self.swap(new)
            except (ConfigError, StoreError, OSError) as error:
                # It has been checked: only the disk, or a change at this very moment, gets here.
                log.error("site_not_taken", error=str(error))
                faults.append(ConfigError(str(error)))
                taken = False
            except Exception as error:  # a fault of Andon's own: the old rules run on, and say so
                log.exception("site_not_taken")
                faults.append(ConfigError(f"the change could not be taken over: {error!r}"))
        self.say(found.desired, faults, found.held_back)
        return taken

    def say(self, desired: str, faults: list[ConfigError], held_back: tuple[str, ...] = ()) -> None:
        """Show which version is wanted, which runs, and what is wrong with the rest."""
        text = "\n".join(str(fault) for fault in faults)[:MOST_TEXT]
        if text != self._said:  # said anew when it is another fault: first ended, then begun
            self._live.system.set("site_refused", False)
        self._said = text
        if faults:
            log.error("site_refused", runs=self.rules.version, held_back=held_back, faults=text)
            self._live.system.set("site_refused", True, faults=text, held_back=list(held_back))
        else:
            log.info("site_in_force", version=self.rules.version)
        self._live.board.site(self.rules.version, desired, text)
        self._live.engine.dirty()

    def swap(self, new: Rules) -> AlarmChanges:
        """Let everything go on by the new rules; one step, nothing runs in between.

        The new rules are first brought to where the old ones stand, by themselves: should that
        fail, the old ones have not been touched.
        """
        live, old = self._live, self.rules
        live.engine.store([])
        children = live.fleet.wanted(new)
        changes = compare(old.site.alarms, new.site.alarms)
        prepared = live.directives.prepare(new.book, changes.rebuilt)
        move(old.book, new.book, changes, prepared.kept)
        transitions = new.pipeline.take_over(old.pipeline, changes)
        rows: Change = []
        for name in changes.removed:
            rows += self._retire(AlarmRecord.of(old.book.units[name]))
        rows += live.directives.use(prepared)
        old.actuation.use(new.actuation)
        self.rules = rules = new.on(old)
        live.alarms.use(rules.book)
        live.board.use(rules.book)
        live.lookups.use(rules.book, rules.tags)
        live.reflexes.use(list(rules.site.reflexes.values()), rules.book)
        live.telemetry.renew(rules.tags, around_of(rules.pipeline, rules.site.info.snippet))
        devices = rules.site.bindings.devices
        live.playbooks.around = Surroundings(rules.book, rules.tags, rules.actuation, devices)
        live.engine.use(rules.pipeline, rules.relay)
        live.engine.store(rows, transitions)
        for source in live.fleet.apply(rules, children):
            live.system.set("driver_failed", False, source)
        live.engine.show_all()
        log.info(
            "site_swapped", before=old.version, version=rules.version, added=len(changes.added),
            removed=len(changes.removed), tuned=len(changes.tuned), rebuilt=len(changes.rebuilt),
        )  # fmt: skip
        return changes


def faults_of(error: ConfigError | None) -> list[ConfigError]:
    """The single faults of a site's error."""
    if error is None:
        return []
    return list(error.faults) if isinstance(error, SiteFaults) else [error]
