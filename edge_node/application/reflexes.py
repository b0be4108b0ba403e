"""Local safe actions: an alarm's condition becomes present, a device is moved, nobody is asked.

Called by the engine with every raise; the intent is stored in the raise's own transaction. What a
kill leaves open is reconciled at the next start, never repeated blindly.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from edge_node.application.actuation import Actuation, Order, Outcome
from edge_node.application.journal import Journal
from edge_node.application.records import CommandEntry, Emit, PutCommand, event
from edge_node.domain.alarm_book import AlarmBook
from edge_node.domain.alarm_unit import Transition
from shared.clock import Clock
from shared.errors import ConfigError
from shared.ids import uuid7
from shared.messages.bodies import LocalAction
from shared.site.model import ReflexSpec
from shared.telemetry import logger

log = logger("reflex")
SAFE_WAIT_S = 0.25
"""How long a safe-direction reflex waits for its intent on the disk before it acts all the same."""
INTENT_WAIT_S = 2.0
LOOKS, LOOK_MS = 20, 1000
"""How long the first good values after a restart may take before an intent stays unknown."""
RETRY_S = (0.5, 1.0, 2.0, *([5.0] * 12))
"""When a safe-direction reflex tries again, while its alarm stands, what surely was not written."""


class Reflexes:
    """The reflexes of the edge, by alarm."""

    def __init__(
        self, specs: list[ReflexSpec], actuation: Actuation, journal: Journal, book: AlarmBook,
        clock: Clock, boot: str,
    ) -> None:  # fmt: skip
        self._by_alarm = _by_alarm(specs, actuation)
        self._actuation, self._journal, self._book = actuation, journal, book
        self._clock, self._boot = clock, boot
        self._tasks: set[asyncio.Task[Any]] = set()
        self.on_result: Callable[[str], None] = lambda alarm: None

    def use(self, specs: list[ReflexSpec], book: AlarmBook) -> None:
        """Go on with another version of the site; what acts now ends as it began."""
        self._by_alarm, self._book = _by_alarm(specs, self._actuation), book

    def intents(
        self, transition: Transition, began: float
    ) -> list[tuple[ReflexSpec, Order, CommandEntry]]:
        """What this raise sets off, with the journal entries to store beside it."""
        if not transition.raised:
            return []
        unit = transition.unit
        found = []
        for spec in self._by_alarm.get(unit.id, ()):
            name = f"reflex:{spec.id}:{unit.occurrence}:{unit.version}"
            order = _order(spec, name, began)
            found.append((spec, order, self._entry(spec, order, unit.occurrence)))
        return found

    def _entry(self, spec: ReflexSpec, order: Order, occurrence: str) -> CommandEntry:
        return CommandEntry(
            id=order.id, device=order.device, operation=order.operation, args=order.args,
            origin="reflex", at=self._clock.now_ms(), boot=self._boot, alarm=spec.alarm,
            occurrence=occurrence, reflex=spec.id,
        )  # fmt: skip

    def start(
        self, spec: ReflexSpec, order: Order, entry: CommandEntry, stored: asyncio.Future[None]
    ) -> None:
        """Act in the background; one hung driver holds up no other reflex."""
        self._spawn(self._act(spec, order, entry, stored))

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("reflex_fault", error=repr(error))

    async def _act(
        self, spec: ReflexSpec, order: Order, entry: CommandEntry, stored: asyncio.Future[None]
    ) -> None:
        wait = SAFE_WAIT_S if spec.safe_direction else INTENT_WAIT_S
        durable = await self._journal.durable(stored, wait)
        if not durable and not spec.safe_direction:
            self._record(entry, Outcome("refused", "journal_degraded"))
            return
        outcome = await self._actuation.perform(order)
        self._record(entry, outcome)
        if spec.safe_direction:
            await self._insist(order, entry, outcome)

    async def _insist(self, order: Order, entry: CommandEntry, outcome: Outcome) -> None:
        """A driver that is just starting again must not cost the reflex."""
        for delay in RETRY_S:
            if not _unwritten(outcome):
                return
            await asyncio.sleep(delay)
            if not self._stands(entry) or not self._wanted(order, entry):
                return
            outcome = await self._actuation.perform(replace(order, began=0.0))
            if not _unwritten(outcome):
                self._record(entry, outcome)

    def _stands(self, entry: CommandEntry) -> bool:
        unit = self._book.units.get(entry.alarm)
        return unit is not None and unit.state.active and unit.occurrence == entry.occurrence

    def _wanted(self, order: Order, entry: CommandEntry) -> bool:
        """Whether the site, as it is now, still has the reflex do just this."""
        return any(
            spec.id == entry.reflex
            and (spec.device, spec.operation, spec.args)
            == (order.device, order.operation, order.args)
            for spec in self._by_alarm.get(entry.alarm, ())
        )

    def _record(self, entry: CommandEntry, outcome: Outcome) -> None:
        log.info(
            "reflex_acted", reflex=entry.reflex, alarm=entry.alarm, outcome=outcome.outcome,
            reason=outcome.reason or None, latency_ms=outcome.latency_ms,
        )  # fmt: skip
        done = with_outcome(entry, outcome)
        body = LocalAction(
            reflex=entry.reflex, alarm=entry.alarm, occurrence=entry.occurrence,
            command=entry.id, device=entry.device, operation=entry.operation, args=entry.args,
            outcome=outcome.outcome, reason=outcome.reason, before=outcome.before,
            readback=outcome.readback, latency_ms=outcome.latency_ms,
        )  # fmt: skip
        now = self._clock.now_ms()
        emitted = Emit(event(uuid7(self._clock), f"reflex.{outcome.outcome}", now, body))
        self._journal.write([PutCommand(done), emitted], urgent=True)
        unit = self._book.units.get(entry.alarm)
        if unit is not None and unit.occurrence == entry.occurrence:
            unit.local_action = f"{entry.device} {entry.operation}: {outcome.outcome}"
            self.on_result(entry.alarm)

    def reconcile(self, entries: list[CommandEntry]) -> None:
        """Intents without a result, and what was surely not written, from before this start."""
        specs = {s.id: s for group in self._by_alarm.values() for s in group}
        for entry in entries:
            self._spawn(self._reconcile(entry, specs.get(entry.reflex)))

    async def _reconcile(self, entry: CommandEntry, spec: ReflexSpec | None) -> None:
        if entry.outcome:
            failed = Outcome(entry.outcome, entry.reason)
            if spec is not None and spec.safe_direction and self._stands(entry):
                await self._insist(_order(spec, entry.id, 0.0), entry, failed)
            return
        if spec is None or not spec.verify:
            self._record(entry, Outcome("unknown", "interrupted_by_restart"))
            return
        outcome = await self._look(spec.verify)
        if outcome == "done":
            self._record(entry, Outcome("done", "verified_after_restart"))
        elif self._stands(entry) and spec.safe_direction and self._natural(spec):
            result = await self._actuation.perform(_order(spec, entry.id, 0.0))
            self._record(entry, _reissued(result))
        else:
            self._record(entry, Outcome("unknown", "interrupted_by_restart"))

    async def _look(self, verify: str) -> str:
        """done or failed as the device shows; the drivers need a moment to bring first values."""
        outcome = "unknown"
        for _ in range(LOOKS):
            outcome, _why = await self._actuation.verify(verify, LOOK_MS)
            if outcome != "unknown":
                break
        return outcome

    def _natural(self, spec: ReflexSpec) -> bool:
        operation = self._actuation.operation(spec.device, spec.operation)
        return operation is not None and operation.idempotent == "natural"


def _by_alarm(specs: list[ReflexSpec], actuation: Actuation) -> dict[str, list[ReflexSpec]]:
    """Reflexes by their alarm, their conditions compiled; raises ConfigError."""
    found: dict[str, list[ReflexSpec]] = {}
    for spec in specs:
        found.setdefault(spec.alarm, []).append(spec)
        for text in (*spec.require, *([spec.verify] if spec.verify else [])):
            actuation.test(text, f"reflex {spec.id}")
    return found


def _unwritten(outcome: Outcome) -> bool:
    """Surely nothing was written, for a reason that may pass by itself."""
    if outcome.outcome == "failed":
        return outcome.reason == "write_failed"
    untold = outcome.reason in ("interlock", "require") and outcome.params.get("why") != "false"
    return outcome.outcome == "refused" and (untold or outcome.reason == "no_base_value")


def _reissued(result: Outcome) -> Outcome:
    reason = f"reissued_after_restart {result.reason}".strip()
    return Outcome(result.outcome, reason, result.params, result.before, result.readback)


def _order(spec: ReflexSpec, name: str, began: float) -> Order:
    return Order(
        id=name, device=spec.device, operation=spec.operation, args=spec.args, origin="reflex",
        require=tuple(spec.require), verify=spec.verify, verify_within_ms=spec.verify_within,
        began=began,
    )  # fmt: skip


def with_outcome(entry: CommandEntry, outcome: Outcome) -> CommandEntry:
    """The journal entry with its result."""
    return msgspec.structs.replace(
        entry, outcome=outcome.outcome, reason=outcome.reason, params=outcome.params,
        before=outcome.before, readback=outcome.readback,
    )  # fmt: skip


def require_known(specs: list[ReflexSpec], actuation: Actuation) -> None:
    """Every reflex must name a device and an operation of this edge; raises ConfigError."""
    for spec in specs:
        if actuation.operation(spec.device, spec.operation) is None:
            raise ConfigError(
                f"reflex {spec.id}: {spec.device} {spec.operation} is not on this edge",
                mend="bind the device to the edge of the reflex's alarm",
            )
        for text in (*spec.require, *([spec.verify] if spec.verify else [])):
            actuation.test(text, f"reflex {spec.id}", keep=True)
