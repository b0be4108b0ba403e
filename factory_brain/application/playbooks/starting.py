"""From a firing to a run, or to what else becomes of it, within one transaction that decides.

Called by `triggers.py` and by starts by hand; keeps in memory what the transaction has decided so
far, so that a thousand alarms of one key cost one look at its runs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Iterable
from typing import Any

from factory_brain.application.playbooks.ports import NewRun
from factory_brain.application.playbooks.releases import Releases
from factory_brain.application.playbooks.trigger_ports import (
    Came,
    Fired,
    Gathered,
    Group,
    TriggerStore,
    UnstorableError,
)
from factory_brain.application.ports import Transaction
from factory_brain.domain.triggers.firing import MAX_CHAIN, Firing
from factory_brain.domain.triggers.index import Entry
from factory_brain.domain.triggers.throttle import take
from shared.clock import Clock
from shared.expression import StaticEnvironment, Unknown, compile_expression
from shared.playbook.journal import ROOTS
from shared.playbook.model import Playbook
from shared.playbook.overlap import decide, may_start
from shared.playbook.rehearsal.pace import deadline_at, paced_inputs, scale_of
from shared.site.loader import Site
from shared.telemetry import logger

log = logger("playbooks")
ADOPT_GRACE_MS = 3_000
PRIORITY, LEAST = 3, 4
"""Of a run that no alarm started; and the least urgent there is."""
MOST_KEY = 200
"""Characters of a key; a longer one fits into no index and is told by its hash."""
MOST_WHY = 500


def wanted(entry: Entry, firing: Firing, inputs: dict[str, Any]) -> bool:
    """Whether the trigger's `where` holds; what is unknown starts nothing."""
    if entry.trigger.where is None:
        return True
    return _seen(entry.trigger.where, firing, inputs) is True


def key_of(book: Playbook, firing: Firing, inputs: dict[str, Any]) -> str:
    """What its runs are told apart by."""
    found = _seen(book.concurrency.key, firing, inputs)
    return "" if found is None or isinstance(found, Unknown) else short(str(found))


def short(text: str) -> str:
    """A text that can be a key of a row: itself, or its hash."""
    if len(text) <= MOST_KEY and "\0" not in text:
        return text
    return "sha256:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _seen(text: str, firing: Firing, inputs: dict[str, Any]) -> object:
    env = StaticEnvironment({"alarm": dict(firing.alarm), "inputs": inputs})
    return compile_expression(text, roots=ROOTS).evaluate(env)


class Turn:
    """What one transaction decides."""

    def __init__(
        self, tx: Transaction, store: TriggerStore, releases: Releases, site: Site, clock: Clock
    ) -> None:
        self._tx, self._store, self._releases, self._site = tx, store, releases, site
        self.now = clock.now_ms()
        self._known: set[str] = set()
        self._groups: dict[tuple[str, str], Group] = {}
        self._fired: list[Fired] = []
        self.started: list[str] = []
        """Runs that begin now."""
        self.cancelled: list[str] = []
        """Runs that were told to end."""
        self.runs: dict[str, str] = {}
        """occurrence -> the run that it has now."""

    async def know(self, ids: Iterable[str]) -> None:
        """Look up which of these were decided before."""
        self._known |= await self._store.known(self._tx, list(ids))

    def knows(self, name: str) -> bool:
        """Whether a firing was decided, or is held."""
        return name in self._known

    def undecided(self, name: str) -> None:
        """A held firing is decided about now, also where its event came in this very turn."""
        self._known.discard(name)

    async def offer(self, entry: Entry, firing: Firing) -> None:
        """Weigh a firing whose trigger fits: its throttle first, then the runs of its key."""
        if firing.id in self._known:
            return
        throttle, inputs = entry.trigger.throttle, self._releases.inputs(entry.book)
        if throttle is None:
            await self.fire(entry, firing)
            return
        by = _seen(throttle.by, firing, inputs)
        name = "" if isinstance(by, Unknown) else short(str(by))
        place = (entry.book.playbook, entry.trigger.id, name)
        taken = take(throttle, await self._store.window(self._tx, *place), firing)
        if taken.window is None:
            await self._store.drop_window(self._tx, *place)
        else:
            gathered = self._store.put_window(self._tx, Gathered(*place, taken.window))
            if not await self.kept(entry, firing, gathered):
                return
        for each in taken.fires:
            await self.fire(entry, each)
        if taken.swallowed:
            self.note(entry, firing, "throttled")

    async def fire(self, entry: Entry, firing: Firing) -> Fired:
        """Start a run, or let the firing wait, join or be counted, as the playbook says."""
        book = entry.book
        inputs = self._releases.inputs(book)
        key = key_of(book, firing, inputs)
        if firing.extra.get("drill") and not self._site.simulated:
            key = f"drill:{key}"  # a real alarm must never join a drill
        if firing.chain > MAX_CHAIN:
            log.error("playbook_loop", playbook=book.playbook, chain=firing.chain)
            return self.note(entry, firing, "too_deep", key=key)
        group = await self._group(book.playbook, key)
        found = decide(book.concurrency, group.live, group.queued, group.ending)
        if found.outcome in ("attached", "ignored"):
            return self.note(entry, firing, found.outcome, found.join, key)
        run = self._new(entry, firing, key, inputs, group.slot())
        queued = found.outcome == "queued"
        try:
            async with self._store.apart(self._tx):
                new = await self._store.create(self._tx, run, "queued" if queued else "running")
        except UnstorableError as error:
            return self._faulty(entry, firing, error, key)
        if not new:
            return self.note(entry, firing, "attached", run.id, key)
        if found.cancel:
            await self._store.cancel(self._tx, found.cancel, book.playbook, self.now)
            self.cancelled += found.cancel
            group.ending.update(found.cancel)
        if found.drop:
            await self._flush()  # what is dropped may have been decided in this very turn
            await self._store.drop(self._tx, found.drop, self.now)
            group.queued.clear()
        self._joined(group, run, queued)
        if firing.by not in ("alarm", "incident", "event", "cron"):
            await self._store.told_by_hand(self._tx, run)
        return self.note(entry, firing, found.outcome, run.id, key)

    async def kept(self, entry: Entry, firing: Firing, writing: Awaitable[None]) -> bool:
        """Write something about one firing; one that cannot be stored is noted and falls alone."""
        try:
            async with self._store.apart(self._tx):
                await writing
        except UnstorableError as error:
            self._faulty(entry, firing, error)
            return False
        return True

    def _faulty(self, entry: Entry, firing: Firing, error: UnstorableError, key: str = "") -> Fired:
        why = str(error).replace("\0", "")[:MOST_WHY]
        log.error("firing_faulty", playbook=entry.book.playbook, firing=firing.id, reason=why)
        return self.note(entry, firing, "faulty", key=key, why=why)

    def _joined(self, group: Group, run: NewRun, queued: bool) -> None:
        if queued:
            group.queued.append(run.id)
            return
        group.live.append(run.id)
        group.slots.add(run.slot)
        self.started.append(run.id)
        log.info("run_started", run=run.id, playbook=run.playbook, occurrence=run.occurrence)

    def note(
        self, entry: Entry, firing: Firing, outcome: Came, run: str | None = None, key: str = "",
        why: str = "",
    ) -> Fired:  # fmt: skip
        """Keep what a firing came to."""
        fired = Fired(
            firing.id, entry.book.playbook, entry.trigger.id, key, firing.at, outcome, run,
            short(str(firing.alarm.get("id") or "")) or None, firing.occurrence, why,
        )  # fmt: skip
        self._fired.append(fired)
        self._known.add(firing.id)
        if run is not None and firing.occurrence is not None:
            self.runs.setdefault(firing.occurrence, run)
        return fired

    async def pump(self) -> None:
        """Begin the queued runs whose turn has come."""
        for each in await self._store.waiting(self._tx):
            loaded = self._releases.get(each.playbook)
            rule = loaded.playbook.concurrency if loaded else None
            if (rule is None and each.live) or (rule and not may_start(rule, each.live)):
                continue
            slot = next(n for n in range(len(each.slots) + 1) if n not in each.slots)
            await self._store.begin(self._tx, each.run, slot, self.now)
            self.started.append(each.run)
            log.info("run_begun", run=each.run, playbook=each.playbook, key=each.key)

    async def finish(self) -> None:
        """Write what was decided; nothing is decided afterwards."""
        await self._flush()
        if self.runs:
            await self._store.set_runs(self._tx, self.runs)

    async def _flush(self) -> None:
        if self._fired:
            await self._store.record(self._tx, self._fired, self.now)
            self._fired.clear()

    async def _group(self, playbook: str, key: str) -> Group:
        found = self._groups.get((playbook, key))
        if found is None:
            found = await self._store.group(self._tx, playbook, key)
            self._groups[playbook, key] = found
        return found

    def _new(
        self, entry: Entry, firing: Firing, key: str, inputs: dict[str, Any], slot: int
    ) -> NewRun:
        book, info, now = entry.book, self._site.info, self.now
        scale = scale_of(firing.extra)
        context: dict[str, Any] = {
            "alarm": dict(firing.alarm), "inputs": paced_inputs(book, inputs, scale),
            "started_by": firing.by,
            "trigger": entry.trigger.id, "chain": firing.chain,
            "site": {"id": info.site, "name": info.name.zh}, "calls": self._releases.calls(book),
            "gathered": firing.count,
        } | dict(firing.extra)  # fmt: skip
        if firing.stale_ms is not None:
            context["stale_ms"] = firing.stale_ms
        raised = firing.alarm.get("raised_at") or now
        deadline = now + deadline_at(book, scale)
        # An edge may have begun alone: what it did travels behind the raise, so wait for it.
        alone = book.offline is not None and firing.occurrence is not None
        late = alone and book.offline is not None and now - raised >= book.offline.after
        priority = firing.alarm.get("priority")
        return NewRun(
            id=firing.id, digest=entry.digest, playbook=book.playbook, version=book.version,
            key=key, alarm=str(firing.alarm.get("id") or "") or None,
            occurrence=firing.occurrence, context=context, at=now, deadline_at=deadline,
            wake_at=now + ADOPT_GRACE_MS if late else None, slot=slot,
            priority=min(priority, LEAST)
            if isinstance(priority, int) and priority > 0 else PRIORITY,
        )  # fmt: skip
