"""All simulated plants together: the tick, the faults on the wires, reset and speed.

Run by the command line, driven by the control API; never knows a protocol's details.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.clock import Clock
from shared.errors import Rejected
from shared.telemetry import logger
from simulators.plant import EQUIPMENT, Plant, unknown
from simulators.servers.modbus import ModbusWire
from simulators.servers.mqtt import MqttAccess, MqttWire
from simulators.servers.opcua import OpcuaWire
from simulators.servers.port import Wire
from simulators.settings import SimulatorSettings
from simulators.writes import WriteLog

log = logger("simulation")

TICK_S = 0.5
MAX_GAP_S = 2.0
"""After a stall (a suspended laptop) the plants go on from where they were, they do not leap."""


@dataclass(slots=True)
class _Runner:
    plant: Plant
    wire: Wire
    is_open: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def follow_faults(self) -> None:
        """Open or close the wire as the `offline` fault asks."""
        async with self.lock:
            if self.plant.offline and self.is_open:
                await self.wire.close(silent=self.plant.silent)
                self.is_open = False
            elif not self.plant.offline and not self.is_open:
                await self.wire.open()
                self.is_open = True


class Simulation:
    """The running plants."""

    def __init__(self, settings: SimulatorSettings, clock: Clock) -> None:
        self._clock = clock
        self._speed = settings.speed
        self.writes = WriteLog(clock)
        self._runners = _build(settings, clock, self.writes)

    async def start(self) -> None:
        """Open every wire; raises OSError when an address is taken."""
        for runner in self._runners.values():
            await runner.follow_faults()

    async def run(self, stop: asyncio.Event) -> None:
        """Move the plants twice a second until `stop` is set."""
        last = self._clock.mono_ms()
        while not stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK_S):
                    await stop.wait()
            now = self._clock.mono_ms()
            await self._tick(min((now - last) / 1000.0, MAX_GAP_S))
            last = now

    async def shutdown(self) -> None:
        """Close every wire for good."""
        for runner in self._runners.values():
            async with runner.lock:
                await runner.wire.shutdown()
                runner.is_open = False

    async def set_fault(
        self, plant: str, fault: str, on: bool, args: Mapping[str, float]
    ) -> Rejected | None:
        """Switch a fault of a plant; returns a refusal for unknown names."""
        runner = self._runners.get(plant)
        if runner is None:
            return unknown("sim_plant_unknown", plant, self._runners)
        if refused := runner.plant.set_fault(fault, on, args):
            return refused
        log.info("fault_switched", plant=plant, fault=fault, on=on)
        await self._follow(runner)
        return None

    async def reset(self, plant: str | None = None) -> Rejected | None:
        """Put one plant or all back to the healthy start, at normal speed."""
        if plant is not None and plant not in self._runners:
            return unknown("sim_plant_unknown", plant, self._runners)
        for name, runner in self._runners.items():
            if plant in (None, name):
                runner.plant.reset()
                await self._follow(runner)
        if plant is None:
            self._speed = 1.0
        log.info("plants_reset", plant=plant or "all")
        return None

    def set_speed(self, factor: float) -> None:
        """Let plant time pass `factor` times as fast as the clock."""
        self._speed = factor
        log.info("speed_set", factor=factor)

    def endpoints(self) -> dict[str, Any]:
        """The real address of each plant."""
        return {name: runner.wire.endpoint() for name, runner in self._runners.items()}

    def state(self, writes_since: int = 0) -> dict[str, Any]:
        """Everything, as served by GET /state."""
        plants = {
            name: {**runner.plant.snapshot(), "online": runner.is_open}
            for name, runner in self._runners.items()
        }
        return {
            "now": self._clock.now_ms(),
            "speed": self._speed,
            "plants": plants,
            "endpoints": self.endpoints(),
            "writes": self.writes.since(writes_since),
            "last_seq": self.writes.last_seq,
            "writes_overflowed": self.writes.overflowed,
        }

    async def _tick(self, elapsed: float) -> None:
        for runner in self._runners.values():
            runner.plant.advance(elapsed * self._speed)
            await self._follow(runner)
            if runner.is_open:
                await runner.wire.publish()

    async def _follow(self, runner: _Runner) -> None:
        try:
            await runner.follow_faults()
        except OSError as error:
            # Its old port is taken for the moment: it stays away and tries again at the next tick.
            log.warning("plant_cannot_return", plant=runner.plant.name, reason=str(error))


def _build(settings: SimulatorSettings, clock: Clock, writes: WriteLog) -> dict[str, _Runner]:
    plants = settings.plants
    runners: dict[str, _Runner] = {}

    def plant(name: str) -> Plant:
        return Plant(EQUIPMENT[name], settings.seed, writes)

    if (server := plants.furnace) and server.enabled:
        furnace = plant("furnace")
        runners["furnace"] = _Runner(furnace, OpcuaWire(furnace, clock, server.host, server.port))
    if (server := plants.compressor) and server.enabled:
        station = plant("compressor")
        runners["compressor"] = _Runner(station, ModbusWire(station, server.host, server.port))
    if (device := plants.bottling) and device.enabled:
        line = plant("bottling")
        access = MqttAccess(
            device.mqtt_host, device.mqtt_port, device.device, device.username,
            device.password_file,
        )  # fmt: skip
        runners["bottling"] = _Runner(line, MqttWire(line, clock, access))
    return runners
