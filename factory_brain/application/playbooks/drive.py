"""Drives one run in hand: advance, commit, act, until it waits or ends.

The interpreter says what is next; pure steps gather in memory and ride in the commit of the next
effect or of the rest. What acts is begun only after its intent is committed, side by side with
what else is under way, so that a slow receiver holds up nothing but its own branch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from factory_brain.application.playbooks.asking import asks_of
from factory_brain.application.playbooks.commands import Commands, Outcome, Renew, Sending
from factory_brain.application.playbooks.held import Held
from factory_brain.application.playbooks.ports import (
    AlarmStates,
    FencedError,
    HttpCaller,
    Rest,
    RunStore,
    TagSource,
    UnstorableError,
)
from factory_brain.application.playbooks.requests import requested
from factory_brain.application.playbooks.rows import command_of, in_phase, told, unstorable
from shared.clock import Clock
from shared.expression import StaticEnvironment, compile_expression
from shared.playbook.binding import to_site_tags
from shared.playbook.journal import Advance, Effect, Record, noted
from shared.playbook.outage import resume_ask
from shared.playbook.run import advance
from shared.telemetry import logger

log = logger("playbooks")
ENDED = frozenset({"success", "failure", "needs_human", "cancelled"})
MOST_PENDING = 200
"""So many rows are committed though nothing acts: memory is bounded, and so is what is repeated."""
SHORT_MS = 150
"""A wait so short is waited out with the run in hand."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a drive works with."""

    store: RunStore
    clock: Clock
    tags: TagSource
    commands: Commands
    http: HttpCaller | None = None
    alarms: AlarmStates | None = None
    simulated: Callable[[], bool] = lambda: False
    """Whether all outside is simulated, as of now: only there a drill may change something."""


class Drive:
    """One claimed run at work."""

    def __init__(
        self, means: Means, held: Held, changed: Callable[[], None], handed_over: Callable[[], None]
    ) -> None:  # fmt: skip
        self._store, self._clock, self._means = means.store, means.clock, means
        self.held = held
        self._changed, self._handed_over = changed, handed_over
        self._flying: dict[str, asyncio.Task[Outcome]] = {}
        self._steps: dict[str, Effect] = {}
        self._later: dict[str, int] = {}
        """Path -> when what became of its command is asked for again."""
        self._results: set[tuple[str, int]] = set()
        self._asked: Sequence[Mapping[str, Any]] = held.run.asks
        """The open questions as they are stored."""
        self._turn = asyncio.Lock()

    async def run(self) -> tuple[Advance, Rest]:
        """Work until it waits (it is given back then) or has ended (it is not yet)."""
        try:
            while True:
                found = await self._round()
                if found is not None:
                    return found
        finally:
            for task in self._flying.values():
                task.cancel()
            await asyncio.gather(*self._flying.values(), return_exceptions=True)

    async def _round(self) -> tuple[Advance, Rest] | None:
        held = self.held
        self._collect()
        if held.stale:
            await self._reload()
        now = self._clock.now_ms()
        held.resume_ask = resume_ask(held.book, held.known.control, held.journal)
        context = await held.context(self._means.tags, now)
        step = advance(held.book, held.journal, context, now)
        rows, acts = self._sort(step.effects, now)
        held.note(rows, now)
        if acts:
            if await self._commit():
                for effect, data in acts:
                    self._start(effect, data)
            return None
        if rows and len(held.pending) < MOST_PENDING:
            return None
        return await self._still(step, now)

    async def _still(self, step: Advance, now: int) -> tuple[Advance, Rest] | None:
        """Nothing new begins: wait for what is under way, rest, or be at the end."""
        held = self.held
        if self._flying or len(held.pending) >= MOST_PENDING:
            # What is under way may take long: people see at once what they are asked beside it.
            if await self._commit(asks=asks_of(step, held)) and self._flying:
                await self._wait(step, now)
            return None
        if step.status in ENDED:
            rest = Rest(step.status, ended_at=now)
            return (step, rest) if await self._commit() else None
        wakes = [at for at in (step.wake_at, *self._later.values()) if at is not None]
        wake_at = min(wakes, default=None)
        if wake_at is not None and wake_at - now <= SHORT_MS:
            if await self._commit():
                await self._wait(step, now)
            return None
        watch = held.site_tags(step.watch)
        rest = Rest("waiting", wake_at, asks_of(step, held), watch)
        return (step, rest) if await self._commit(rest) else None

    # the journal

    async def _commit(
        self, rest: Rest | None = None, asks: Sequence[Mapping[str, Any]] | None = None
    ) -> bool:
        """Store what is pending; False if there was news: it is looked at before."""
        held = self.held
        if asks is not None and list(asks) == list(self._asked):
            asks = None
        async with self._turn:
            batch = list(held.pending)
            if not batch and rest is None and asks is None:
                return not held.stale
            now, n = self._clock.now_ms(), held.known.n + 1
            held.leaving = rest is not None
            try:
                news = await self._store.write(
                    held.run, batch, now, n, held.known.news, rest, asks
                )  # fmt: skip
            except UnstorableError as error:
                if not batch:
                    raise
                held.leaving = False
                await self._one_by_one(batch, str(error))
                return False
            if news is None:
                held.stale, held.leaving = True, False
                return False
            held.committed(len(batch))
            self._asked = self._asked if asks is None else asks
        self._results.difference_update((effect.path, effect.attempt) for effect in batch)
        if any(effect.kind == "webhook" for effect in batch):
            self._handed_over()
        self._changed()
        return True

    async def _one_by_one(self, batch: Sequence[Effect], reason: str) -> None:
        """A row that cannot be stored becomes a failure; what was decided upon it is dropped."""
        held, spoilt = self.held, False
        held.stale = True
        for effect in batch:
            key = (effect.path, effect.attempt)
            if spoilt and key not in self._results:
                continue
            try:
                stored = await self._put(effect)
            except UnstorableError:
                spoilt = True
                stored = await self._put(unstorable(effect, reason))
                log.error("row_unstorable", run=held.run.id, path=effect.path, reason=reason)
            if not stored:
                return
            self._results.discard(key)
        self._handed_over()
        self._changed()

    async def _put(self, effect: Effect) -> bool:
        held, now = self.held, self._clock.now_ms()
        n, news = held.known.n + 1, held.known.news
        if await self._store.write(held.run, [effect], now, n, news) is None:
            return False
        held.skip()
        return True

    async def _reload(self) -> None:
        """Read what is stored; results of what has happened stay, decisions are made anew."""
        held = self.held
        kept = [e for e in held.pending if (e.path, e.attempt) in self._results]
        run = held.run
        alone = [run.id] if held.book.offline is not None else []
        held.stale = False
        known = (await self._store.known([run.id], alone)).get(run.id)
        if known is None:
            raise FencedError
        held.known = known
        held.pending.clear()
        held.note(kept, self._clock.now_ms())
        alarms, leaves = self._means.alarms, held.book.leave_when
        if alarms is not None and leaves and run.occurrence is not None:
            held.alarm_states = await alarms.states(run.occurrence)

    async def _renewed(self, effect: Effect, data: Mapping[str, Any]) -> None:
        """Commit the intent of a command that is sent anew, whatever else is going on."""
        held, now = self.held, self._clock.now_ms()
        again = Effect("settle", effect.path, effect.step, "intent", data, effect.attempt)
        async with self._turn:
            # Its own number, after all that is pending: the newest record of its path.
            n = held.known.n + len(held.pending) + 1
            await self._store.write(held.run, [again], now, n)
            noted(held.journal, effect.path, Record("intent", now, data, effect.attempt, n=n))
            held.skip()

    # what acts

    def _sort(
        self, effects: list[Effect], now: int
    ) -> tuple[list[Effect], list[tuple[Effect, Mapping[str, Any]]]]:
        """The rows to journal, and what is to be begun once they are committed."""
        rows: list[Effect] = []
        acts: list[tuple[Effect, Mapping[str, Any]]] = []
        for effect in effects:
            if effect.path in self._flying or self._later.get(effect.path, 0) > now:
                continue
            if effect.kind == "command":
                self._begin_command(effect, rows, acts)
            elif effect.kind == "http":
                if self._known(effect) is None:
                    rows.append(in_phase(effect, "intent"))
                acts.append((effect, effect.data))
            elif effect.kind == "reconcile":
                acts.append((effect, effect.data))
            else:
                rows.append(told(effect))
        return rows, acts

    def _begin_command(
        self, effect: Effect, rows: list[Effect], acts: list[tuple[Effect, Mapping[str, Any]]]
    ) -> None:
        spec = command_of(effect)
        bound = self.held.bound_of(effect)
        device = bound.devices.get(spec.device)
        if device is None:
            data: Mapping[str, Any] = {"kind": "unbound_device", "device": spec.device}
            rows.append(Effect("settle", effect.path, effect.step, "failed", data, effect.attempt))
            return
        sent = {
            **effect.data,
            "require": [to_site_tags(text, bound.tags) for text in effect.data["require"]],
            "verify": to_site_tags(effect.data["verify"], bound.tags),
        }
        data = self._means.commands.intent(spec, device, effect.attempt, sent)
        rows.append(Effect("settle", effect.path, effect.step, "intent", data, effect.attempt))
        acts.append((effect, data))

    def _known(self, effect: Effect) -> Record | None:
        """The record of this very try, if there is one."""
        record = self.held.journal.get(effect.path)
        return record if record is not None and record.attempt == effect.attempt else None

    def _start(self, effect: Effect, data: Mapping[str, Any]) -> None:
        self._later.pop(effect.path, None)

        def renew(again: Mapping[str, Any]) -> Awaitable[None]:
            return self._renewed(effect, again)

        if effect.kind == "http":
            work: Coroutine[Any, Any, Outcome] = requested(
                self._means.http, self.held.run, effect, self._means.simulated()
            )
        elif effect.kind == "reconcile":
            work = self._reconcile(effect, data, renew)
        else:
            work = self._means.commands.execute(self._sending(effect), data, renew)
        self._steps[effect.path] = effect
        self._flying[effect.path] = asyncio.create_task(work, name=f"act-{effect.path}")

    def _sending(self, effect: Effect) -> Sending:
        run = self.held.run
        drill = bool(run.context.get("drill", False))
        return Sending(run.id, effect.path, command_of(effect), drill)

    async def _reconcile(self, effect: Effect, data: Mapping[str, Any], renew: Renew) -> Outcome:
        seen = await self._read_back(str(data.get("verify", "")))
        return await self._means.commands.reconcile(self._sending(effect), data, seen, renew)

    async def _read_back(self, verify: str) -> bool | None:
        """What the brain's own newest samples say of a command's condition."""
        if not verify:
            return None
        condition = compile_expression(verify)
        readings = await self._means.tags.readings(sorted(condition.tags))
        value = condition.evaluate(StaticEnvironment(tags=readings))
        return value if isinstance(value, bool) else None

    def _collect(self) -> None:
        """Take in what has come back since."""
        for path in [path for path, task in self._flying.items() if task.done()]:
            outcome = self._flying.pop(path).result()
            effect = self._steps.pop(path)
            if outcome.data is None:
                self._later[path] = outcome.look_at or 0
                continue
            row = Effect("settle", path, effect.step, outcome.phase, outcome.data, effect.attempt)
            if effect.kind == "reconcile":  # of the try that was begun
                record = self.held.journal[path]
                row = in_phase(row, outcome.phase, record.attempt)
            self._results.add((path, row.attempt))
            self.held.note([row], self._clock.now_ms())

    async def _wait(self, step: Advance, now: int) -> None:
        """Until something comes back, is told, or is due."""
        wakes = [at for at in (step.wake_at, *self._later.values()) if at is not None]
        due = min(wakes, default=None)
        pause = None if due is None else max((due - now) / 1000, 0.02)
        poked = asyncio.create_task(self.held.poked.wait())
        try:
            await asyncio.wait(
                {*self._flying.values(), poked}, timeout=pause,
                return_when=asyncio.FIRST_COMPLETED,
            )  # fmt: skip
        finally:
            poked.cancel()
            self.held.poked.clear()
