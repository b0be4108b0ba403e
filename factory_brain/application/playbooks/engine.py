"""Runs playbooks: claims due runs, has each driven, gives them back, tells their ends.

An interpreter over the path-keyed journal: a killed engine's runs are claimed by the next one and
go on where their journal ends. It decides nothing that `shared/playbook/run.py` decides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from factory_brain.application.playbooks.commands import Commands
from factory_brain.application.playbooks.deliveries import Deliveries
from factory_brain.application.playbooks.drive import Drive, Means
from factory_brain.application.playbooks.ended import outcome_of
from factory_brain.application.playbooks.held import Document, Held
from factory_brain.application.playbooks.keeping import Keeping
from factory_brain.application.playbooks.ports import (
    AlarmStates,
    Devices,
    FencedError,
    HttpCaller,
    Known,
    Rest,
    RunRecord,
    RunStore,
    TagSource,
    UnstorableError,
    WebhookSender,
)
from factory_brain.application.playbooks.watching import Watching
from shared.clock import Clock
from shared.ids import new_epoch
from shared.messages.bodies import PlaybookOutcome
from shared.playbook.journal import Advance, Effect
from shared.playbook.model import Playbook
from shared.playbook.outage import abandoned
from shared.site.model import DeviceSpec
from shared.telemetry import logger

log = logger("playbooks")
LEASE_MS = 30_000
IDLE_S = 0.3
"""What another brain was told about a run at rest is noticed after so long."""
TELL_S = 0.2
TELL_MOST = 50
"""Changed runs are shown so often, and so many at a time."""
MAX_RUNS_AT_ONCE = 1_000
"""Most of them wait for a device or a receiver."""
CLAIM_MOST = 100
BROKEN_MS = 2_000
"""A run whose drive broke off is due again after so long."""


@dataclass(frozen=True, slots=True)
class Ports:
    """What the engine works with."""

    store: RunStore
    devices: Devices
    tags: TagSource
    webhooks: WebhookSender
    clock: Clock
    http: HttpCaller | None = None
    alarms: AlarmStates | None = None
    simulated: Callable[[], bool] = lambda: False


class Engine:
    """One engine of a brain; several may share one database."""

    def __init__(
        self, ports: Ports, devices: Mapping[str, DeviceSpec], lease_ms: int = LEASE_MS,
        owner: str = "",
    ) -> None:  # fmt: skip
        self._store, self._clock = ports.store, ports.clock
        commands = Commands(ports.devices, ports.clock)
        self.means = Means(
            ports.store, ports.clock, ports.tags, commands, ports.http, ports.alarms,
            ports.simulated,
        )  # fmt: skip
        self._devices, self._lease_ms = devices, lease_ms
        self._owner = owner or new_epoch()
        """Never that of another engine, nor of an earlier start of this one."""
        self._documents: dict[str, Document] = {}
        self._wake = asyncio.Event()
        self._next_at: int | None = None
        """When it will look by itself."""
        self._held: dict[str, Held] = {}
        self._driving: dict[str, asyncio.Task[None]] = {}
        self._dirty: dict[str, None] = {}
        self.watching = Watching(ports.store, ports.tags, ports.clock, self._poke_here, self.wake)
        self.keeping = Keeping(
            ports.store, ports.clock, self._owner, lease_ms, self._held, self._driving, self.wake
        )
        self.deliveries = Deliveries(ports.store, ports.webhooks, ports.clock, self.poke)
        self.on_changed: Callable[[str], Awaitable[None]] | None = None
        self.on_ended: Callable[[PlaybookOutcome], Awaitable[None]] | None = None
        self.on_over: list[Callable[[RunRecord], None]] = []
        """Told right after a run has ended here."""

    def wake(self) -> None:
        """Something is due now."""
        self._wake.set()

    def poke(self, run: str) -> None:
        """Something about a run is news in the store."""
        held = self._held.get(run)
        if held is not None:
            held.stale = True
            held.poked.set()
        else:
            self._wake.set()

    def show(self, run: str) -> None:
        """A run looks different now."""
        self._dirty[run] = None

    def taken(self, run: RunRecord) -> None:
        """A run was ended from outside: nothing more of it may go out."""
        task = self._driving.get(run.id)
        if task is not None:
            task.cancel()
        self.watching.put(run.id, ())
        self.show(run.id)
        for listener in self.on_over:
            listener(run)

    def ask_alarms(self, alarms: AlarmStates) -> None:
        """From now on it is asked here what alarms are."""
        self.means = replace(self.means, alarms=alarms)

    def on_samples(self, tags: Iterable[str]) -> None:
        """New values of these tags are committed."""
        self.watching.touched(tags)

    def _poke_here(self, runs: Iterable[str]) -> set[str]:
        mine = {run for run in runs if run in self._held}
        for run in mine:
            self._held[run].poked.set()
        return mine

    async def run(self) -> None:
        """Work for ever."""
        try:
            async with asyncio.TaskGroup() as group:
                for part in (
                    self._work, self.keeping.prolong, self.keeping.look_for_news, self._tell,
                    self.deliveries.run, self.watching.run, self.keeping.say_late,
                ):  # fmt: skip
                    group.create_task(part())
        finally:
            for task in self._driving.values():
                task.cancel()
            await asyncio.gather(*self._driving.values(), return_exceptions=True)
            self._driving.clear()
            self._held.clear()

    # claiming

    async def _work(self) -> None:
        while True:
            if not await self._claim():
                self._next_at = await self._store.next_due()
                await self._sleep()

    async def _sleep(self) -> None:
        now, due = self._clock.now_ms(), self._next_at
        pause = IDLE_S if due is None else min(max((due - now) / 1000, 0.005), IDLE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await self._wake.wait()
        self._wake.clear()

    async def _claim(self) -> bool:
        """Take what is due; whether there may be more."""
        free = min(MAX_RUNS_AT_ONCE - len(self._driving), CLAIM_MOST)
        if free <= 0:
            return False
        self._wake.clear()
        runs = await self._store.claim(self._owner, self._clock.now_ms(), self._lease_ms, free)
        mine = [run for run in runs if run.id in self._driving]  # fenced, not yet gone
        if mine:
            await self._give_back(mine)
            runs = [run for run in runs if run not in mine]
        if runs:
            for held in await self._take(runs):
                self._held[held.run.id] = held
                task = asyncio.create_task(self._drive_safely(held), name=f"run-{held.run.id}")
                self._driving[held.run.id] = task
        return len(runs) == free

    async def _take(self, runs: list[RunRecord]) -> list[Held]:
        """Those that can be driven; the others have ended for people, or are due again soon."""
        try:
            fit = [run for run in runs if await self._readable(run)]
            alone = [r.id for r in fit if self._documents[r.digest].book.offline is not None]
            told = [r.id for r in fit if r.fence > 1 or r.news or r.id in alone]
            known = await self._store.known(told, alone) if told else {}
            held = [await self._hold(run, known.get(run.id)) for run in fit]
        except Exception:  # most likely the database: nothing of them was begun
            log.exception("claim_interrupted", runs=len(runs))
            await self._give_back(runs)
            return []
        return [one for one in held if one is not None]

    async def _hold(self, run: RunRecord, known: Known | None) -> Held | None:
        states = await self._states(run)
        try:
            return Held(
                run, self._documents[run.digest].at_pace(run.context),
                {n: self._documents[d].at_pace(run.context)
                 for n, d in run.context.get("calls", {}).items()},
                known or Known({}, 0, {}, run.control, run.news), self._devices,
                self.watching.since(run.id, self._clock.now_ms()), alarm_states=states,
            )  # fmt: skip
        except Exception as error:  # of one run, whatever it is: the others go on
            await self._misfit(run, error)
            return None

    async def _states(self, run: RunRecord) -> Mapping[str, int]:
        leaves = self._documents[run.digest].book.leave_when
        if self.means.alarms is None or run.occurrence is None or not leaves:
            return {}
        return await self.means.alarms.states(run.occurrence)

    async def _readable(self, run: RunRecord) -> bool:
        """Whether its documents are at hand; one whose document is none any more is ended."""
        for digest in (run.digest, *run.context.get("calls", {}).values()):
            if digest in self._documents:
                continue
            found = await self._store.document(digest)
            try:
                self._documents[digest] = Document.of(Playbook.model_validate(found))
            except Exception as error:  # of one run, whatever it is: the others go on
                await self._misfit(run, error)
                return False
        return True

    async def _misfit(
        self, run: RunRecord, error: Exception, kind: str = "journal_mismatch"
    ) -> None:
        """End a run that cannot be driven by this program, for people to see."""
        reason = f"{type(error).__name__}: {error}"[:300].encode(errors="replace").decode()
        log.error("run_misfit", run=run.id, digest=run.digest, kind=kind, reason=reason)
        now, why = self._clock.now_ms(), {"path": "", "kind": kind, "reason": reason}
        verdict = {"status": "needs_human", "metrics": {}}
        rows = [
            Effect("settle", "/error", None, "failed", why),
            Effect("settle", "/outcome", None, "done", verdict),
        ]
        try:
            n = (await self._store.known([run.id]))[run.id].n + 1
            await self.told(run, "needs_human", {})
            rest = Rest("needs_human", ended_at=now)
            await self._store.write(run, rows, now, n, rest=rest)
        except Exception:
            log.exception("run_interrupted", run=run.id)
            await self._give_back([run])
            return
        self.taken(run)

    async def _give_back(self, runs: Iterable[RunRecord]) -> None:
        """Let go of runs that could not be driven: they are due again soon."""
        leases = {run.id: run.fence for run in runs}
        try:
            await self._store.give_back(self._owner, leases, self._clock.now_ms() + BROKEN_MS)
        except Exception:  # nobody renews these leases: they end by themselves
            log.exception("leases_left", runs=len(leases))

    # driving

    async def _drive_safely(self, held: Held) -> None:
        run = held.run
        try:
            await self._drive(held)
        except FencedError:
            log.warning("run_fenced", run=run.id, fence=run.fence)
        except UnstorableError as error:  # what stands beside the journal: no step can fail by it
            await self._misfit(run, error, "unstorable")
        except Exception:  # the run is claimed again: nothing is lost
            log.exception("run_interrupted", run=run.id)
            await self._give_back([run])
        finally:
            self._held.pop(run.id, None)
            full = len(self._driving) >= MAX_RUNS_AT_ONCE
            self._driving.pop(run.id, None)
            if full:
                self._wake.set()

    async def _drive(self, held: Held) -> None:
        run = held.run
        if abandoned(held.book, held.known.control) and "cancel" not in held.known.control:
            now = self._clock.now_ms()
            why = {"by": "system", "at": now, "reason": "abandoned_after_outage"}
            await self._store.tell(run.id, "cancel", why, "system", now, "cancel_run")
            held.stale = True

        def changed() -> None:
            self._dirty[run.id] = None

        drive = Drive(self.means, held, changed, self.deliveries.wake)
        step, rest = await drive.run()
        if rest.ended_at is not None:
            await self._end(held, step, rest)
            self.watching.put(run.id, ())
        else:
            self.watching.put(run.id, rest.watch, held.saw)
            sooner = self._next_at is None or (rest.wake_at or 1 << 62) < self._next_at
            if rest.wake_at is not None and sooner:
                self._wake.set()
        changed()

    async def _end(self, held: Held, step: Advance, rest: Rest) -> None:
        """Tell the group, then end: told twice after a kill between the two, never not at all."""
        run = held.run
        await self.told(run, step.status, step.metrics)
        held.leaving = True
        await self._store.release(run, rest)
        log.info("run_ended", run=run.id, playbook=run.playbook, status=step.status)
        for listener in self.on_over:
            listener(run)

    async def told(self, run: RunRecord, status: str, metrics: Mapping[str, Any]) -> None:
        """Tell who keeps account of runs how one has ended."""
        if self.on_ended is None:
            return
        await self.on_ended(outcome_of(run, status, metrics, self._clock.now_ms()))

    # showing

    async def _tell(self) -> None:
        """Show what has changed, once however often it did."""
        while True:
            await asyncio.sleep(TELL_S)
            for run in list(self._dirty)[:TELL_MOST]:
                del self._dirty[run]
                if self.on_changed is not None:
                    await self.on_changed(run)
