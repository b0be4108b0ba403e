"""Runs playbooks: claims due runs, advances them, journals and carries out their effects.

An interpreter over the path-keyed journal: a killed engine's runs are claimed by the next one and
go on where their journal ends. It decides nothing that `shared/playbook/run.py` decides.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from factory_brain.application.playbooks.binding import (
    bound_devices,
    logical_tags,
    read_tags,
    to_site_tags,
)
from factory_brain.application.playbooks.commands import Commands
from factory_brain.application.playbooks.ports import (
    Devices,
    FencedError,
    RunRecord,
    RunStore,
    TagSource,
    WebhookSender,
)
from shared.clock import Clock
from shared.expression import Environment, StaticEnvironment, compile_data, compile_expression
from shared.ids import new_epoch
from shared.messages.bodies import PlaybookOutcome
from shared.playbook.model import Playbook
from shared.playbook.run import ROOTS, Advance, Context, Effect, advance
from shared.site.model import DeviceSpec
from shared.telemetry import logger

log = logger("playbooks")
LEASE_MS = 30_000
RENEW_S = 10.0
IDLE_S = 2.0
MAX_RUNS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Ports:
    """What the engine works with."""

    store: RunStore
    devices: Devices
    tags: TagSource
    webhooks: WebhookSender
    clock: Clock


class Engine:
    """One engine of a brain; several may share one database."""

    def __init__(
        self, ports: Ports, devices: Mapping[str, DeviceSpec], lease_ms: int = LEASE_MS
    ) -> None:
        self._store, self._clock, self._tags = ports.store, ports.clock, ports.tags
        self._webhooks = ports.webhooks
        self._commands = Commands(ports.store, ports.devices, ports.clock)
        self._devices = devices
        self._lease_ms = lease_ms
        self._owner = new_epoch()
        self._documents: dict[str, Playbook] = {}
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(MAX_RUNS_AT_ONCE)
        self._driving: set[asyncio.Task[None]] = set()
        self.on_changed: Callable[[str], Awaitable[None]] | None = None
        self.on_ended: Callable[[PlaybookOutcome], Awaitable[None]] | None = None

    def wake(self) -> None:
        """Something is due now."""
        self._wake.set()

    async def run(self) -> None:
        """Work for ever."""
        try:
            while True:
                await self._deliver()
                await self._claim()
                await self._sleep()
        finally:
            for task in self._driving:
                task.cancel()
            await asyncio.gather(*self._driving, return_exceptions=True)

    async def _sleep(self) -> None:
        due = await self._store.next_due()
        now = self._clock.now_ms()
        pause = IDLE_S if due is None else min(max((due - now) / 1000, 0.02), IDLE_S)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), pause)
        self._wake.clear()

    async def _claim(self) -> None:
        free = MAX_RUNS_AT_ONCE - len(self._driving)
        if free <= 0:
            return
        for run in await self._store.claim(self._owner, self._clock.now_ms(), self._lease_ms, free):
            task = asyncio.create_task(self._drive_safely(run), name=f"run-{run.id}")
            self._driving.add(task)
            task.add_done_callback(self._driving.discard)

    async def _drive_safely(self, run: RunRecord) -> None:
        renewing = asyncio.create_task(self._renew(run))
        try:
            await self.drive(run)
        except FencedError:
            log.warning("run_fenced", run=run.id, fence=run.fence)
        except Exception:  # the lease ends by itself and the run is claimed again: nothing is lost
            log.exception("run_interrupted", run=run.id)
        finally:
            renewing.cancel()
            self._wake.set()

    async def _renew(self, run: RunRecord) -> None:
        while True:
            await asyncio.sleep(min(RENEW_S, self._lease_ms / 3000))
            await self._store.renew(run, self._clock.now_ms() + self._lease_ms)

    async def drive(self, run: RunRecord) -> None:
        """Advance one claimed run until it waits or ends."""
        book = await self._document(run.digest)
        bound = bound_devices(book, run.context["alarm"], self._devices)
        names = logical_tags(bound, self._devices)
        while True:
            context = await self._context(run, book, names)
            step = advance(book, await self._store.journal(run.id), context, self._clock.now_ms())
            wake_at = await self._carry_out(run, book, step, bound, names, context)
            await self._changed(run.id)
            if not step.effects or wake_at is not None or step.status not in ("running", "waiting"):
                break
        if step.status in ("success", "failure", "needs_human"):
            await self._end(run, book, step, context)
        else:
            wakes = [at for at in (step.wake_at, wake_at) if at is not None]
            ask = self._asking(step, context, await self._store.journal(run.id))
            await self._store.release(run, "waiting", min(wakes, default=None), ask, None)
        await self._changed(run.id)

    async def _changed(self, run: str) -> None:
        if self.on_changed is not None:
            await self.on_changed(run)

    async def _document(self, digest: str) -> Playbook:
        if digest not in self._documents:
            found = await self._store.document(digest)
            self._documents[digest] = Playbook.model_validate(found)
        return self._documents[digest]

    async def _context(self, run: RunRecord, book: Playbook, names: Mapping[str, str]) -> Context:
        wanted = {logical: names[logical] for logical in read_tags(book) if logical in names}
        readings = await self._tags.readings(list(set(wanted.values())))
        tags = {logical: readings[tag] for logical, tag in wanted.items() if tag in readings}
        answers = await self._store.answers(run.id)
        about = {
            "id": run.id, "started_by": run.context.get("started_by", ""),
            "elapsed_s": (self._clock.now_ms() - run.started_at) / 1000,
        }  # fmt: skip
        return Context(
            alarm=run.context["alarm"], inputs=run.context["inputs"], site=run.context["site"],
            run=about, tags=StaticEnvironment(tags=tags), answers=answers,
            deadline_at=run.deadline_at,
        )  # fmt: skip

    async def _carry_out(
        self, run: RunRecord, book: Playbook, step: Advance, bound: Mapping[str, str],
        names: Mapping[str, str], context: Context,
    ) -> int | None:  # fmt: skip
        """Journal and do the effects in order; returns when an unsettled one is to be looked at."""
        pure: list[Effect] = []
        again: list[int] = []
        for effect in step.effects:
            if effect.kind in ("command", "reconcile"):
                await self._flush(run, pure)
                look = await self._command(run, effect, bound, names, context)
                again += [look] if look is not None else []
            else:
                pure.append(_told(effect))
        await self._flush(run, pure)
        return min(again, default=None)

    async def _flush(self, run: RunRecord, effects: list[Effect]) -> None:
        if effects:
            await self._store.write(run, effects, self._clock.now_ms())
            effects.clear()

    async def _command(
        self, run: RunRecord, effect: Effect, bound: Mapping[str, str], names: Mapping[str, str],
        context: Context,
    ) -> int | None:  # fmt: skip
        step = effect.step
        assert step is not None
        assert step.command is not None
        spec = step.command
        verify = spec.verify.until if spec.verify else ""
        if effect.kind == "reconcile":
            seen = self._read_back(verify, context.tags)
            return await self._commands.reconcile(run, effect.path, step, effect.data, seen)
        require = [to_site_tags(text, names) for text in spec.require]
        await self._commands.execute(
            run, effect.path, step, bound.get(spec.device), effect.data["args"], require,
            to_site_tags(verify, names),
        )  # fmt: skip
        return None

    @staticmethod
    def _read_back(verify: str, tags: Environment) -> bool | None:
        if not verify:
            return None
        value = compile_expression(verify, roots=ROOTS).evaluate(tags)
        return value if isinstance(value, bool) else None

    @staticmethod
    def _asking(step: Advance, context: Context, journal: Mapping[str, Any]) -> Any:
        if step.asking is None:
            return None
        path, asked = step.asking
        assert asked.ask is not None
        record = journal.get(path)
        data = record.data if record else {}
        return {
            "path": path,
            "step": asked.id,
            "question": data.get("question", {}),
            "options": list(asked.ask.options),
            "roles": list(asked.ask.to),
            "until": data.get("until"),
        }

    async def _end(self, run: RunRecord, book: Playbook, step: Advance, context: Context) -> None:
        now = self._clock.now_ms()
        env = StaticEnvironment({"alarm": context.alarm, "run": context.run, "steps": {}})
        metrics: dict[str, Any] = {"elapsed_s": (now - run.started_at) / 1000}
        for name, value in book.outcome.metrics.items():
            found = compile_data(value, roots=ROOTS).evaluate(env)
            if isinstance(found, int | float | str | bool):
                metrics[name] = found
        await self._store.release(run, step.status, None, None, now)
        log.info("run_ended", run=run.id, playbook=run.playbook, status=step.status)
        if self.on_ended is not None:
            await self.on_ended(
                PlaybookOutcome(
                    run=run.id,
                    playbook=run.playbook,
                    version=run.version,
                    alarm=run.alarm or "",
                    occurrence=run.occurrence or "",
                    status=step.status,
                    success=step.status == "success",
                    metrics=metrics,
                )
            )

    async def _deliver(self) -> None:
        for delivery in await self._store.due_deliveries(self._clock.now_ms(), 20):
            error = await self._webhooks.deliver(delivery)
            await self._store.delivered(delivery, error, self._clock.now_ms())
            if error:
                log.warning("webhook_failed", delivery=delivery.id, error=error)


def _told(effect: Effect) -> Effect:
    """A notification is done by its own row, a detached webhook by its place in the outbox."""
    if effect.kind == "notify" or (effect.kind == "webhook" and effect.data["detach"]):
        return Effect(effect.kind, effect.path, effect.step, "done", effect.data)
    return effect
