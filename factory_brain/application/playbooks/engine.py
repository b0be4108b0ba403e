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

from factory_brain.application.playbooks.commands import Commands
from factory_brain.application.playbooks.ports import (
    Delivery,
    Devices,
    FencedError,
    RunRecord,
    RunStore,
    TagSource,
    WebhookSender,
)
from shared.clock import Clock
from shared.expression import StaticEnvironment, compile_expression
from shared.ids import new_epoch
from shared.messages.bodies import PlaybookOutcome
from shared.playbook.binding import (
    bound_devices,
    logical_tags,
    read_tags,
    to_site_tags,
)
from shared.playbook.model import Playbook
from shared.playbook.run import Advance, Context, Effect, advance
from shared.site.model import DeviceSpec
from shared.telemetry import logger

log = logger("playbooks")
LEASE_MS = 30_000
RENEW_S = 10.0
IDLE_S = 2.0
MAX_RUNS_AT_ONCE = 50
DELIVERIES_AT_ONCE = 20


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
        self._wake, self._handed_over = asyncio.Event(), asyncio.Event()
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
            async with asyncio.TaskGroup() as group:
                group.create_task(self._work())
                group.create_task(self._deliver_for_ever())
        finally:
            for task in self._driving:
                task.cancel()
            await asyncio.gather(*self._driving, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._claim()
            await self._sleep(self._wake, await self._store.next_due())

    async def _deliver_for_ever(self) -> None:
        """Webhooks go beside the runs: a receiver that hangs must not hold up an alarm."""
        while True:
            await self._deliver()
            await self._sleep(self._handed_over, await self._store.next_delivery())

    async def _sleep(self, wake: asyncio.Event, due: int | None) -> None:
        now = self._clock.now_ms()
        pause = IDLE_S if due is None else min(max((due - now) / 1000, 0.02), IDLE_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await wake.wait()
        wake.clear()

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
            wake_at = await self._carry_out(run, step, bound, names)
            await self._changed(run.id)
            if not step.effects or wake_at is not None or step.status not in ("running", "waiting"):
                break
        if step.status in ("success", "failure", "needs_human"):
            await self._end(run, step)
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
        self, run: RunRecord, step: Advance, bound: Mapping[str, str], names: Mapping[str, str]
    ) -> int | None:
        """Journal and do the effects in order; returns when an unsettled one is to be looked at."""
        pure: list[Effect] = []
        again: list[int] = []
        for effect in step.effects:
            if effect.kind in ("command", "reconcile"):
                await self._flush(run, pure)
                look = await self._command(run, effect, bound, names)
                again += [look] if look is not None else []
            else:
                pure.append(_told(effect))
        await self._flush(run, pure)
        return min(again, default=None)

    async def _flush(self, run: RunRecord, effects: list[Effect]) -> None:
        if effects:
            await self._store.write(run, effects, self._clock.now_ms())
            if any(effect.kind == "webhook" for effect in effects):
                self._handed_over.set()
            effects.clear()

    async def _command(
        self, run: RunRecord, effect: Effect, bound: Mapping[str, str], names: Mapping[str, str]
    ) -> int | None:
        step = effect.step
        assert step is not None
        assert step.command is not None
        spec = step.command
        if effect.kind == "reconcile":
            seen = await self._read_back(effect.data["verify"])
            return await self._commands.reconcile(run, effect.path, step, effect.data, seen)
        require = [to_site_tags(text, names) for text in effect.data["require"]]
        await self._commands.execute(
            run, effect.path, step, bound.get(spec.device), effect.data["args"], require,
            to_site_tags(effect.data["verify"], names),
        )  # fmt: skip
        return None

    async def _read_back(self, verify: str) -> bool | None:
        """What the brain's own newest samples say of a command's condition."""
        if not verify:
            return None
        condition = compile_expression(verify)
        readings = await self._tags.readings(sorted(condition.tags))
        value = condition.evaluate(StaticEnvironment(tags=readings))
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
            "labels": {key: word.model_dump() for key, word in asked.ask.labels.items()},
            "roles": list(asked.ask.to),
            "until": data.get("until"),
        }

    async def _end(self, run: RunRecord, step: Advance) -> None:
        """Tell the group, then end: told twice after a kill between the two, never not at all."""
        now = self._clock.now_ms()
        await self._store.renew(run, now + self._lease_ms)  # still ours?
        if self.on_ended is not None:
            metrics = {"elapsed_s": (now - run.started_at) / 1000, **step.metrics}
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
        await self._store.release(run, step.status, None, None, now)
        log.info("run_ended", run=run.id, playbook=run.playbook, status=step.status)

    async def _deliver(self) -> None:
        due = await self._store.due_deliveries(self._clock.now_ms(), DELIVERIES_AT_ONCE)
        await asyncio.gather(*(self._one_delivery(delivery) for delivery in due))

    async def _one_delivery(self, delivery: Delivery) -> None:
        error = await self._webhooks.deliver(delivery)
        await self._store.delivered(delivery, error, self._clock.now_ms())
        if error:
            log.warning("webhook_failed", delivery=delivery.id, error=error)
        if not delivery.detach:
            self._wake.set()


def _told(effect: Effect) -> Effect:
    """A notification is done by its own row, a detached webhook by its place in the outbox."""
    if effect.kind == "notify" or (effect.kind == "webhook" and effect.data["detach"]):
        return Effect(effect.kind, effect.path, effect.step, "done", effect.data)
    return effect
