"""Playbooks' offline parts: run here while the factory's brain is away, handed over on its return.

The same interpreter as in the brain over a journal in the edge's own store; every entry travels up
as an event and is adopted there. Moves devices only through actuation, intent first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from edge_node.application.actuation import Actuation, Order, Outcome
from edge_node.application.fragment_runs import (
    Entry,
    Run,
    about_of,
    concurrency_of,
    entry_after,
    handed_over,
    in_doubt,
    inputs_of,
    records_of,
    told_of,
)
from edge_node.application.journal import Journal
from edge_node.application.records import Change, Emit, PutMeta, event
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import AlarmUnit
from edge_node.domain.tags import TagTable
from shared.clock import Clock
from shared.expression import Reading, StaticEnvironment, compile_expression
from shared.ids import uuid7
from shared.messages.bodies import FragmentStep
from shared.messages.codec import decode, encode
from shared.messages.control import Fragment, Fragments
from shared.playbook import fragment
from shared.playbook.binding import bound_devices, logical_tags, to_site_tags
from shared.playbook.journal import OUTCOME, ROOTS, Context, Effect
from shared.playbook.model import Playbook, Step
from shared.playbook.run import advance
from shared.site.model import DeviceSpec
from shared.telemetry import logger

log = logger("fragments")
HELD, RUNS = "fragments", "fragment_runs"
LOOK_S = 0.5
STORE_WAIT_S = 2.0
HEARD_AGAIN_MS = 15_000
"""What a driver that was just started gets at least, to say what became of a write."""
MOST_RUNS = 50
KEEP_ENDED = 200


@dataclass(frozen=True, slots=True)
class _Plan:
    document: Playbook
    after_ms: int
    alarms: frozenset[str]
    codes: Mapping[str, list[str]]
    """A trigger's word -> the alarms of this edge that it stands for."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the fragments look at and act through; replaced when the site changes."""

    book: AlarmBook
    tags: TagTable
    actuation: Actuation
    devices: Mapping[str, DeviceSpec]


@dataclass(slots=True)
class _Logical:
    """The edge's tags under a playbook's logical names."""

    tags: TagTable
    names: Mapping[str, str]
    roots: Mapping[str, Any] = field(default_factory=dict)

    def root(self, name: str) -> object:
        raise KeyError(name)

    def tag(self, name: str) -> Reading | None:
        return self.tags.tag(self.names.get(name, name))

    def window(self, function: str, tag: str, seconds: float) -> object:
        return self.tags.window(function, self.names.get(tag, tag), seconds)


class OfflinePlaybooks:
    """The offline parts that this edge holds, and those at work."""

    def __init__(
        self, around: Surroundings, journal: Journal, clock: Clock, steady: Callable[[], int],
        reachable: Callable[[], bool],
    ) -> None:  # fmt: skip
        self.around = around
        self._journal, self._clock, self._steady = journal, clock, steady
        self._reachable = reachable
        self._away_at: int | None = None
        """Steady time since which the brain has been away; None while it is there."""
        self._standing: dict[str, int] = {}
        """Occurrence -> steady time at which it was first seen standing in this absence."""
        self._plans: dict[str, _Plan] = {}
        self._runs: dict[str, Run] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.version = ""

    # what is held

    def recover(self, meta: Mapping[str, bytes]) -> None:
        """What was held and at work when the last run of this edge ended."""
        if HELD in meta:
            self._hold(decode(meta[HELD], Fragments))
        if RUNS in meta:
            self._runs = {run.key: run for run in decode(meta[RUNS], list[Run])}

    async def install(self, fragments: Fragments) -> Outcome:
        """Replace what is held, once it is durable; what is at work ends under its own document."""
        try:
            for item in fragments.items:
                _plan(item)
        except (ValidationError, ValueError) as error:
            log.error("fragments_refused", version=fragments.version, error=str(error))
            return Outcome("refused", "malformed")
        stored = self._journal.write([PutMeta(HELD, encode(fragments))], urgent=True)
        if not await self._journal.durable(stored, STORE_WAIT_S):
            return Outcome("refused", "journal_degraded")
        self._hold(fragments)
        log.info("fragments_held", version=self.version, playbooks=sorted(self._plans))
        return Outcome("done")

    def _hold(self, fragments: Fragments) -> None:
        plans = {item.playbook: _plan(item) for item in fragments.items}
        self._plans = {name: plan for name, plan in plans.items() if plan is not None}
        self.version = fragments.version

    # what is at work

    async def run(self) -> None:
        """Begin what is due and drive it, for ever."""
        while True:
            self._look()
            await asyncio.sleep(LOOK_S)

    def _look(self) -> None:
        away = self._away_ms()
        for run in list(self._runs.values()):
            if not run.ended:
                self._drive(run)
        standing: dict[str, int] = {}
        for name, plan in self._plans.items() if away is not None else ():
            for unit in self._units(plan):
                # By what is seen here: a raise is told in the time of the device's own clock.
                since = self._standing.get(unit.occurrence, self._steady())
                standing[unit.occurrence] = since
                if min(away or 0, self._steady() - since) >= plan.after_ms:
                    self._begin(name, plan, unit)
        self._standing = standing

    def _away_ms(self) -> int | None:
        """How long the brain has been away, by a clock that nobody sets; None: it is there."""
        if self._reachable():
            self._away_at = None
            return None
        now = self._steady()
        if self._away_at is None:
            self._away_at = now
        return now - self._away_at

    def _units(self, plan: _Plan) -> Iterator[AlarmUnit]:
        for alarm in plan.alarms:
            unit = self.around.book.units.get(alarm)
            if unit is None or unit.state.hidden:
                continue
            if unit.state.active and unit.state.enabled:
                yield unit

    def _begin(self, name: str, plan: _Plan, unit: AlarmUnit) -> None:
        run = Run(
            name, plan.document.version, unit.id, unit.occurrence, about_of(unit), self._steady()
        )
        earlier = self._runs.get(run.key)
        if earlier is not None:
            if not self._resumable(plan, earlier):
                return
            run = earlier
        working = [other for other in self._runs.values() if not other.ended]
        if len(working) >= MOST_RUNS or (earlier is None and not self._wanted(plan, run)):
            return
        self._runs[run.key] = run
        key = concurrency_of(plan.document, run)
        if any(
            one.playbook == name and concurrency_of(plan.document, one) == key for one in working
        ):
            run.ended = True  # as in the brain: a further alarm joins the run at work
            run.journal.pop(OUTCOME, None)  # and does not go on after it
            log.info("fragment_joined", playbook=name, alarm=unit.id, occurrence=unit.occurrence)
            self._journal.write([PutMeta(RUNS, encode(list(self._runs.values())))])
            return
        run.ended = False
        word = "fragment_begun" if earlier is None else "fragment_resumed"
        log.info(word, playbook=name, alarm=unit.id, occurrence=unit.occurrence)
        self._drive(run)

    def _resumable(self, plan: _Plan, run: Run) -> bool:
        """Whether a part that was handed over in the middle goes on: the brain is away again."""
        if not run.ended or not handed_over(run):
            return False  # at work, or it has had its end, which comes once
        in_time = self._steady() < run.began + plan.document.deadline
        return in_time and run.version == plan.document.version

    @staticmethod
    def _wanted(plan: _Plan, run: Run) -> bool:
        inputs = inputs_of(plan.document)
        for trigger in plan.document.triggers:
            if trigger.transition != "raised" or trigger.alarm is None:
                continue
            if run.alarm not in plan.codes.get(trigger.alarm, [trigger.alarm]):
                continue
            if trigger.where is None:
                return True
            env = StaticEnvironment({"alarm": run.about, "inputs": inputs})
            if compile_expression(trigger.where, roots=ROOTS).evaluate(env) is True:
                return True
        return False

    def _drive(self, run: Run) -> None:
        task = self._tasks.get(run.key)
        if task is None or task.done():
            task = self._tasks[run.key] = asyncio.create_task(self._step(run))
            task.add_done_callback(lambda ended: self._stepped(run.key, ended))

    def _stepped(self, key: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("fragment_fault", run=key, error=repr(error))

    async def _step(self, run: Run) -> None:
        """Advance one run until it waits, ends or is handed over."""
        plan = self._plans.get(run.playbook)
        if plan is None or plan.document.version != run.version:
            await self._end(run, "failure", "fragment_replaced")
            return
        bound = bound_devices(plan.document, run.about, self.around.devices)
        names = logical_tags(bound, self.around.devices)
        while not run.ended:
            away, doubt = self._away_ms(), in_doubt(run)
            if handed_over(run):  # it goes on, and the brain shall know before anything moves
                await self._note(run, OUTCOME, "intent", {"status": fragment.RESUMED})
            elif away is None and not doubt:
                await self._end(run, fragment.HANDED_OVER, "")
                return
            alone = away is not None and away >= plan.after_ms
            if not alone and not doubt:  # just started: the brain may be there
                return
            self.around.tags.now = now = self._steady()
            context = self._context(run, plan, names)
            ahead = advance(plan.document, records_of(run), context, now)
            effects = [e for e in ahead.effects if alone or e.kind == "reconcile"]
            for effect in effects:
                if effect.kind in ("command", "reconcile"):
                    await self._command(run, effect, bound, names)
                else:
                    phase = "intent" if effect.kind == "await" else effect.phase
                    await self._note(run, effect.path, phase, dict(effect.data), effect.attempt)
            if ahead.status in ("success", "failure", "needs_human"):
                await self._end(run, ahead.status, "")
            elif not effects:
                return

    def _context(self, run: Run, plan: _Plan, names: Mapping[str, str]) -> Context:
        now = self._steady()
        about = {"id": run.key, "started_by": "edge", "elapsed_s": (now - run.began) / 1000}
        return Context(
            alarm=run.about, inputs=inputs_of(plan.document), site={}, run=about,
            tags=_Logical(self.around.tags, names), deadline_at=run.began + plan.document.deadline,
        )  # fmt: skip

    async def _command(
        self, run: Run, effect: Effect, bound: Mapping[str, str], names: Mapping[str, str]
    ) -> None:
        step = effect.step
        assert step is not None
        assert step.command is not None
        spec, path, nth = step.command, effect.path, effect.attempt
        if effect.kind == "reconcile":  # a restart came between the intent and its result
            verify = to_site_tags(str(effect.data.get("verify", "")), names)
            seen = (
                await self.around.actuation.verify(verify, max(spec.verify.within, HEARD_AGAIN_MS))
                if (verify and spec.verify)
                else ("unknown", "")
            )
            if seen[0] == "done":
                await self._note(run, path, "reconciled", {"by": "read_back"}, nth)
            else:
                await self._note(run, path, "failed", {"kind": "command_unknown"}, nth)
            return
        device = bound.get(spec.device)
        if device is None:
            await self._note(run, path, "failed", {"kind": "unbound_device"}, nth)
            return
        begun = {"device": device, **effect.data}
        if not await self._note(run, path, "intent", begun, nth):
            await self._note(run, path, "failed", {"kind": "journal_degraded"}, nth)
            return
        outcome = await self.around.actuation.perform(self._order(run, effect, step, device, names))
        await self._note(run, path, *told_of(outcome, device), nth)

    @staticmethod
    def _order(
        run: Run, effect: Effect, step: Step, device: str, names: Mapping[str, str]
    ) -> Order:
        spec = step.command
        assert spec is not None
        require = tuple(to_site_tags(text, names) for text in effect.data["require"])
        return Order(
            id=f"fragment:{run.key}:{effect.path}:{effect.attempt}",
            device=device, operation=spec.op,
            args=dict(effect.data["args"]), origin="fragment", require=require,
            verify=to_site_tags(effect.data["verify"], names),
            verify_within_ms=spec.verify.within if spec.verify else 0,
        )  # fmt: skip

    # the journal

    async def _end(self, run: Run, status: str, reason: str) -> None:
        run.ended = True
        log.info("fragment_ended", playbook=run.playbook, alarm=run.alarm, status=status)
        await self._note(run, OUTCOME, "done", {"status": status, "reason": reason})
        over = [key for key, one in self._runs.items() if one.ended and not self._stands(one)]
        for key in over[:-KEEP_ENDED]:
            del self._runs[key]

    def _stands(self, run: Run) -> bool:
        unit = self.around.book.units.get(run.alarm)
        return unit is not None and unit.state.active and unit.occurrence == run.occurrence

    async def _note(
        self, run: Run, path: str, phase: str, data: dict[str, Any], attempt: int = 1
    ) -> bool:
        """Journal one entry with its event; whether it is durable."""
        now = self._clock.now_ms()
        run.journal[path] = entry_after(run, path, Entry(phase, self._steady(), data, attempt))
        rows: Change = [PutMeta(RUNS, encode(list(self._runs.values())))]
        told = fragment.told_as(path)
        if told is not None:
            body = FragmentStep(
                playbook=run.playbook, version=run.version, alarm=run.alarm,
                occurrence=run.occurrence, path=told, phase=phase, data=data,
            )  # fmt: skip
            rows.append(Emit(event(uuid7(self._clock), "fragment.step", now, body)))
        stored = self._journal.write(rows, urgent=True)
        return await self._journal.durable(stored, STORE_WAIT_S)


def _plan(item: Fragment) -> _Plan:
    """A held playbook; raises ValidationError or ValueError when it has no offline part."""
    book = Playbook.model_validate_json(item.document)
    alone = fragment.document(book)
    if alone is None or book.offline is None:
        raise ValueError(f"playbook {book.playbook} has no offline part")
    named = [t.alarm for t in book.triggers if t.alarm and t.transition == "raised"]
    alarms = frozenset(alarm for name in named for alarm in item.codes.get(name, [name]))
    return _Plan(alone, book.offline.after, alarms, item.codes)
