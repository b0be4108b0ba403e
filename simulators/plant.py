"""One running simulated plant: its state, inputs, faults and random stream.

Advanced by `simulators.simulation`, read and written by the wire servers; never waits or does IO.
"""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Mapping
from typing import Any

from shared.errors import Rejected
from simulators.equipment.bottling import BOTTLING
from simulators.equipment.compressor import COMPRESSOR
from simulators.equipment.furnace import FURNACE
from simulators.equipment.model import Equipment, Readings, Value
from simulators.suggest import hint_en, hint_zh
from simulators.writes import WriteLog

EQUIPMENT: Mapping[str, Equipment] = {e.name: e for e in (FURNACE, COMPRESSOR, BOTTLING)}
SUBSTEP_S = 0.25
"""Physics never takes a longer step, so that a sped-up plant behaves as the slow one does."""


def unknown(code: str, name: str, known: Mapping[str, Any]) -> Rejected:
    """A refusal of an unknown name, with the nearest known one."""
    return Rejected(
        code,
        {
            "name": name, "known": sorted(known),
            "hint_zh": hint_zh(name, known), "hint_en": hint_en(name, known),
        },
    )  # fmt: skip


class Plant:
    """The moving state of one plant."""

    def __init__(self, equipment: Equipment, seed: int, writes: WriteLog) -> None:
        self.equipment = equipment
        self._seed = seed
        self._writes = writes
        self.reset()

    @property
    def name(self) -> str:
        """The plant's name in configurations and in the control API."""
        return self.equipment.name

    def reset(self) -> None:
        """Back to the healthy start; the record of writes stays."""
        self._rng = random.Random(f"{self._seed}:{self.name}")
        self._state = self.equipment.state
        self._inputs = self.equipment.inputs
        self._faults: dict[str, dict[str, float]] = {}
        self._ends: dict[str, float] = {}
        self._readings = self._observe()

    def advance(self, seconds: float) -> None:
        """Move the physics by `seconds` of plant time and read the sensors."""
        left = seconds
        while left > 1e-9:
            dt = min(SUBSTEP_S, left)
            left -= dt
            self._state = self.equipment.step(
                self._state, self._inputs, dt, self._faults, self._rng
            )
            self._expire()
        if not self.frozen:
            self._readings = self._observe()

    def write(
        self, signal: str, value: Value | None, address: str, command: str = "", known: bool = True
    ) -> bool:
        """Apply an actuator write that came over the wire and record it either way."""
        accepted = False
        if known and value is not None:
            try:
                self._inputs = self.equipment.command(self._inputs, signal, value)
                accepted = True
            except (KeyError, ValueError):
                accepted = False
        self._writes.record(self.name, address, signal, value, accepted=accepted, command=command)
        if accepted:
            self._readings[signal] = self._observe()[signal]
        return accepted

    def set_fault(self, fault: str, on: bool, args: Mapping[str, float]) -> Rejected | None:
        """Switch a fault; refuses unknown faults and arguments."""
        spec = self.equipment.faults.get(fault)
        if spec is None:
            return unknown("sim_fault_unknown", fault, self.equipment.faults)
        for name in args:
            if name not in spec.args:
                return unknown("sim_fault_arg_unknown", name, spec.args)
        was_on = fault in self._faults
        self._faults.pop(fault, None)
        self._ends.pop(fault, None)
        if on:
            self._faults[fault] = {**spec.args, **args}
            if spec.lasts_arg:
                self._ends[fault] = self._state.t + self._faults[fault][spec.lasts_arg]
        if on != was_on:
            self._inputs = self.equipment.switched(self._inputs, fault)
        return None

    @property
    def frozen(self) -> bool:
        """Whether the values have stopped (the device still answers)."""
        return "freeze" in self._faults

    @property
    def offline(self) -> bool:
        """Whether the device does not answer at all."""
        return "offline" in self._faults

    @property
    def silent(self) -> bool:
        """Whether the device went away without a word."""
        return self._faults.get("offline", {}).get("silent", 0.0) != 0.0

    @property
    def refuses(self) -> bool:
        """Whether the device refuses every write."""
        return "refuse_writes" in self._faults

    @property
    def deaf_s(self) -> float:
        """For so long a write that is not taken goes unanswered; 0: writes are taken."""
        return self._faults.get("ignore_writes", {}).get("seconds", 0.0)

    @property
    def late_s(self) -> float:
        """So late the answer to a write comes that has taken effect."""
        return self._faults.get("lose_answers", {}).get("seconds", 0.0)

    @property
    def readings(self) -> Readings:
        """What the sensors show (the last values while frozen)."""
        return self._readings

    def snapshot(self) -> dict[str, Any]:
        """Everything inside, as plain data, for the control API."""
        return {
            "asset": self.equipment.asset,
            "values": dict(self._readings),
            "state": dataclasses.asdict(self._state),
            "inputs": dataclasses.asdict(self._inputs),
            "faults": {name: dict(args) for name, args in self._faults.items()},
        }

    def _observe(self) -> Readings:
        return self.equipment.observe(self._state, self._inputs, self._faults, self._rng)

    def _expire(self) -> None:
        for fault, end in list(self._ends.items()):
            if self._state.t >= end:
                self.set_fault(fault, False, {})
