"""The one way to a device: arbitration, limits, interlocks, preconditions, write, verification.

Called by reflexes, by the command handler and for the beacon. Nothing is ever written twice by
itself; `unknown` is a result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_node.application.ipc import WriteResult
from edge_node.domain.operations import Arbitration, PlannedWrite, RateLimit, plan
from edge_node.domain.tags import TagTable
from shared.clock import Clock
from shared.errors import ConfigError, Rejected
from shared.expression import ExpressionError, compile_expression, is_unknown
from shared.site.model import DeviceSpec, OperationSpec

WRITE_TIMEOUT_MS = 2000
VERIFY_POLL_S = 0.25
Test = Callable[[TagTable], object]


class Devices(Protocol):
    """The drivers, as actuation sees them."""

    async def write(self, source: str, order: str, planned: PlannedWrite, ms: int) -> WriteResult:
        """Write once, bounded in time."""
        ...


@dataclass(frozen=True, slots=True)
class Order:
    """One wish to move a device."""

    id: str
    device: str
    operation: str
    args: dict[str, Any]
    origin: str
    require: tuple[str, ...] = ()
    verify: str = ""
    verify_within_ms: int = 0
    deadline_mono: int | None = None
    """Void after this monotonic time."""
    began: float = 0.0
    """Loop time at which the engine learnt the reason for it (0: not measured)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """done, refused, expired, failed or unknown, with what was seen."""

    outcome: str
    reason: str = ""
    params: dict[str, Any] = field(default_factory=dict)
    before: Any = None
    readback: Any = None
    latency_ms: float | None = None


class Actuation:
    """All devices of the edge."""

    def __init__(
        self, bindings: dict[str, DeviceSpec], tags: TagTable, devices: Devices, clock: Clock,
        steady: Callable[[], int],
    ) -> None:  # fmt: skip
        self._bindings, self._tags, self._devices = bindings, tags, devices
        self._clock, self._steady = clock, steady
        self._rates, self._arbitration = RateLimit(), Arbitration()
        self._turns: dict[tuple[str, str], asyncio.Lock] = {}
        self._tests: dict[str, Test] = {}
        self._news = asyncio.Event()
        self._verifying = 0
        for name, spec in bindings.items():
            for text in spec.interlocks:
                self.test(text, f"interlock of {name}", keep=True)

    def use(self, checked: Actuation) -> None:
        """Go on with the devices of another version of the site, as `checked` has compiled them.

        Rates, arbitration and what is under way stay.
        """
        self._bindings, self._tags, self._tests = checked._bindings, checked._tags, checked._tests

    def test(self, text: str, what: str, keep: bool = False) -> Test:
        """A compiled condition; raises ConfigError.

        Windows are kept only of what the site itself says (`keep`): of a text from above they would
        have no past to tell of, and are unknown.
        """
        if text not in self._tests:
            try:
                compiled = compile_expression(text, tags=list(self._tags))
            except ExpressionError as error:
                raise ConfigError(f"{what}: column {error.column}: {error.text['en']}") from error
            if len(self._tests) > 5_000:  # texts from above must not fill the memory
                self._tests.clear()
            self._tests[text] = compiled.compile_to_python()
            for use in compiled.windows if keep else ():
                self._tags.watch(use)
        return self._tests[text]

    def operation(self, device: str, operation: str) -> OperationSpec | None:
        """An operation's specification, None if it is not on this edge."""
        spec = self._bindings.get(device)
        return spec.operations.get(operation) if spec is not None else None

    def devices_of_type(self, kind: str) -> list[str]:
        """Names of the devices of a type."""
        return [name for name, spec in self._bindings.items() if spec.type == kind]

    def news(self) -> None:
        """New samples have arrived: what waits for verification looks again."""
        if self._verifying:
            self._news.set()

    def check(self, order: Order) -> tuple[DeviceSpec, PlannedWrite, Any] | Outcome:
        """Everything that may speak against the write, at this very moment."""
        device = self._bindings.get(order.device)
        if device is None:
            return Outcome("refused", "unknown_device", {"device": order.device})
        spec = device.operations.get(order.operation)
        if spec is None:
            return Outcome("refused", "unknown_operation", {"operation": order.operation})
        now = self._clock.mono_ms()
        if order.deadline_mono is not None and now > order.deadline_mono:
            return Outcome("expired", "too_late", {"by_ms": now - order.deadline_mono})
        self._tags.now = self._steady()
        before = self._before(spec)
        number = float(before) if isinstance(before, int | float) else None
        planned = plan(spec, order.args, number, keyed=self._keyed(device))
        refusal = (
            (planned if isinstance(planned, Rejected) else None)
            or self._arbitration.outranked(order.device, order.origin)
            or self._rates.check(order.device, order.operation, spec.max_per_min, now)
            or self._not_true(device.interlocks, "interlock")
            or self._not_true(order.require, "require")
        )
        if refusal is not None:
            return Outcome("refused", refusal.code, refusal.params, before)
        assert isinstance(planned, PlannedWrite)
        return device, planned, before

    def _keyed(self, device: DeviceSpec) -> bool:
        return self._tags.sources[device.source].spec.driver in ("mqtt", "http")

    def _before(self, spec: OperationSpec) -> Any:
        reading = self._tags.tag(spec.capture_before) if spec.capture_before else None
        return reading.value if reading is not None and reading.good else None

    def _not_true(self, texts: Iterable[str], code: str) -> Rejected | None:
        for text in texts:
            try:
                answer = self.test(text, code)(self._tags)
            except ConfigError as error:
                return Rejected(code, {"expression": text, "why": error.message})
            if answer is not True:  # what cannot be told is a refusal
                why = getattr(answer, "code", "") if is_unknown(answer) else "false"
                return Rejected(code, {"expression": text, "why": why})
        return None

    async def perform(self, order: Order) -> Outcome:
        """Check and write and verify; the caller has journalled the intent."""
        turn = self._turns.setdefault((order.device, order.origin), asyncio.Lock())
        async with turn:
            checked = self.check(order)
            if isinstance(checked, Outcome):
                return checked
            self._arbitration.enter(order.device, order.origin)
            try:
                return await self._write(order, *checked)
            finally:
                self._arbitration.leave(order.device, order.origin)

    async def _write(
        self, order: Order, device: DeviceSpec, planned: PlannedWrite, before: Any
    ) -> Outcome:
        loop = asyncio.get_running_loop()
        self._rates.count(order.device, order.operation, self._clock.mono_ms())
        latency = round((loop.time() - order.began) * 1000, 3) if order.began else None
        result = await self._devices.write(device.source, order.id, planned, WRITE_TIMEOUT_MS)
        readback = planned.in_unit(result.readback)
        detail = {"detail": result.detail} if result.detail else {}
        if result.outcome == "failed":
            self._rates.uncount(order.device, order.operation)
            return Outcome("failed", "write_failed", detail, before, readback, latency)
        certain = result.outcome == "done"
        if not order.verify:
            outcome, reason = ("done", "") if certain else ("unknown", "write_unanswered")
            return Outcome(outcome, reason, detail, before, readback, latency)
        outcome, reason = await self.verify(order.verify, order.verify_within_ms)
        if outcome == "done" and not certain:
            reason = "verified_though_unanswered"
        elif outcome == "failed" and not certain:
            outcome, reason = "unknown", "write_unanswered"
        return Outcome(outcome, reason, detail, before, readback, latency)

    async def verify(self, text: str, within_ms: int) -> tuple[str, str]:
        """Wait until the condition is true: done; definitely false at the end: failed; unknown."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within_ms / 1000
        try:
            test = self.test(text, "verify")
        except ConfigError:
            return "unknown", "verify_invalid"
        self._verifying += 1
        try:
            while True:
                self._tags.now = self._steady()
                answer = test(self._tags)
                if answer is True:
                    return "done", ""
                left = end - loop.time()
                if left <= 0:
                    known = answer is False
                    return ("failed", "verify_failed") if known else ("unknown", "verify_unknown")
                self._news.clear()
                try:
                    async with asyncio.timeout(min(left, VERIFY_POLL_S)):
                        await self._news.wait()
                except TimeoutError:
                    continue
        finally:
            self._verifying -= 1
