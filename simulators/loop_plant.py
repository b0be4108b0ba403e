"""The factory's side of the drill of the learning loop: noise, true faults, what operators do.

Called by `loop_drill.py`; drives the simulators and acts as an operator would. Judges nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeVar

from shared.clock import Clock
from shared.errors import ContractError, PermanentTransportError, RetryableTransportError
from shared.web.dto import AlarmDetail, AlarmRow
from simulators.drill import DrillError
from simulators.drill_clients import ControlClient
from simulators.loop_clients import FactoryClient
from simulators.loop_record import Scene

POLL_S = 0.25
GONE_S = 60.0
HOLD_S = 4.0
"""A true fault stands for so long after it was told: longer than the delay on trial."""
SETTLE_S = 2.0
"""Samples are stored a little after the alarm that they raised."""
T = TypeVar("T")


class LoopPlant:
    """The simulated compressor and its operator."""

    def __init__(
        self, scene: Scene, brain: FactoryClient, control: ControlClient, clock: Clock
    ) -> None:
        self._scene, self._brain, self._control, self._clock = scene, brain, control, clock
        self._serial = 0

    async def until(self, ask: Callable[[], Awaitable[T | None]], seconds: float) -> T | None:
        """Poll until there is an answer; None: not in time. A tier that is down is asked again."""
        deadline = self._clock.mono_ms() + seconds * 1000
        while True:
            try:
                found = await ask()
            except (RetryableTransportError, ContractError):
                found = None
            if found is not None or self._clock.mono_ms() > deadline:
                return found
            await asyncio.sleep(POLL_S)

    async def row(self) -> AlarmRow | None:
        """The alarm's row, if it is in the list."""
        rows = await self._brain.alarms()
        return next((row for row in rows if row.alarm == self._scene.alarm), None)

    async def in_force(self) -> AlarmDetail | None:
        """The alarm with the setting that the edge reports in force."""
        return await self._brain.detail(self._scene.alarm)

    async def reset(self) -> None:
        """A healthy compressor."""
        await self._control.reset(self._scene.plant)

    async def calm(self) -> None:
        """Acknowledge what stands and wait until the list is free of it; raises DrillError."""

        async def gone() -> bool | None:
            row = await self.row()
            if row is None:
                return True
            if not row.acked and not row.active:
                self._serial += 1
                key = f"drill-{self._clock.now_ms()}-{self._serial}"
                # Raised anew since it was read: refused, and read again.
                with contextlib.suppress(PermanentTransportError):
                    await self._brain.acknowledge(row, key)
            return None

        if await self.until(gone, GONE_S) is None:
            raise DrillError(f"{self._scene.alarm} still stands after {GONE_S:g} s")

    async def flood(self, seconds: float) -> list[str]:
        """Make the noise for a while; the occurrences that it raised."""
        since = self._clock.now_ms()
        await self._fault(self._scene.noise, on=True)
        await asyncio.sleep(seconds)
        await self._fault(self._scene.noise, on=False)
        await self.calm()
        await asyncio.sleep(SETTLE_S)
        return await self._brain.raised(self._scene.alarm, since, self._clock.now_ms())

    async def true_fault(self, within: float) -> tuple[int, AlarmRow | None]:
        """Let the motor seize until the alarm tells of it: (since when, its row or None)."""
        since = self._clock.now_ms()
        await self._fault(self._scene.fault, on=True)

        async def told() -> AlarmRow | None:
            row = await self.row()
            return row if row is not None and row.active and row.raised_at >= since else None

        row = await self.until(told, within)
        if row is not None:
            await asyncio.sleep(HOLD_S)
        await self._fault(self._scene.fault, on=False)
        return since, row

    async def _fault(self, name: str, on: bool) -> None:
        await self._control.fault(self._scene.plant, name, on, {})
