"""The drill runner: drives the simulators through a scenario against a running system, scores it.

Called by the drill command; never decides what is right, the scenario does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from shared.clock import Clock
from shared.errors import ContractError, RetryableTransportError, TransportError
from simulators.drill_clients import BrainClient, ControlClient
from simulators.observations import Observations
from simulators.scenario import Action, Expectation, Scenario, Step

POLL_S = 0.5


class DrillError(Exception):
    """The drill could not be run at all (exit code 2)."""


@dataclass(frozen=True, slots=True)
class Line:
    """One scored line: an expectation or an action of a person."""

    what: str
    passed: bool
    seconds: float | None
    within: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Score:
    """The outcome of a drill."""

    lines: tuple[Line, ...]
    started: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether everything held."""
        return all(line.passed for line in self.lines)

    @property
    def points(self) -> int:
        """How many lines held."""
        return sum(line.passed for line in self.lines)


def describe(expected: Expectation) -> str:
    """An expectation in one line, in the words of the scenario."""
    if (write := expected.write) is not None:
        value = f"{write.value:g}" if isinstance(write.value, float) else str(write.value)
        times = f" x{write.times}" if write.times is not None else ""
        return f"write {write.plant} {write.address} {write.op} {value}{times}"
    if expected.run is not None:
        return f"run {expected.run.playbook} {expected.run.status}"
    return f"alarm {expected.alarm} {expected.state}"


class Drill:
    """One run of one scenario."""

    def __init__(
        self, scenario: Scenario, brain: BrainClient, control: ControlClient, clock: Clock
    ) -> None:
        self._scenario, self._brain = scenario, brain
        self._control, self._clock = control, clock
        self._seen = Observations(())
        self._write_seq = 0
        self._start = 0
        self._base = 0
        """When the last fault or action was; `within` counts from here."""
        self._poll_error = ""

    async def run(self, told: Callable[[str], None]) -> Score:
        """Run every step in order; `told` hears what happens. Raises DrillError."""
        await self._prepare(told)
        lines: list[tuple[Step, Line]] = []
        try:
            for step in self._scenario.steps:
                if line := await self._step(step, told):
                    lines.append((step, line))
                    told(f"{'ok  ' if line.passed else 'FAIL'} {line.what} {line.reason}".rstrip())
        except TransportError as error:
            raise DrillError(str(error)) from error
        finally:
            await self._restore()
        scored = tuple(self._count_times(step, line) for step, line in lines)
        return Score(scored, self._start, (self._clock.now_ms() - self._start) / 1000)

    async def _prepare(self, told: Callable[[str], None]) -> None:
        """Healthy plants, none of the drill's alarms standing, everything older remembered."""
        try:
            for plant in sorted(self._scenario.plants()):
                await self._control.reset(plant)
            await self._control.speed(self._scenario.speed)
            await self._settle(told)
            runs = await self._brain.runs()
            self._write_seq = int((await self._control.state(1 << 60))["last_seq"])
        except (TransportError, ContractError) as error:
            raise DrillError(str(error)) from error
        self._seen = Observations(run.id for run in runs)
        self._start = self._base = self._clock.now_ms()

    async def _settle(self, told: Callable[[str], None]) -> None:
        deadline = self._clock.mono_ms() + self._scenario.settle
        while True:
            rows = await self._brain.alarms()
            standing = sorted(
                row.alarm for row in rows if row.active and row.alarm in self._scenario.alarms()
            )
            if not standing:
                return
            if self._clock.mono_ms() > deadline:
                waited = f"after {self._scenario.settle / 1000:g} s"
                raise DrillError(f"still standing {waited}: {', '.join(standing)}")
            told(f"... {', '.join(standing)}")
            await asyncio.sleep(2.0)

    async def _step(self, step: Step, told: Callable[[str], None]) -> Line | None:
        if step.at is not None:
            await self._wait_until(self._start + step.at)
        if step.fault is not None:
            fault = step.fault
            await self._control.fault(fault.plant, fault.fault, fault.on, dict(fault.args))
            self._base = self._clock.now_ms()
            told(f"---- fault {fault.plant} {fault.fault} {'on' if fault.on else 'off'}")
            return None
        if step.do is not None:
            return await self._act(step.do)
        assert step.expect is not None
        return await self._expect(step.expect)

    async def _expect(self, expected: Expectation) -> Line:
        what, limit = describe(expected), expected.within / 1000
        at = await self._until(lambda: self._seen.when(expected), self._base, expected.within)
        if at is None:
            return Line(what, False, None, limit, self._poll_error or "not seen in time")
        seconds = max(0.0, (at - self._base) / 1000)
        late = seconds > limit
        return Line(what, not late, seconds, limit, "late" if late else "")

    async def _act(self, action: Action) -> Line:
        """Do what a person would, as soon as the console would let them."""
        what = f"ack {action.ack}" if action.ack else f"answer {action.answer}"
        if action.answer is not None:
            what = f"answer {action.answer.playbook} = {action.answer.option}"
        began, limit = self._clock.now_ms(), action.within / 1000
        key = f"drill-{self._start}-{began}"
        try:
            done = await self._until(lambda: self._possible(action), began, action.within)
            if done is None:
                reason = self._poll_error or "could not be done in time"
                return Line(what, False, None, limit, reason)
            await self._perform(action, key)
        except TransportError as error:
            return Line(what, False, None, limit, str(error))
        self._base = self._clock.now_ms()
        return Line(what, True, (self._base - began) / 1000, limit)

    def _possible(self, action: Action) -> int | None:
        if action.ack is not None:
            row = self._seen.rows.get(action.ack)
            return row.raised_at if row is not None and not row.acked else None
        assert action.answer is not None
        run = self._seen.runs.get(action.answer.playbook)
        return run.started_at if run is not None and run.status == "waiting" else None

    async def _perform(self, action: Action, key: str) -> None:
        if action.ack is not None:
            await self._brain.acknowledge(self._seen.rows[action.ack], key)
            return
        assert action.answer is not None
        # The list carries no questions; the run itself does.
        run = await self._brain.run(self._seen.runs[action.answer.playbook].id)
        if run.ask is None:
            raise RetryableTransportError(f"run {run.id} waits, but asks nothing")
        await self._brain.answer(run, action.answer.option, key)

    async def _until(
        self, happened: Callable[[], int | None], since: int, within: int
    ) -> int | None:
        """Poll until `happened()` gives a time; one last look is taken at the deadline."""
        deadline = since + within
        while True:
            now = self._clock.now_ms()
            await self._poll()
            if (at := happened()) is not None:
                return at
            if now >= deadline:
                return None
            await asyncio.sleep(POLL_S)

    async def _wait_until(self, at_ms: int) -> None:
        while (left := at_ms - self._clock.now_ms()) > 0:
            await self._poll()
            await asyncio.sleep(min(POLL_S, left / 1000))

    async def _poll(self) -> None:
        """Look at everything once; a tier that is down (a drill may stop it) is no end."""
        self._poll_error = ""
        await self._look(self._look_at_control)
        await self._look(self._look_at_brain)

    async def _look(self, look: Callable[[], Awaitable[None]]) -> None:
        try:
            await look()
        except (TransportError, ContractError) as error:
            self._poll_error = str(error)

    async def _look_at_control(self) -> None:
        state: dict[str, Any] = await self._control.state(self._write_seq)
        self._seen.see_writes(state["writes"])
        self._write_seq = int(state["last_seq"])

    async def _look_at_brain(self) -> None:
        now = self._clock.now_ms()
        self._seen.see_alarms(await self._brain.alarms(), now)
        self._seen.see_runs(await self._brain.runs(), now)

    async def _restore(self) -> None:
        """Leave healthy plants behind, also when the drill broke off."""
        with contextlib.suppress(TransportError):
            await self._control.speed(1.0)
            for plant in sorted(self._scenario.plants()):
                await self._control.reset(plant)

    def _count_times(self, step: Step, line: Line) -> Line:
        """At the end: a write that was to come exactly so often must not have come more."""
        write = step.expect.write if step.expect else None
        if write is None or write.times is None:
            return line
        found = len(self._seen.matching(write))
        if found == write.times:
            # `times: 0` asks for silence: nothing seen is what was wanted.
            return line if write.times else Line(line.what, True, None, line.within)
        reason = f"came {found} times"
        return Line(line.what, False, line.seconds, line.within, reason)
